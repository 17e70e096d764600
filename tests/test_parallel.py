"""Work in threads: ordered, bounded, and over at once when something goes wrong."""

from __future__ import annotations

import threading

import pytest

from ultrafield.parallel import in_background, in_threads, workers_for


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


def test_large_items_get_few_workers() -> None:
    assert workers_for(1 << 60) == 1
    assert 1 <= workers_for(1) <= 16
    assert workers_for(0, most=1) == 1


def test_the_block_ends_when_the_calls_have() -> None:
    done, gate = [], threading.Event()
    with in_background() as submit:
        submit(lambda: gate.wait(5) and done.append("first"))
        submit(done.append, "second")
        assert "first" not in done
        gate.set()
    assert sorted(done) == ["first", "second"]


def test_an_exception_in_the_background_ends_the_block() -> None:
    def work() -> None:
        raise ValueError("behind the scenes")

    with pytest.raises(ValueError, match="behind the scenes"), in_background() as submit:
        submit(work)


def test_an_exception_of_the_block_itself_comes_first() -> None:
    def work() -> None:
        raise ValueError("behind the scenes")

    def fail() -> None:
        with in_background() as submit:
            submit(work)
            raise KeyError("block")

    with pytest.raises(KeyError, match="block"):
        fail()
