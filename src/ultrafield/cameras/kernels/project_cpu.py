"""Points as a camera without distortion sees them, and the points that pixels see, compiled."""

from __future__ import annotations

import numpy as np

from ...kernels.compile import compiled


@compiled()
def project_pinhole(
    points: np.ndarray, pose: np.ndarray, intrinsics: np.ndarray, pixels: np.ndarray, depth: np.ndarray
) -> None:
    """Fill `pixels` and `depth`, see `project`.

    In one thread: callers that look from many views give each one a thread of its own.

    Args:
        points: [N, 3], the camera's frame.
        pose: Camera to world [3, 4], float64.
        intrinsics: fx, fy, cx, cy in pixels [4], float64.
        pixels: Output [N, 2], float64 (column, row); NaN behind the camera.
        depth: Output [N], float64.
    """
    fx, fy, cx, cy = intrinsics[0], intrinsics[1], intrinsics[2], intrinsics[3]
    for point in range(len(points)):
        x, y, z = points[point, 0] - pose[0, 3], points[point, 1] - pose[1, 3], points[point, 2] - pose[2, 3]
        depth[point] = x * pose[0, 2] + y * pose[1, 2] + z * pose[2, 2]
        if depth[point] > 0:
            across, down = x * pose[0, 0] + y * pose[1, 0] + z * pose[2, 0], x * pose[0, 1] + y * pose[1, 1]
            down += z * pose[2, 1]
            pixels[point, 0], pixels[point, 1] = across / depth[point] * fx + cx, down / depth[point] * fy + cy
        else:
            pixels[point, 0] = pixels[point, 1] = np.nan


@compiled()
def points_of_depth(depth: np.ndarray, x: np.ndarray, y: np.ndarray, pose: np.ndarray, points: np.ndarray) -> None:
    """Fill `points`, see `back_project`.

    Args:
        depth: z-depth [H, W]; 0, negative or not finite where there is none.
        x, y: x/z and y/z of the ray through each pixel [H, W], float64; NaN for none.
        pose: Camera to world [3, 4], float64.
        points: Output [H, W, 3], float32.
    """
    for row in range(depth.shape[0]):
        for column in range(depth.shape[1]):
            z = np.float64(depth[row, column])
            for axis in range(3):
                if z > 0 and z < np.inf:
                    across = x[row, column] * z * pose[axis, 0] + y[row, column] * z * pose[axis, 1]
                    points[row, column, axis] = across + z * pose[axis, 2] + pose[axis, 3]
                else:
                    points[row, column, axis] = np.nan
