"""Points against the depth map of one view, compiled."""

from __future__ import annotations

import numpy as np

from ...cameras.kernels.project_cpu import project_pinhole
from ...kernels.compile import compiled

_AT_ONCE = 1 << 10  # points whose pixels stay in the cache


@compiled()
def sight_cpu(points, normals, pixels, z, depth, camera, focal, room, steepest, says):
    """Fill `says`, see `Sight`, for points that were projected.

    In one thread: callers that look from many views give each one a thread of its own.

    Args:
        points: [N, 3], float64.
        normals: [N, 3], float64, of any length; zero where unknown.
        pixels: Where each point falls in the picture [N, 2], float64 (column, row); NaN for nowhere.
        z: Depth of each point [N], float64.
        depth: Depth map [H, W], 0 where nothing is seen.
        camera: Camera to world [3, 4], float64.
        focal: Focal length, pixels.
        room: Distance of each point's neighbours [N], float64.
        steepest: Tangent of the largest angle at which a surface counts as seen.
        says: Output [N], int8, written fully.
    """
    height, width = depth.shape
    for point in range(len(points)):
        says[point] = 0
        column, row = pixels[point, 0], pixels[point, 1]
        if not (column >= 0 and row >= 0 and column < width and row < height):
            continue
        surface = np.float64(depth[np.int64(row), np.int64(column)])
        half_pixel = np.sqrt(0.5) * z[point] / focal
        if surface > 0 and z[point] - surface > 1.001 * (room[point] + half_pixel * steepest):
            continue  # hidden, however slanted it is
        product, normal_square, distance_square = 0.0, 0.0, 0.0
        for axis in range(3):
            towards = camera[axis, 3] - points[point, axis]
            product += normals[point, axis] * towards
            normal_square += normals[point, axis] * normals[point, axis]
            distance_square += towards * towards
        length = np.sqrt(normal_square) * np.sqrt(distance_square)
        facing = product / length if length > 0 else 1.0
        cosine = min(max(facing, 1.0 / steepest), 1.0)
        tolerance = room[point] + half_pixel * np.sqrt(1.0 - cosine * cosine) / cosine
        if surface > 0 and facing > 0 and abs(z[point] - surface) <= tolerance:
            says[point] = 1
        elif surface == 0 or z[point] < surface - 3.0 * tolerance:
            says[point] = -1


@compiled()
def sight_pinhole(points, normals, intrinsics, depth, camera, focal, room, steepest, says):
    """`sight_cpu` that projects the points itself, some at a time: for a camera without distortion.

    Args:
        intrinsics: fx, fy, cx, cy in pixels [4], float64.
        points, normals, depth, camera, focal, room, steepest, says: As for `sight_cpu`.
    """
    pixels, z = np.empty((_AT_ONCE, 2)), np.empty(_AT_ONCE)
    for first in range(0, len(points), _AT_ONCE):
        some = slice(first, min(len(points), first + _AT_ONCE))
        project_pinhole(points[some], camera, intrinsics, pixels, z)
        sight_cpu(points[some], normals[some], pixels, z, depth, camera, focal, room[some], steepest, says[some])
