"""Shares of the masks that pairs of voxels have in common, on the CPU."""

from __future__ import annotations

from numba import prange

from ....kernels.bits_cpu import weigh_bits
from ....kernels.compile import compiled


@compiled(parallel=True)
def vote_shares_cpu(pairs, rows, codes, sums, weights, shares):
    """Write `shares` [K], float32; the other arguments are those of `vote_shares_gpu`, with rows as uint64."""
    for pair in prange(len(pairs)):
        first, second = pairs[pair]
        both = around = 0.0
        if first >= 0 and second >= 0:
            for view in range(codes.shape[1]):
                one, other = sums[first, view], sums[second, view]
                if one >= 0 and other >= 0:
                    common = 0.0
                    here, there = rows[codes[first, view]], rows[codes[second, view]]
                    for word in range(rows.shape[1]):
                        shared = here[word] & there[word]
                        common += weigh_bits(shared, weights[view], 64 * word)
                    both += common
                    around += one + other - common
        shares[pair] = both / around if around > 0 else 0.0
