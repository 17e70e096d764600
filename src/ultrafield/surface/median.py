"""The median of more numbers than should lie in memory together."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from ..parallel import in_threads

_DROPPED = 13  # last bits of a number that do not choose its bin
_BINS = 1 << 31 - _DROPPED  # positive floats are in the order of their bits


def median_of_parts(part: Callable[[int], np.ndarray], count: int, *, workers: int | None = None) -> float:
    """What `np.median` says of all parts together; each is asked for twice.

    Args:
        part: Called with 0 … `count` − 1, in several threads; returns numbers that are not negative, floats.
        count: Number of parts.
        workers: Threads, as for `in_threads`.

    Returns:
        The median; NaN if there are no numbers.
    """
    from .kernels.median_cpu import count_bits

    def counted(index: int) -> np.ndarray:
        own = np.zeros(_BINS, np.int64)
        count_bits(_single(part(index)).view(np.uint32), _DROPPED, own)
        return own

    counts = np.zeros(_BINS, np.int64)
    for more in in_threads(counted, range(count), workers=workers):
        counts += more
    ends = np.cumsum(counts)
    if ends[-1] == 0:
        return float("nan")
    middle = np.array([(ends[-1] - 1) // 2, ends[-1] // 2])
    first, last = np.searchsorted(ends, middle, side="right")
    lowest, highest = (np.array([first, last + 1]) << _DROPPED).astype(np.uint32).view(np.float32)

    def near(index: int) -> np.ndarray:
        numbers = part(index)
        single = _single(numbers)
        return numbers[(single >= lowest) & ~(single >= highest)]

    chosen = np.sort(np.concatenate(list(in_threads(near, range(count), workers=workers))))
    return float(chosen[middle - (ends[first] - counts[first])].mean())


def _single(numbers: np.ndarray) -> np.ndarray:
    return np.ascontiguousarray(numbers, np.float32)
