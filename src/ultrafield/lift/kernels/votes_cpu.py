"""Votes of one view's masks on every edge, compiled."""

from __future__ import annotations

import numpy as np
from numba import prange, uint64

from ...kernels.bits_cpu import lowest_bit, weigh_bits
from ...kernels.compile import compiled


@compiled()
def count_members(codes: np.ndarray, seen: np.ndarray, labels: np.ndarray, members: np.ndarray) -> None:
    """Add the points of each region that each mask of one view holds to `members`, in place.

    Args:
        codes: Packed mask memberships of every point in this view [N, W], uint64.
        seen: Whether the view sees the point [N], bool; others are not counted.
        labels: Region of every point [N], int64.
        members: [R, 64 W], int64.
    """
    for point in range(len(codes)):
        if seen[point]:
            row = members[labels[point]]
            for word in range(codes.shape[1]):
                bits = codes[point, word]
                while bits != uint64(0):
                    row[64 * word + lowest_bit(bits)] += 1
                    bits &= bits - uint64(1)


@compiled(parallel=True)
def add_votes_cpu(
    edges: np.ndarray, codes: np.ndarray, seen: np.ndarray, weights: np.ndarray, both: np.ndarray, either: np.ndarray
) -> None:
    """Add one view's votes to `both` and `either`, in place.

    Nearly all edges of a view join points that lie in the same masks, so each point's sum is taken once, and masks are
    told apart only where the two ends differ.

    Args:
        edges: [E, 2], int64.
        codes: Packed mask memberships of every point in this view [N, W], uint64; ignored where not seen.
        seen: Whether the view sees the point [N], bool.
        weights: Weight of every mask, zero-padded [64 W], float64.
        both: Weights of the masks that hold both ends, summed over views [E], float64.
        either: Weights of the masks that hold either end, summed over views [E], float64.
    """
    words = codes.shape[1]
    sums = np.zeros(len(codes))
    for point in prange(len(codes)):
        if seen[point]:
            total = 0.0
            for word in range(words):
                total += weigh_bits(codes[point, word], weights, 64 * word)
            sums[point] = total
    for edge in prange(len(edges)):
        first, second = edges[edge, 0], edges[edge, 1]
        if seen[first] and seen[second]:
            equal = True
            for word in range(words):
                equal = equal and codes[first, word] == codes[second, word]
            shared = sums[first]
            if not equal:
                shared = 0.0
                for word in range(words):
                    shared += weigh_bits(codes[first, word] & codes[second, word], weights, 64 * word)
            both[edge] += shared
            either[edge] += sums[first] + sums[second] - shared
