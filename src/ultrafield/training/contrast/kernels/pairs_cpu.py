"""Draws from packed sets of pixels, and the pruning of a neighbour table, on the CPU."""

from __future__ import annotations

import numpy as np
from numba import prange

from ....kernels.bits_cpu import lowest_bit
from ....kernels.compile import compiled


@compiled(parallel=True)
def draw_members(words, cumulative, rows, ranks):
    """Members of given ranks of packed sets.

    Args:
        words: Packed sets [R, W], uint64; bit k % 64 of word k // 64 is set if the set holds k.
        cumulative: Members up to and including each word [R, W], int64.
        rows: Sets to draw from [T], int64.
        ranks: Ranks below the size of the set [T, P], int64.

    Returns:
        Members [T, P], int64.
    """
    members = np.empty(ranks.shape, np.int64)
    for task in prange(len(rows)):
        row = rows[task]
        for draw in range(ranks.shape[1]):
            rank = ranks[task, draw]
            word = np.searchsorted(cumulative[row], rank, side="right")
            before = cumulative[row, word - 1] if word > 0 else 0
            bits = words[row, word]
            for _ in range(rank - before):
                bits &= bits - np.uint64(1)  # clears the lowest bit
            members[task, draw] = 64 * word + lowest_bit(bits)
    return members


@compiled()
def first_mentions(neighbors):
    """Mark the entries of a neighbour table [N, K] that name a pair for the first time [N, K] bool; -1 names none."""
    fresh = np.empty(neighbors.shape, np.bool_)
    for node in range(neighbors.shape[0]):
        for column in range(neighbors.shape[1]):
            other = neighbors[node, column]
            repeated = other < 0
            if 0 <= other < node:
                for back in neighbors[other]:
                    repeated |= back == node
            fresh[node, column] = not repeated
    return fresh
