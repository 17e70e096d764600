"""Nearest neighbours among points in the plane, on the CPU."""

from __future__ import annotations

import numpy as np
from numba import prange

from ....kernels.compile import compiled


@compiled(parallel=True)
def nearest_in_plane(points, count):
    """The `count` nearest other points of each point, the nearest first.

    From every point the others are visited to both sides, until they are too far even along the first coordinate: for
    n points spread over a picture, some √n of them.

    Args:
        points: Coordinates [n, 2], float64, in ascending order of the first.
        count: In [1, n).

    Returns:
        Indices [n, count], int64. Of points at one distance, those visited first.
    """
    nearest = np.empty((len(points), count), np.int64)
    squares = np.full((len(points), count), np.inf)
    for point in prange(len(points)):
        left, right, farthest = point - 1, point + 1, np.inf
        while left >= 0 or right < len(points):
            if left >= 0:
                across = (points[point, 0] - points[left, 0]) ** 2
                square = across + (points[point, 1] - points[left, 1]) ** 2
                if square < farthest:
                    farthest = _keep(squares[point], nearest[point], square, left)
                left = left - 1 if across < farthest else -1
            if right < len(points):
                across = (points[right, 0] - points[point, 0]) ** 2
                square = across + (points[right, 1] - points[point, 1]) ** 2
                if square < farthest:
                    farthest = _keep(squares[point], nearest[point], square, right)
                right = right + 1 if across < farthest else len(points)
    return nearest


@compiled(inline="always")
def _keep(squares, nearest, square, other):
    """Put a point in its place among the nearest, and return how far the last of them is."""
    place = len(squares) - 1
    while place > 0 and squares[place - 1] > square:
        squares[place], nearest[place] = squares[place - 1], nearest[place - 1]
        place -= 1
    squares[place], nearest[place] = square, other
    return squares[-1]
