"""The vote of the nearest numbered points on a pixel."""

from __future__ import annotations

import numpy as np
from numba import prange

from ...kernels.compile import compiled


@compiled(parallel=True)
def vote(nearest, distance, numbers, none, k, reach):
    """Most frequent number among the k nearest points that have one.

    Args:
        nearest: Candidates of each pixel [P, C], int64, near to far.
        distance: Their distances [P, C], float64.
        numbers: Number of each point [N], int64.
        none: The number that does not vote.
        k: Votes needed.
        reach: Distance within which all k must lie.

    Returns:
        Numbers [P], int64: `none` where fewer than k lie within reach, −1 where the candidates do not suffice to tell.
    """
    count, candidates = nearest.shape
    labels = np.empty(count, np.int64)
    for pixel in prange(count):
        votes = np.empty(k, np.int64)
        voters = 0
        last = 0
        while last < candidates and distance[pixel, last] <= reach and voters < k:
            number = numbers[nearest[pixel, last]]
            if number != none:
                votes[voters] = number
                voters += 1
            last += 1
        if voters == k:
            labels[pixel] = _most_frequent(votes)
        elif last < candidates:
            labels[pixel] = none
        else:
            labels[pixel] = -1
    return labels


@compiled()
def _most_frequent(votes):
    """The most frequent of a few numbers, the smallest of equals."""
    best, most = np.int64(-1), 0
    for candidate in votes:
        count = 0
        for other in votes:
            count += other == candidate
        if count > most or (count == most and candidate < best):
            best, most = candidate, count
    return best
