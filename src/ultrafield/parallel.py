"""Work in threads, on many views or behind the scenes; NumPy, OpenCV, zlib and our kernels release the GIL."""

from __future__ import annotations

import os
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from typing import Any, TypeVar

_Item = TypeVar("_Item")
_Result = TypeVar("_Result")

_MOST_WORKERS = 16  # beyond, the interpreter itself is what everything waits for
_MEMORY = 2 << 30  # bytes that the items under way may take together


def in_threads(
    function: Callable[[_Item], _Result], items: Iterable[_Item], *, workers: int | None = None
) -> Iterator[_Result]:
    """Results of `function` for every item, in order, computed a few items ahead.

    Unlike `Executor.map` it holds only a few results at a time, and an exception or Ctrl-C drops what has not begun.

    Args:
        function: Called in several threads.
        items: What it is called with.
        workers: Threads; by default one per CPU, four at most.
    """
    count = workers or workers_for(0, most=4)
    pool = ThreadPoolExecutor(count)
    waiting: deque = deque()
    try:
        for item in items:
            waiting.append(pool.submit(function, item))
            if len(waiting) > 2 * count:
                yield waiting.popleft().result()
        while waiting:
            yield waiting.popleft().result()
    finally:
        pool.shutdown(cancel_futures=True)


def workers_for(bytes_each: int, *, most: int = _MOST_WORKERS) -> int:
    """Threads for items of which each takes so many bytes of memory: one per CPU, if that is not too much at once."""
    return max(1, min(most, os.cpu_count() or 1, _MEMORY // max(1, bytes_each)))


@contextmanager
def in_background() -> Iterator[Callable[..., Future]]:
    """Yield a function that calls another one with its arguments in a thread; the block ends when all calls have.

    The first exception of a call is raised at the end of the block, unless the block itself fails.
    """
    with ThreadPoolExecutor(workers_for(0, most=4)) as pool:
        calls: list[Future] = []

        def submit(function: Callable[..., Any], *arguments: Any) -> Future:
            calls.append(pool.submit(function, *arguments))
            return calls[-1]

        try:
            yield submit
        except BaseException:
            pool.shutdown(wait=False, cancel_futures=True)
            raise
        for call in calls:
            call.result()
