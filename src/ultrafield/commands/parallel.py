"""Work on many views in a few threads; NumPy, OpenCV, zlib and our kernels release the GIL."""

from __future__ import annotations

import os
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

_Item = TypeVar("_Item")
_Result = TypeVar("_Result")


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
    count = workers or min(4, os.cpu_count() or 1)
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
