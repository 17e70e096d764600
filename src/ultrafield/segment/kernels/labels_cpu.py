"""Majority votes of neighbouring surface points on every pixel at every cut, compiled."""

from __future__ import annotations

import numpy as np
from numba import njit


@njit(cache=True, nogil=True, inline="always")
def _majority(table, voters, cut):
    """The most frequent segment of the voters, of equals the one whose first voter comes first."""
    winner, winner_votes = table[voters[0], cut], 0
    for first in range(len(voters)):
        if winner_votes >= len(voters) - first:
            break  # those that are left are too few
        candidate = table[voters[first], cut]
        votes = 1
        for other in range(first + 1, len(voters)):
            votes += table[voters[other], cut] == candidate
        # A later occurrence of the same candidate counts fewer votes, so it cannot win by mistake.
        if votes > winner_votes:
            winner, winner_votes = candidate, votes
    return winner


@njit(cache=True, nogil=True)
def vote_labels_cpu(table: np.ndarray, neighbors: np.ndarray, labels: np.ndarray) -> None:
    """Fill `labels` with the most frequent segment among each pixel's neighbours.

    In one thread: whoever labels many views gives each one a thread of its own.

    Args:
        table: Segment of each of N points at each cut [N, L], int32.
        neighbors: Points that vote on each pixel, nearest first [P, K], int32; −1 after the last.
        labels: Output [P, L], int32, written fully; −1 for pixels without neighbours. Of equally frequent segments the
            one with the nearest point wins.
    """
    cuts, most = table.shape[1], neighbors.shape[1]
    differences = np.empty(cuts, np.int32)
    for pixel in range(len(neighbors)):
        voters = 0
        while voters < most and neighbors[pixel, voters] >= 0:
            voters += 1
        if voters == 0:
            labels[pixel] = -1
            continue
        # Most voters agree at most cuts: first find where they do not, in loops that become vector instructions.
        nearest = table[neighbors[pixel, 0]]
        differences[:] = 0
        for voter in range(1, voters):
            other = table[neighbors[pixel, voter]]
            for cut in range(cuts):
                differences[cut] |= other[cut] ^ nearest[cut]
        for cut in range(cuts):
            united = differences[cut] == 0
            labels[pixel, cut] = nearest[cut] if united else _majority(table, neighbors[pixel, :voters], cut)
