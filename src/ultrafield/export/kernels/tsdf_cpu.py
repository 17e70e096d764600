"""Depth maps added up into a truncated signed distance, compiled."""

from __future__ import annotations

import numpy as np
from numba import prange

from ...kernels.compile import compiled


@compiled(parallel=True)
def pinhole_pixels_cpu(points, pose, intrinsics, pixels, depth):
    """Pixel coordinates and depth of points in a camera without distortion, as `project` finds them.

    Args:
        points: [N, 3], float32, the camera's frame.
        pose: Camera to world [3, 4], float64.
        intrinsics: fx, fy, cx, cy in pixels [4], float64.
        pixels: Output [N, 2], float64; NaN behind the camera.
        depth: Output [N], float64.
    """
    fx, fy, cx, cy = intrinsics[0], intrinsics[1], intrinsics[2], intrinsics[3]
    for point in prange(len(points)):
        x, y, z = points[point, 0] - pose[0, 3], points[point, 1] - pose[1, 3], points[point, 2] - pose[2, 3]
        along = x * pose[0, 2] + y * pose[1, 2] + z * pose[2, 2]
        depth[point] = along
        if along > 0:
            pixels[point, 0] = (x * pose[0, 0] + y * pose[1, 0] + z * pose[2, 0]) / along * fx + cx
            pixels[point, 1] = (x * pose[0, 1] + y * pose[1, 1] + z * pose[2, 1]) / along * fy + cy
        else:
            pixels[point, 0] = pixels[point, 1] = np.nan


@compiled()
def _depth_at(depth, column, row, room):
    """z-depth that a picture shows at pixel coordinates inside it; 0 where nothing is seen.

    Between four pixels of one surface the inverse depth, which is linear on a plane, is interpolated; elsewhere it is
    the nearest pixel's.
    """
    height, width = depth.shape
    left, top = int(np.floor(column - 0.5)), int(np.floor(row - 0.5))
    if left >= 0 and top >= 0 and left + 1 < width and top + 1 < height:
        a, b, c, d = depth[top, left], depth[top, left + 1], depth[top + 1, left], depth[top + 1, left + 1]
        low, high = min(min(a, b), min(c, d)), max(max(a, b), max(c, d))
        if low > 0 and high - low < room:
            right, down = column - 0.5 - left, row - 0.5 - top
            inverse = (1 - down) * ((1 - right) / a + right / b) + down * ((1 - right) / c + right / d)
            return 1.0 / inverse
    return float(depth[min(int(row), height - 1), min(int(column), width - 1)])


@compiled(parallel=True)
def integrate_cpu(pixels, along, rows, depth, reach, room, sums, weights):
    """Add what one view says of voxels to their signed distances.

    A voxel in front of what the view shows is outside, by `reach` at most; just behind it is inside, which counts less
    the deeper it lies, so that the far side of a thin wall is not filled from the near side.

    Args:
        pixels: Where the view sees the centres [N, 2], float64; NaN where it does not.
        along: Their z-depth [N], float64.
        rows: The voxel of each [N], int64, all different.
        depth: The view's depth map [H, W], float32; 0 where it looks through.
        reach: Truncation of the distance in front.
        room: Difference of depth between neighbouring pixels of one surface, at most.
        sums: Weighted distances [K], float32; changed.
        weights: Weights [K], float32; changed.
    """
    height, width = depth.shape
    behind = 0.75 * reach
    for item in prange(len(rows)):
        column, row = pixels[item, 0], pixels[item, 1]
        if not (column >= 0 and row >= 0 and column < width and row < height):
            continue
        surface = _depth_at(depth, column, row, room)
        distance = surface - along[item] if surface > 0 else reach
        if distance <= -behind:
            continue
        weight = 1.0
        if distance < 0:
            weight = 1.0 + distance / behind
        elif distance >= reach:
            distance, weight = reach, 0.5
        sums[rows[item]] += weight * distance
        weights[rows[item]] += weight
