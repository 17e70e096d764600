"""Where one view sees every surface point, and the masks that hold it there, compiled.

In one thread each: callers that look from many views give each one a thread of its own.
"""

from __future__ import annotations

import numpy as np
from numba import uint64

from ...kernels.compile import compiled


@compiled()
def pinhole_cells_cpu(
    points: np.ndarray, visible: np.ndarray, pose: np.ndarray, intrinsics: np.ndarray, width: int, height: int
) -> np.ndarray:
    """The pixel of a view without distortion that holds each point, as `project` and `pixel_indices` find it.

    Args:
        points: [N, 3], float32, the camera's frame.
        visible: Whether the view sees the point [ceil(N / 8)], uint8, packed along N (little-endian bit order).
        pose: Camera to world [3, 4], float64.
        intrinsics: fx, fy, cx, cy in pixels [4], float64.
        width: Of the picture, pixels.
        height: Likewise.

    Returns:
        Row-major index of the pixel [N], int64; -1 where the point is not seen or falls beside the picture.
    """
    cells = np.full(len(points), -1, np.int64)
    fx, fy, cx, cy = intrinsics[0], intrinsics[1], intrinsics[2], intrinsics[3]
    for point in range(len(points)):
        if (visible[point >> 3] >> (point & 7)) & 1:
            x, y, z = points[point, 0] - pose[0, 3], points[point, 1] - pose[1, 3], points[point, 2] - pose[2, 3]
            depth = x * pose[0, 2] + y * pose[1, 2] + z * pose[2, 2]
            if depth > 0:
                column = (x * pose[0, 0] + y * pose[1, 0] + z * pose[2, 0]) / depth * fx + cx
                row = (x * pose[0, 1] + y * pose[1, 1] + z * pose[2, 1]) / depth * fy + cy
                if column >= 0 and row >= 0 and column < width and row < height:
                    cells[point] = np.int64(row) * width + np.int64(column)
    return cells


@compiled()
def cell_codes_cpu(cells: np.ndarray, bits: np.ndarray, masks: int) -> tuple[np.ndarray, np.ndarray]:
    """The masks that hold each point, by the membership of its pixel.

    Args:
        cells: Row of `bits` of each point [N], int64; -1 where it is not seen.
        bits: Packed memberships [P, ceil(M / 64)], uint64.
        masks: Number of masks M; what none of them holds gets bit M.

    Returns:
        Packed memberships [N, M // 64 + 1], uint64, zero where not seen; and which points are seen [N], bool.
    """
    codes = np.zeros((len(cells), masks // 64 + 1), np.uint64)
    seen = np.zeros(len(cells), np.bool_)
    uncovered = uint64(1) << uint64(masks % 64)
    for point in range(len(cells)):
        cell = cells[point]
        if cell >= 0:
            seen[point] = True
            covered = uint64(0)
            for word in range(bits.shape[1]):
                codes[point, word] = bits[cell, word]
                covered |= bits[cell, word]
            if covered == 0:
                codes[point, masks // 64] = uncovered
    return codes, seen
