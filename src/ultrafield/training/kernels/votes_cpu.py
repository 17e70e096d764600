"""Shares of the masks that pairs of voxels have in common, on the CPU."""

from __future__ import annotations

import numpy as np
from numba import njit, prange


@njit(cache=True, nogil=True, parallel=True)
def vote_shares_cpu(pairs, codes, sums, weights, shares):
    """Fill `shares` [K]; for the other arguments see `vote_shares_gpu`, whose int64 codes are uint64 here."""
    for pair in prange(len(pairs)):
        first, second = pairs[pair]
        both = around = 0.0
        if first >= 0 and second >= 0:
            for view in range(codes.shape[1]):
                one, other = sums[first, view], sums[second, view]
                if one >= 0 and other >= 0:
                    common = _common(codes[first, view], codes[second, view], weights[view])
                    both += common
                    around += one + other - common
        shares[pair] = both / around if around > 0 else 0.0


@njit(cache=True, nogil=True)
def _common(one, other, weights):
    """Summed weights of the masks whose bits are set in both [W]."""
    total = 0.0
    for word in range(len(one)):
        shared, mask = one[word] & other[word], 64 * word
        while shared:
            if shared & np.uint64(1):
                total += weights[mask]
            shared >>= np.uint64(1)
            mask += 1
    return total
