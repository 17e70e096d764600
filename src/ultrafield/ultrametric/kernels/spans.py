"""Large loops on several threads: compiled code without the interpreter lock, one stretch of the loop per thread."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import pairwise
from typing import Any

import numpy as np

from ...parallel import cpu_count, in_threads

# Below this many items, threads cost more than they save; above this many threads, their own copies of the result do.
_WORTH = 1 << 17
_MOST = 8


def thread_count(items: int) -> int:
    """Threads for a loop over `items` items: one if it is short, else one per CPU."""
    return 1 if items < _WORTH else min(cpu_count(), _MOST)


def even_spans(count: int, threads: int) -> list[tuple[int, int]]:
    """`count` items in `threads` contiguous stretches (begin, end)."""
    bounds = np.linspace(0, count, threads + 1).astype(np.int64).tolist()
    return list(pairwise(bounds))


def row_spans(offsets: np.ndarray, threads: int) -> list[tuple[int, int]]:
    """The rows that `offsets` delimit, in stretches with about as many items each."""
    targets = np.linspace(0, offsets[-1], threads + 1)[1:-1]
    bounds = [0, *np.searchsorted(offsets, targets).tolist(), len(offsets) - 1]
    return list(pairwise(bounds))


def on_threads(kernel: Callable[..., Any], spans: Sequence[tuple[int, ...]], *arrays: Any) -> list[Any]:
    """Call `kernel(*arrays, *span)` for every span, each on its own thread; the results in order."""
    if len(spans) == 1:
        return [kernel(*arrays, *spans[0])]
    return list(in_threads(lambda span: kernel(*arrays, *span), spans, workers=len(spans)))
