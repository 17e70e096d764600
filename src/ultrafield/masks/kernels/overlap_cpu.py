"""Pixels that masks share, compiled for the CPU."""

from __future__ import annotations

import numpy as np
from numba import uint64

from ...kernels.bits_cpu import lowest_bit
from ...kernels.compile import compiled


@compiled()
def add_shared(rows, counts, shared):
    """Add, for every distinct membership, its pixels to all pairs of masks that hold it.

    Args:
        rows: Packed memberships [C, W], uint64.
        counts: Pixels that have each [C], int64.
        shared: Pixels that masks i and j share [M, M], added to.
    """
    members = np.empty(len(shared), np.int64)
    for row in range(len(rows)):
        count = 0
        for index in range(rows.shape[1]):
            word = rows[row, index]
            while word != uint64(0):
                members[count] = 64 * index + lowest_bit(word)
                count += 1
                word &= word - uint64(1)
        for one in members[:count]:
            for other in members[:count]:
                shared[one, other] += counts[row]
