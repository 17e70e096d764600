"""Majority votes of neighbouring surface points on every pixel at every cut, compiled."""

from __future__ import annotations

import numpy as np

from ...kernels.compile import compiled
from .rows_cpu import number_row_cpu


@compiled(inline="always")
def _majority(segments, votes, voters, all_votes):
    """The one of the first segments with most votes; on a tie, the one whose first voter comes first."""
    winner, most = segments[0], 0
    for first in range(voters):
        candidate, total = segments[first], 0
        for other in range(voters):  # those before `first` too: all without branches
            total += votes[other] * (segments[other] == candidate)
        if total > most:
            winner, most = candidate, total
        if 2 * most >= all_votes:
            break  # the others together have no more
    return winner


@compiled()
def vote_cpu(point_columns: np.ndarray, table: np.ndarray, neighbors: np.ndarray, index: np.ndarray) -> np.ndarray:
    """Fill `index` with the column of the most frequent segments among each pixel's neighbours.

    Runs in one thread: callers with many views give each view its own.

    Args:
        point_columns: Column of each of N points [N], int32.
        table: Segment ids of each column of points [D, L], int32.
        neighbors: Points that vote on each pixel, nearest first [P, K], int32; −1 after the last.
        index: Output [P], int32, written fully.

    Returns:
        The columns of the pixels, in the order in which they first occur [C, L], int32; −1 for pixels without
        neighbours. Of equally frequent segments the one with the nearest point wins.
    """
    cuts, most = table.shape[1], neighbors.shape[1]
    columns, slots, count = np.empty((64, cuts), np.int32), np.full(256, -1, np.int32), 0
    own = np.full(len(table) + 1, -1, np.int32)  # column of pixels that a column of points, or none, is
    differences, row = np.empty(cuts, np.int32), np.empty(cuts, np.int32)
    voting, votes, segments = np.empty(most, np.int32), np.empty(most, np.int32), np.empty(most, np.int32)
    for pixel in range(len(neighbors)):
        voters = _distinct(point_columns, neighbors[pixel], voting, votes)
        united, first = voters <= 1, voting[0] if voters > 0 else len(table)
        if united and own[first] >= 0:
            index[pixel] = own[first]
            continue
        if voters == 0:
            row[:] = -1
        elif united:
            row[:] = table[first]
        else:
            _vote_row(table, voting, votes, voters, segments, differences, row)
        index[pixel], columns, count, slots = number_row_cpu(row, columns, count, slots)
        if united:
            own[first] = index[pixel]
    return columns[:count].copy()


@compiled(inline="always")
def _distinct(point_columns, neighbors, voting, votes):
    """The columns of a pixel's neighbours, each once, in the order of the nearest; and how many vote for each."""
    count, nearest = 0, 0
    while nearest < len(neighbors) and neighbors[nearest] >= 0:
        column, at = point_columns[neighbors[nearest]], 0
        while at < count and voting[at] != column:
            at += 1
        if at == count:
            voting[at], votes[at] = column, 0
            count += 1
        votes[at] += 1
        nearest += 1
    return count


@compiled(inline="always")
def _vote_row(table, columns, votes, voters, segments, differences, row):
    """Fill `row` [L] with the majority of the first voters at every cut; `segments` and `differences` are scratch."""
    nearest, all_votes = columns[0], votes[0]
    # Most voters agree at most cuts: first find where they do not, in loops that become vector instructions.
    for cut in range(len(row)):
        differences[cut] = 0
        row[cut] = table[nearest, cut]
    for voter in range(1, voters):
        column = columns[voter]
        all_votes += votes[voter]
        for cut in range(len(row)):
            differences[cut] |= table[column, cut] ^ row[cut]
    for cut in range(len(row)):
        if differences[cut] == 0:
            continue
        for voter in range(voters):
            segments[voter] = table[columns[voter], cut]
        row[cut] = _majority(segments, votes, voters, all_votes)
