"""The pixels of one depth map that lie on a surface, with their normals."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from ..cameras import Cameras
from ..cameras.projection import pixel_directions

# Steps in depth from one pixel to the next, in pixel footprints: the tangent of the angle at which the surface is seen.
_STEEP = 1.5  # 56°: up to here any step may be a surface
STEEPEST = 6.0  # 80°: beyond, none can be told from a jump
_REACH = 2  # rows around a pixel that decide whether it lies on a continuous patch
_AT_ONCE = 1 << 20  # pixels that are looked at together
_STRAIGHT = 0.5  # in between, it is one if the step changes by no more than this part of itself


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
    pose = cameras.c2w[index]
    parts = [(*patch, color[band][keep]) for band, patch, keep in _banded(depth, cameras, index)]
    points, normal, footprint, colors = (np.concatenate(part) for part in zip(*parts, strict=True))
    table = np.empty((len(points), 11))
    table[:, :3] = points @ pose[:, :3].T + pose[:, 3]
    table[:, 3:6] = normal @ pose[:, :3].T
    table[:, 6:9], table[:, 9], table[:, 10] = colors, footprint, 1.0
    return table


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
    normals = np.zeros((*depth.shape, 3), np.float32)
    for loose in (True, False):  # what is certain comes last
        for band, (_, normal, _), keep in _banded(depth, cameras, index, loose=loose):
            normals[band][keep] = normal
    return normals


def _banded(
    depth: np.ndarray, cameras: Cameras, index: int, *, loose: bool = False
) -> Iterator[tuple[slice, tuple[np.ndarray, np.ndarray, np.ndarray], np.ndarray]]:
    """Bands of rows of a depth map with what `_patches` finds in them, top to bottom."""
    focal, directions = focal_length(cameras, index), pixel_directions(cameras, index)
    rows = max(1, _AT_ONCE // max(1, depth.shape[1]))
    for first in range(0, max(1, len(depth)), rows):
        low = max(0, first - _REACH)
        band, inner = slice(low, first + rows + _REACH), slice(first - low, first - low + rows)
        *patch, keep = _patches(directions[band], depth[band], focal, inner, loose)
        yield slice(first, first + rows), (patch[0], patch[1], patch[2]), keep


def _patches(
    directions: np.ndarray, depth: np.ndarray, focal: float, inner: slice, loose: bool
) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """The pixels on continuous patches among some rows of a depth map.

    Args:
        directions: Viewing directions with z = 1 [h, W, 3], camera axes.
        depth: z-depth [h, W], 0 where nothing is seen.
        focal: Focal length, pixels.
        inner: The rows that are asked for; those around them are their surroundings.
        loose: Whether any step that may be a surface is one, whatever the steps before and after it.

    Returns:
        Position [P, 3], normal towards the camera [P, 3] and footprint [P] of each pixel, camera axes; and which of the
        inner rows' pixels they are, bool.
    """
    footprint = depth / focal
    local = directions * np.where(depth > 0, depth, np.nan)[..., None]
    across, on_row = _tangent(local, footprint, axis=1, loose=loose)
    down, on_column = _tangent(local, footprint, axis=0, loose=loose)
    normal = np.cross(across[inner], down[inner])
    length = np.linalg.norm(normal, axis=-1)
    keep = on_row[inner] & on_column[inner] & (length > 0)
    points, normal = local[inner][keep], normal[keep] / length[keep, None]
    normal *= -np.sign((normal * points).sum(axis=1, keepdims=True))  # the camera is at the local origin
    return points, normal, footprint[inner][keep], keep


def _tangent(points: np.ndarray, footprint: np.ndarray, *, axis: int, loose: bool) -> tuple[np.ndarray, np.ndarray]:
    """Difference of the neighbours along an image axis [H, W, 3], and where there is one without a jump [H, W] bool.

    A pixel that straddles two surfaces may lie on neither: it jumps to both sides. A pixel on the rim of a surface has
    its inner neighbour at least, and the tangent is then one-sided.
    """
    points, footprint = np.moveaxis(points, axis, 0), np.moveaxis(footprint, axis, 0)
    joined = _joined(points[..., 2], footprint, loose)
    nothing = np.zeros((1, points.shape[1]), bool)
    after, before = np.concatenate([joined, nothing]), np.concatenate([nothing, joined])
    forward = np.where(after[..., None], np.roll(points, -1, axis=0), points)
    backward = np.where(before[..., None], np.roll(points, 1, axis=0), points)
    return np.moveaxis(forward - backward, 0, axis), np.moveaxis(after | before, 0, axis)


def _joined(depth: np.ndarray, footprint: np.ndarray, loose: bool) -> np.ndarray:
    """Whether consecutive pixels of each column lie on one surface [H − 1, W] bool.

    A small step in depth does. A greater one does only if the steps before and after it are like it, as on a plane seen
    at a grazing angle; where a blurred silhouette climbs from one surface to another within a few pixels, they are not.
    """
    step = np.diff(depth, axis=0) / np.minimum(footprint[1:], footprint[:-1])  # NaN beside empty pixels
    if loose:
        return np.asarray(np.abs(step) <= STEEPEST)
    unknown = np.full((1, depth.shape[1]), np.nan)
    bend = np.abs(np.diff(np.concatenate([unknown, step, unknown]), axis=0))  # [H, W]: change of the step at a pixel
    straight = np.maximum(bend[:-1], bend[1:]) <= _STRAIGHT * np.abs(step)
    return (np.abs(step) <= _STEEP) | (straight & (np.abs(step) <= STEEPEST))
