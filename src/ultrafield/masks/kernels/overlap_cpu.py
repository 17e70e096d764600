"""Pixels that masks share, compiled for the CPU."""

from __future__ import annotations

import numpy as np
from numba import uint64

from ...kernels.bits_cpu import lowest_bit
from ...kernels.compile import compiled


@compiled()
def add_shared(pixels, starts, lengths, shared):
    """Add, for every run of equal pixels, its length to all pairs of masks that hold it.

    Args:
        pixels: Packed memberships [P, W], uint64.
        starts: First pixel of each run [R], int64.
        lengths: Its pixels [R], int64.
        shared: Pixels that masks i and j share [M, M], added to.
    """
    members = np.empty(len(shared), np.int64)
    for run in range(len(starts)):
        count = 0
        for index in range(pixels.shape[1]):
            word = pixels[starts[run], index]
            while word != uint64(0):
                members[count] = 64 * index + lowest_bit(word)
                count += 1
                word &= word - uint64(1)
        for one in members[:count]:
            for other in members[:count]:
                shared[one, other] += lengths[run]
