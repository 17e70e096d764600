"""Numbering of the distinct rows of packed memberships, compiled for the CPU."""

from __future__ import annotations

import numpy as np
from numba import uint64

from ...kernels.compile import compiled

_MULTIPLIER = 0x9E3779B97F4A7C15  # 2^64 / golden ratio, odd: spreads neighbouring numbers over the table


@compiled()
def _hash(row):
    """Slot of a row before it is cut to the size of the table."""
    value = uint64(len(row))
    for word in row:
        value = (value ^ word) * uint64(_MULTIPLIER)
        value ^= value >> uint64(29)
    return value


@compiled()
def _equal(one, other):
    for index in range(len(one)):  # noqa: SIM110 - compiled
        if one[index] != other[index]:
            return False
    return True


@compiled()
def _grown(pixels, first, found, size):
    """A table of `size` slots, a power of 2, for the first `found` rows."""
    slots = np.full(size, -1, np.int32)
    last = uint64(size - 1)
    for number in range(found):
        slot = _hash(pixels[first[number]]) & last
        while slots[slot] >= 0:
            slot = (slot + uint64(1)) & last
        slots[slot] = number
    return slots


@compiled()
def distinct_rows_cpu(pixels: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Number the distinct rows of packed memberships in the order in which they appear.

    Args:
        pixels: [P, W], uint64.

    Returns:
        Number of each pixel's row [P], int32; and the pixel in which each row appears first [C], int64.
    """
    numbers, first, found = np.empty(len(pixels), np.int32), np.empty(256, np.int64), 0
    slots = np.full(1024, -1, np.int32)
    for pixel in range(len(pixels)):
        if pixel > 0 and _equal(pixels[pixel], pixels[pixel - 1]):  # masks are areas
            numbers[pixel] = numbers[pixel - 1]
            continue
        last = uint64(len(slots) - 1)
        slot = _hash(pixels[pixel]) & last
        while slots[slot] >= 0 and not _equal(pixels[pixel], pixels[first[slots[slot]]]):
            slot = (slot + uint64(1)) & last
        if slots[slot] < 0:
            if found == len(first):
                first = np.concatenate((first, np.empty(found, np.int64)))
            first[found] = pixel
            slots[slot] = found
            found += 1
        numbers[pixel] = slots[slot]
        if 2 * found > len(slots):
            slots = _grown(pixels, first, found, 4 * len(slots))
    return numbers, first[:found].copy()
