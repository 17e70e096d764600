"""A depth map of a point cloud, compiled: every point is a small disc on its surface."""

from __future__ import annotations

import numpy as np

from ...kernels.compile import compiled


@compiled()
def splat_cpu(
    local: np.ndarray,
    normals: np.ndarray,
    radii: np.ndarray,
    pixels: np.ndarray,
    rays: np.ndarray,
    focal: float,
    steepest: float,
    depth: np.ndarray,
) -> None:
    """Lower `depth` to the nearest disc that each pixel's ray meets.

    In one thread: callers that look from many views give each one a thread of its own.

    Args:
        local: Points in the camera's axes [N, 3], float64.
        normals: Normals in the camera's axes [N, 3], float64, unit length; zero where unknown.
        radii: Radius of each disc [N], float64.
        pixels: Where each point falls in the picture [N, 2], float64 (column, row); NaN for nowhere.
        rays: Direction through each pixel's centre, with z = 1 [H, W, 3], float64; NaN for none.
        focal: Focal length, pixels.
        steepest: Tangent of the largest angle at which a disc is drawn along its surface; steeper ones, and those
            without a normal, face the camera.
        depth: z-depth [H, W], float64, infinite where nothing is seen yet; changed in place.
    """
    height, width = depth.shape
    for point in range(len(local)):
        column, row = pixels[point]
        z = local[point, 2]
        if not (z > 0 and column >= 0 and row >= 0 and column < width and row < height):
            continue
        depth[int(row), int(column)] = min(depth[int(row), int(column)], z)
        reach = radii[point] * focal / z
        slope = _slope(local[point], normals[point], steepest)
        for y in range(max(0, int(np.ceil(row - reach - 0.5))), min(height, int(np.floor(row + reach - 0.5)) + 1)):
            first, last = int(np.ceil(column - reach - 0.5)), int(np.floor(column + reach - 0.5))
            for x in range(max(0, first), min(width, last + 1)):
                z = _meet(rays[y, x], local[point], normals[point], slope, radii[point])
                depth[y, x] = min(depth[y, x], z)


@compiled(inline="always")
def _slope(point, normal, steepest):
    """Whether the disc is drawn along its surface: the angle at which it is seen is below the steepest one."""
    product = point[0] * normal[0] + point[1] * normal[1] + point[2] * normal[2]
    square = point[0] * point[0] + point[1] * point[1] + point[2] * point[2]
    return product * product * (1.0 + steepest * steepest) > square


@compiled(inline="always")
def _meet(ray, point, normal, slope, radius):
    """z-depth at which a ray meets the disc around a point; infinite where it passes by."""
    z = point[2]
    if slope:
        along = ray[0] * normal[0] + ray[1] * normal[1] + ray[2] * normal[2]
        z = (point[0] * normal[0] + point[1] * normal[1] + point[2] * normal[2]) / along if along != 0 else np.inf
    x, y, off = z * ray[0] - point[0], z * ray[1] - point[1], z - point[2]
    return z if z > 0 and x * x + y * y + off * off <= radius * radius else np.inf
