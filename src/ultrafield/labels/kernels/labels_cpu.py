"""Majority votes of neighbouring surface points on every pixel at every cut, compiled."""

from __future__ import annotations

import numpy as np

from ...kernels.compile import compiled
from .rows_cpu import number_row_cpu


@compiled(inline="always")
def _majority(table, voters, cut):
    """The most frequent segment of the voters; on a tie, the one whose first voter comes first."""
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
    voted, row, voting = np.empty(cuts, np.int32), np.empty(cuts, np.int32), np.empty(most, np.int32)
    for pixel in range(len(neighbors)):
        voters, united = 0, True
        while voters < most and neighbors[pixel, voters] >= 0:
            voting[voters] = point_columns[neighbors[pixel, voters]]
            united &= voting[voters] == voting[0]
            voters += 1
        first = voting[0] if voters > 0 else len(table)
        if united and own[first] >= 0:
            index[pixel] = own[first]
            continue
        if voters == 0:
            row[:] = -1
        elif united:
            row[:] = table[first]
        else:
            _vote_row(table, voting[:voters], voted, row)
        index[pixel], columns, count, slots = number_row_cpu(row, columns, count, slots)
        if united:
            own[first] = index[pixel]
    return columns[:count].copy()


@compiled(inline="always")
def _vote_row(table, voters, differences, row):
    """Fill `row` [L] with the majority at every cut; `differences` [L] is overwritten."""
    nearest = table[voters[0]]
    # Most voters agree at most cuts: first find where they do not, in loops that become vector instructions.
    differences[:] = 0
    for voter in range(1, len(voters)):
        other = table[voters[voter]]
        for cut in range(len(row)):
            differences[cut] |= other[cut] ^ nearest[cut]
    for cut in range(len(row)):
        row[cut] = nearest[cut] if differences[cut] == 0 else _majority(table, voters, cut)
