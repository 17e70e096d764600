"""Work in threads, on many views or in the background; NumPy, OpenCV, zlib and our kernels release the GIL."""

from __future__ import annotations

import math
import os
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping, MutableMapping
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, TypeVar

from .budget import memory
from .errors import ConfigError

_Item = TypeVar("_Item")
_Result = TypeVar("_Result")

_MOST_WORKERS = 16  # beyond, all threads wait for the interpreter
_MEMORY = 2 << 30  # bytes that the items in progress may take together
_THREAD_VARIABLES = ("NUMBA_NUM_THREADS", "OMP_NUM_THREADS")
_CGROUPS, _OWN_CGROUP = Path("/sys/fs/cgroup"), Path("/proc/self/cgroup")


def cpu_count() -> int:
    """CPUs to use: NUMBA_NUM_THREADS if that is set, else OMP_NUM_THREADS, else those available to the process.

    Available are the CPUs of its affinity mask, fewer if its container (cgroup) has a smaller quota of CPU time.
    """
    for name in _THREAD_VARIABLES:
        first = os.environ.get(name, "").split(",")[0]  # OpenMP's may list a number per nesting level
        if first.isdecimal() and len(first) < 10 and int(first) > 0:
            return int(first)
    return available_cpus()


def available_cpus() -> int:
    """CPUs of the process's affinity mask, fewer if its container has a smaller quota of CPU time; at least 1."""
    return max(1, int(min(_affinity(), _quota(_CGROUPS, _OWN_CGROUP))))


def respect_quota(environment: MutableMapping[str, str] = os.environ) -> None:
    """Make Numba and OpenMP (PyTorch) start no more threads than the container has CPUs.

    They look at the affinity mask only. Takes effect before they are imported, and not if the user chose a number.
    """
    if available_cpus() < _affinity():
        for name in _THREAD_VARIABLES:
            environment.setdefault(name, str(available_cpus()))


def check_threads(environment: Mapping[str, str] = os.environ) -> None:
    """Raise `ConfigError` if NUMBA_NUM_THREADS is a number of threads with which Numba would fail later."""
    value = environment.get("NUMBA_NUM_THREADS", "")
    with suppress(ValueError):  # Numba itself takes no notice of what is no number
        if int(value) < 1:
            raise ConfigError(f"NUMBA_NUM_THREADS: expected a whole number of at least 1, got {value}")


def workers_for(bytes_each: int, *, most: int = _MOST_WORKERS) -> int:
    """Worker count: one per CPU, `most` at most, 1 at least; fewer if `bytes_each` × workers would exceed 2 GiB, or a
    quarter of the memory that the program may take.
    """
    return max(1, min(most, cpu_count(), min(_MEMORY, memory() // 4) // max(1, bytes_each)))


def in_threads(
    function: Callable[[_Item], _Result], items: Iterable[_Item], *, workers: int | None = None
) -> Iterator[_Result]:
    """Results of `function` for every item, in order, computed a few items ahead.

    Unlike `Executor.map` it holds only a few results at a time, and an exception or Ctrl-C drops the items not begun.

    Args:
        function: Called in several threads.
        items: Its arguments.
        workers: Threads; by default one per CPU, four at most.
    """
    count = workers or workers_for(0, most=4)
    pool = ThreadPoolExecutor(count)
    waiting: deque[Future[_Result]] = deque()
    try:
        for item in items:
            waiting.append(pool.submit(function, item))
            if len(waiting) > 2 * count:
                yield waiting.popleft().result()
        while waiting:
            yield waiting.popleft().result()
    finally:
        pool.shutdown(cancel_futures=True)


@contextmanager
def in_background() -> Iterator[Callable[..., Future[Any]]]:
    """Yield a function that runs its first argument, called with the others, in a thread; the block ends when all calls
    have.

    The first exception of a call is raised at the end of the block, unless the block itself fails.
    """
    with ThreadPoolExecutor(workers_for(0, most=4)) as pool:
        calls: list[Future[Any]] = []

        def submit(function: Callable[..., Any], *arguments: Any) -> Future[Any]:
            calls.append(pool.submit(function, *arguments))
            return calls[-1]

        try:
            yield submit
        except BaseException:
            pool.shutdown(wait=False, cancel_futures=True)
            raise
        for call in calls:
            call.result()


def _affinity() -> int:
    """CPUs that the scheduler may run this process on; all CPUs where the system has no affinity."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def _quota(root: Path, own: Path) -> float:
    """CPUs that the quota of the process's cgroup or of one around it amounts to, rounded up; infinite without quota.

    Args:
        root: Where cgroups are mounted, version 1 or 2.
        own: File that lists the process's cgroups, one "hierarchy:controllers:path" a line.
    """
    quotas = [math.inf]
    for line in _text(own).splitlines() or ["0::/", "1:cpu:/"]:
        _, controllers, path = [*line.split(":", 2), "", ""][:3]
        if controllers and "cpu" not in controllers.split(","):
            continue
        base = root / controllers if controllers else root
        group = base / path.lstrip("/")
        for folder in (group, *group.parents):
            quotas.append(_folder_quota(folder))
            if folder == base:
                break
    return min(quotas)


def _folder_quota(folder: Path) -> float:
    """CPUs of one cgroup: `cpu.max` in version 2, `cpu.cfs_quota_us` and `cpu.cfs_period_us` in version 1."""
    words = _text(folder / "cpu.max").split()
    words = words or [*_text(folder / "cpu.cfs_quota_us").split(), *_text(folder / "cpu.cfs_period_us").split()]
    if len(words) != 2 or not all(word.isdecimal() for word in words) or int(words[1]) == 0:  # "max" or -1: no quota
        return math.inf
    return max(1, math.ceil(int(words[0]) / int(words[1])))


def _text(file: Path) -> str:
    """Content of a file of the system, empty if it cannot be read."""
    try:
        return file.read_text()
    except (OSError, ValueError):
        return ""
