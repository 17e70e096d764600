"""Work in threads: ordered, bounded, and over at once when something goes wrong."""

from __future__ import annotations

import math
import os
import threading
from pathlib import Path

import pytest

from ultrafield import parallel
from ultrafield.parallel import cpu_count, in_background, in_threads, respect_quota, workers_for


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


@pytest.fixture
def unlimited(monkeypatch: pytest.MonkeyPatch) -> pytest.MonkeyPatch:
    """No number of threads in the environment."""
    for name in ("NUMBA_NUM_THREADS", "OMP_NUM_THREADS"):
        monkeypatch.delenv(name, raising=False)
    return monkeypatch


def test_numbers_in_the_environment_count(unlimited: pytest.MonkeyPatch) -> None:
    unlimited.setenv("OMP_NUM_THREADS", "3,2")
    assert cpu_count() == 3
    unlimited.setenv("NUMBA_NUM_THREADS", "5")
    assert cpu_count() == 5
    unlimited.setenv("NUMBA_NUM_THREADS", "many")
    unlimited.setenv("OMP_NUM_THREADS", "0")
    assert cpu_count() == parallel.available_cpus()


@pytest.mark.skipif(not hasattr(os, "sched_setaffinity"), reason="the system has no affinity")
def test_affinity_counts(unlimited: pytest.MonkeyPatch) -> None:
    allowed = os.sched_getaffinity(0)
    try:
        os.sched_setaffinity(0, {min(allowed)})
        assert cpu_count() == workers_for(0) == 1
    finally:
        os.sched_setaffinity(0, allowed)


@pytest.mark.parametrize(
    ("files", "own", "expected"),
    [
        ({"cpu.max": "max 100000"}, "0::/", math.inf),
        ({"cpu.max": "250000 100000"}, "0::/", 3),
        ({"cpu.max": "10000 100000"}, "0::/", 1),
        ({"a/b/cpu.max": "max 100000", "a/cpu.max": "200000 100000", "cpu.max": "800000 100000"}, "0::/a/b", 2),
        ({"cpu.max": "200000 100000"}, "0::/only/outside/the/container", 2),
        ({"cpu/x/cpu.cfs_quota_us": "400000", "cpu/x/cpu.cfs_period_us": "100000"}, "4:memory:/x\n1:cpu:/x", 4),
        ({"cpu,cpuacct/cpu.cfs_quota_us": "150000", "cpu,cpuacct/cpu.cfs_period_us": "100000"}, "3:cpu,cpuacct:/y", 2),
        ({"cpu/cpu.cfs_quota_us": "-1", "cpu/cpu.cfs_period_us": "100000"}, "1:cpu:/", math.inf),
        ({"cpu.max": "200000 100000"}, "", 2),
        ({}, "0::/", math.inf),
    ],
)
def test_quotas_of_containers(files: dict[str, str], own: str, expected: float, tmp_path: Path) -> None:
    listing, root = tmp_path / "own", tmp_path / "cgroup"
    listing.write_text(own)
    for name, text in files.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text(text + "\n")
    assert parallel._quota(root, listing) == expected


def test_a_quota_reaches_numba_and_openmp(unlimited: pytest.MonkeyPatch) -> None:
    unlimited.setattr(parallel, "_affinity", lambda: 8)
    unlimited.setattr(parallel, "_quota", lambda root, own: math.inf)
    respect_quota()
    assert "NUMBA_NUM_THREADS" not in os.environ
    unlimited.setattr(parallel, "_quota", lambda root, own: 3)
    unlimited.setenv("OMP_NUM_THREADS", "2")
    respect_quota()
    assert (os.environ["NUMBA_NUM_THREADS"], os.environ["OMP_NUM_THREADS"]) == ("3", "2")
    assert cpu_count() == 3


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
