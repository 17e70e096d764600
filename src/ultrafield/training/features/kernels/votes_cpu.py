"""Shares of the masks that pairs of voxels have in common, on the CPU."""

from __future__ import annotations

import numpy as np
from numba import prange

from ....kernels.bits_cpu import weigh_bits
from ....kernels.compile import compiled

_CHUNK = 256  # pairs that one thread compares in turn


@compiled(parallel=True)
def vote_shares_cpu(pairs, rows, codes, sums, weights, shares):
    """Write `shares` [K], float32; the other arguments are those of `vote_shares_gpu`, with rows as uint64.

    Few views show a voxel; those that show the first one are found once for pairs that follow each other.
    """
    for chunk in prange(-(-len(pairs) // _CHUNK)):
        views, count, known = np.empty(codes.shape[1], np.int64), 0, -1
        for pair in range(chunk * _CHUNK, min(chunk * _CHUNK + _CHUNK, len(pairs))):
            first, second = pairs[pair, 0], pairs[pair, 1]
            shares[pair] = 0.0
            if first < 0 or second < 0:
                continue
            if first != known:
                known, count = first, 0
                for view in range(codes.shape[1]):
                    if sums[first, view] >= 0:
                        views[count] = view
                        count += 1
            both = around = 0.0
            for view in views[:count]:
                one, other = sums[first, view], sums[second, view]
                if other < 0:
                    continue
                common, here, there = 0.0, codes[first, view], codes[second, view]
                if here == there:
                    common = one
                else:
                    for word in range(rows.shape[1]):
                        common += weigh_bits(rows[here, word] & rows[there, word], weights[view], 64 * word)
                both += common
                around += one + other - common
            if around > 0:
                shares[pair] = both / around
