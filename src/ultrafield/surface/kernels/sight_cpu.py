"""Points against the depth map of one view, compiled."""

from __future__ import annotations

import numpy as np

from ...kernels.compile import compiled


@compiled()
def sight_cpu(
    points: np.ndarray,
    normals: np.ndarray,
    pixels: np.ndarray,
    z: np.ndarray,
    depth: np.ndarray,
    camera: np.ndarray,
    focal: float,
    room: np.ndarray,
    steepest: float,
    sees: np.ndarray,
    passes: np.ndarray,
) -> None:
    """Fill `sees` and `passes`, see `Sight`.

    In one thread: callers that look from many views give each one a thread of its own.

    Args:
        points: [N, 3], float64.
        normals: [N, 3], float64, of any length; zero where unknown.
        pixels: Where each point falls in the picture [N, 2], float64 (column, row); NaN for nowhere.
        z: Depth of each point [N], float64.
        depth: Depth map [H, W], 0 where nothing is seen.
        camera: Position of the camera [3], float64.
        focal: Focal length, pixels.
        room: Distance of each point's neighbours [N], float64.
        steepest: Tangent of the largest angle at which a surface counts as seen.
        sees: Output [N], bool, written fully.
        passes: Output [N], bool, written fully.
    """
    height, width = depth.shape
    for point in range(len(points)):
        sees[point] = passes[point] = False
        column, row = pixels[point]
        if not (column >= 0 and row >= 0 and column < width and row < height):
            continue
        surface = np.float64(depth[np.int64(row), np.int64(column)])
        product, normal_square, distance_square = 0.0, 0.0, 0.0
        for axis in range(3):
            towards = camera[axis] - points[point, axis]
            product += normals[point, axis] * towards
            normal_square += normals[point, axis] * normals[point, axis]
            distance_square += towards * towards
        length = np.sqrt(normal_square) * np.sqrt(distance_square)
        facing = product / length if length > 0 else 1.0
        cosine = min(max(facing, 1.0 / steepest), 1.0)
        half_pixel = np.sqrt(0.5) * z[point] / focal
        tolerance = room[point] + half_pixel * np.sqrt(1.0 - cosine * cosine) / cosine
        sees[point] = surface > 0 and facing > 0 and abs(z[point] - surface) <= tolerance
        passes[point] = surface == 0 or z[point] < surface - 3.0 * tolerance
