"""Work in threads: ordered, bounded, and over at once when something goes wrong."""

from __future__ import annotations

import threading

import pytest

from ultrafield.commands.parallel import in_threads


def test_results_come_in_order() -> None:
    assert list(in_threads(lambda x: x * x, range(50), workers=3)) == [x * x for x in range(50)]
    assert list(in_threads(lambda x: x, [], workers=2)) == []


def test_only_a_few_items_are_taken_ahead() -> None:
    taken = []

    def items() -> object:
        for index in range(100):
            taken.append(index)
            yield index

    results = in_threads(lambda x: x, items(), workers=2)
    assert next(results) == 0
    assert len(taken) <= 6
    results.close()


def test_an_exception_drops_what_has_not_begun() -> None:
    begun = []
    lock = threading.Lock()

    def work(index: int) -> int:
        with lock:
            begun.append(index)
        if index == 1:
            raise ValueError("one")
        return index

    with pytest.raises(ValueError, match="one"):
        list(in_threads(work, range(1000), workers=2))
    assert len(begun) < 20
