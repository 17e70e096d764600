"""Which points have another one nearby, compiled."""

from __future__ import annotations

import numpy as np

from ...kernels.compile import compiled
from .voxels_cpu import CELLS

_MOST = 8  # voxels; to look farther takes longer than a k-d tree does


@compiled()
def company_cpu(points, keys, voxel, near, first, last, company):
    """Fill `company` for the points first … last − 1: 1 with another point nearby, 0 without, −1 where that is farther
    than a few voxels.

    Voxels are in lexicographic order, so those of a column of voxels lie side by side: one search finds them.

    Args:
        points: [N, 3], float64, one of each voxel.
        keys: Of their voxels, ascending [N], int64; all of one size.
        voxel: Edge of the voxels.
        near: How near is nearby, for each point [N], float64.
        first, last: Which points.
        company: Output [N], int8.
    """
    low, high = np.empty(3, np.int64), np.empty(3, np.int64)
    for point in range(first, last):
        company[point] = 1
        if point > 0 and _within(points, point, point - 1, near[point]):
            continue
        if point + 1 < len(points) and _within(points, point, point + 1, near[point]):
            continue
        if not near[point] <= _MOST * voxel:
            company[point] = -1
            continue
        for axis in range(3):
            low[axis] = max(0, np.int64(np.floor((points[point, axis] - near[point]) / voxel)) + CELLS)
            high[axis] = min(2 * CELLS - 1, np.int64(np.floor((points[point, axis] + near[point]) / voxel)) + CELLS)
        company[point] = _in_columns(points, keys, point, near[point], low, high)


@compiled()
def _in_columns(points, keys, point, near, low, high):
    """Whether another point in the voxels low … high [3] lies nearby."""
    for x in range(low[0], high[0] + 1):
        for y in range(low[1], high[1] + 1):
            column = x << 42 | y << 21
            other = np.searchsorted(keys, column | low[2])
            while other < len(keys) and keys[other] <= column | high[2]:
                if other != point and _within(points, point, other, near):
                    return True
                other += 1
    return False


@compiled()
def _within(points, point, other, near):
    """Whether two points are no farther apart than that."""
    x, y, z = (
        points[other, 0] - points[point, 0],
        points[other, 1] - points[point, 1],
        points[other, 2] - points[point, 2],
    )
    return np.sqrt(x * x + y * y + z * z) <= near
