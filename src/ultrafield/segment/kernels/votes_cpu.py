"""Votes of one view's masks on every edge, compiled."""

from __future__ import annotations

import numpy as np
from numba import njit, prange, uint64


@njit(cache=True, nogil=True, inline="always")
def _popcount(word):
    """Set bits of a uint64; LLVM recognises the pattern and emits one instruction where the CPU has it."""
    word = word - ((word >> uint64(1)) & uint64(0x5555555555555555))
    word = (word & uint64(0x3333333333333333)) + ((word >> uint64(2)) & uint64(0x3333333333333333))
    word = (word + (word >> uint64(4))) & uint64(0x0F0F0F0F0F0F0F0F)
    return (word * uint64(0x0101010101010101)) >> uint64(56)


@njit(cache=True, nogil=True, parallel=True)
def add_votes_cpu(edges: np.ndarray, codes: np.ndarray, seen: np.ndarray, both: np.ndarray, either: np.ndarray) -> None:
    """Add one view's votes to `both` and `either`, in place.

    Args:
        edges: [E, 2], int64.
        codes: Packed mask memberships of every point in this view [N, W], uint64; ignored where not seen.
        seen: Whether the view sees the point [N], bool.
        both: Masks that hold both ends, summed over views [E], int64.
        either: Masks that hold either end, summed over views [E], int64.
    """
    for edge in prange(len(edges)):
        first, second = edges[edge, 0], edges[edge, 1]
        if seen[first] and seen[second]:
            shared, all_of_them = uint64(0), uint64(0)
            for word in range(codes.shape[1]):
                shared += _popcount(codes[first, word] & codes[second, word])
                all_of_them += _popcount(codes[first, word] | codes[second, word])
            both[edge] += np.int64(shared)
            either[edge] += np.int64(all_of_them)
