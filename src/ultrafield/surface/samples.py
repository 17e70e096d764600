"""The pixels of one depth map that lie on a surface, with their normals."""

from __future__ import annotations

from typing import Any

import numpy as np

from ..cameras import Cameras
from ..cameras.projection import pixel_slopes

# Greatest step in depth from one pixel to the next, in pixel footprints, that may be a surface and no jump: the tangent
# of the angle at which the surface is seen, 80°.
STEEPEST = 6.0
_AT_ONCE = 1 << 16  # pixels whose normals are made together


def focal_length(cameras: Cameras, index: int) -> float:
    """Geometric mean of the two focal lengths, in pixels; depth over it is the footprint of a pixel."""
    return float(np.sqrt(cameras.intrinsics[index, 0] * cameras.intrinsics[index, 1]))


def surface_samples(depth: np.ndarray, color: np.ndarray, cameras: Cameras, index: int) -> np.ndarray:
    """One row for every pixel on a continuous patch of the depth map.

    Args:
        depth: z-depth [H, W], 0 where nothing is seen, in the frame of `cameras`.
        color: [H, W, 3], 0 … 255.
        cameras: Cameras whose pictures have the depth map's size.
        index: Which camera.

    Returns:
        [P, 11], float64: position, unit normal towards the camera, colour, footprint, and a one; see `VoxelSums`.
    """
    from .kernels.patches_cpu import COLUMNS, patch_rows

    most = np.count_nonzero(depth > 0)
    table, places = np.empty((most, COLUMNS)), np.empty(most, np.int64)
    view = view_arguments(depth, color, cameras, index)
    return table[: patch_rows(*view, False, 0, len(depth), table, places)]


def normal_map(depth: np.ndarray, cameras: Cameras, index: int) -> np.ndarray:
    """Normals of the surface that a depth map shows, from the differences between neighbouring pixels.

    Args:
        depth: z-depth [H, W], 0 where nothing is seen, in the frame of `cameras`.
        cameras: Cameras whose pictures have the depth map's size.
        index: Which camera.

    Returns:
        [H, W, 3], float32, unit length, towards the camera, in its own axes (x right, y down, z forward); zero where
        nothing is seen or the depth map jumps on all sides. Pixels that lie on no continuous patch have normals too,
        but less certain ones.
    """
    from .kernels.patches_cpu import COLUMNS, patch_rows

    normals = np.zeros((depth.size, 3), np.float32)
    at_once = max(1, _AT_ONCE // max(1, depth.shape[1]))
    table, places = np.empty((at_once * depth.shape[1], COLUMNS)), np.empty(at_once * depth.shape[1], np.int64)
    depth, color, x, y, _, *lens = view_arguments(depth, np.zeros((*depth.shape, 3), np.uint8), cameras, index)
    for loose in (True, False):  # what is certain comes last
        for first in range(0, len(depth), at_once):
            last = min(len(depth), first + at_once)
            count = patch_rows(depth, color, x, y, np.eye(3, 4), *lens, loose, first, last, table, places)
            normals[places[:count]] = table[:count, 3:6]
    return normals.reshape(*depth.shape, 3)


def view_arguments(depth: np.ndarray, color: np.ndarray, cameras: Cameras, index: int) -> tuple[Any, ...]:
    """The first arguments of `patch_rows` and `view_sums`: a depth map and its camera."""
    x, y = pixel_slopes(cameras, index)
    pose = np.ascontiguousarray(cameras.c2w[index], np.float64)  # kernels are compiled for each layout
    depth, color = np.ascontiguousarray(depth), np.ascontiguousarray(color)
    return depth, color, x, y, pose, depth.dtype.type(focal_length(cameras, index)), STEEPEST
