"""Search in a running sum of which only some members are kept, on the CPU."""

from __future__ import annotations

import numpy as np

from ....kernels.compile import compiled


@compiled()
def find_pixels(wanted, ends, block, of_row, numbers):
    """The first pixel at which a running sum over pixels exceeds a number.

    Args:
        wanted: The numbers [N], float64.
        ends: The sum at the end of each block of pixels [B], float64.
        block: Pixels of a block; the last may have fewer.
        of_row: What a pixel of each kind adds [R], float64.
        numbers: The kind of each pixel [P].

    Returns:
        Pixels [N], int64; P where the sum exceeds the number nowhere.
    """
    found = np.empty(len(wanted), np.int64)
    for index in range(len(wanted)):
        part = np.searchsorted(ends, wanted[index], side="right")
        pixel = min(block * part, len(numbers))
        total = ends[part - 1] if part > 0 else 0.0
        while pixel < len(numbers):
            total += of_row[numbers[pixel]]
            if total > wanted[index]:
                break
            pixel += 1
        found[index] = pixel
    return found
