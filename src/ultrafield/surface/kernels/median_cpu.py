"""Counts of numbers by their first bits, compiled: `np.bincount` holds the interpreter's lock."""

from __future__ import annotations

import numpy as np

from ...kernels.compile import compiled


@compiled()
def count_bits(bits: np.ndarray, dropped: int, counts: np.ndarray) -> None:
    """Add one to the bin of each number.

    Args:
        bits: Of the numbers [N], uint32.
        dropped: How many of the last bits do not choose the bin.
        counts: [as many as there are bins], int64; changed in place.
    """
    for number in range(len(bits)):
        counts[bits[number] >> np.uint32(dropped)] += 1
