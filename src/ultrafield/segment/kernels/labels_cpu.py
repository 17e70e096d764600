"""Majority votes of neighbouring surface points on every pixel at every cut, compiled."""

from __future__ import annotations

import numpy as np
from numba import njit, prange


@njit(cache=True, nogil=True, parallel=True)
def vote_labels_cpu(table: np.ndarray, neighbors: np.ndarray, labels: np.ndarray) -> None:
    """Fill `labels` with the most frequent segment among each pixel's neighbours.

    Args:
        table: Segment of each of N points at each cut [N, L], int32.
        neighbors: Points that vote on each pixel, nearest first [P, K], int32; −1 after the last.
        labels: Output [L, P], int32, written fully; −1 for pixels without neighbours. Of equally frequent segments the
            one with the nearest point wins.
    """
    cuts, most = table.shape[1], neighbors.shape[1]
    for pixel in prange(len(neighbors)):
        voters = 0
        while voters < most and neighbors[pixel, voters] >= 0:
            voters += 1
        for cut in range(cuts):
            winner, winner_votes = np.int32(-1), 0
            for first in range(voters):
                candidate = table[neighbors[pixel, first], cut]
                votes = 1
                for other in range(first + 1, voters):
                    votes += table[neighbors[pixel, other], cut] == candidate
                # A later occurrence of the same candidate counts fewer votes, so it cannot win by mistake.
                if votes > winner_votes:
                    winner, winner_votes = candidate, votes
            labels[cut, pixel] = winner
