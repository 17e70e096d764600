"""The pixels of one depth map that lie on a surface, with their normals."""

from __future__ import annotations

import numpy as np

from ..cameras import Cameras
from ..cameras.projection import pixel_directions

# Steps in depth from one pixel to the next, in pixel footprints: the tangent of the angle at which the surface is seen.
_STEEP = 1.5  # 56°: up to here any step may be a surface
STEEPEST = 6.0  # 80°: beyond, none can be told from a jump
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
    footprint = depth / focal_length(cameras, index)
    local = pixel_directions(cameras, index) * np.where(depth > 0, depth, np.nan)[..., None]  # [H, W, 3]
    across, on_row = _tangent(local, footprint, axis=1)
    down, on_column = _tangent(local, footprint, axis=0)
    normal = np.cross(across, down)
    length = np.linalg.norm(normal, axis=-1)
    keep = on_row & on_column & (length > 0)
    points, normal = local[keep], normal[keep] / length[keep, None]
    normal *= -np.sign((normal * points).sum(axis=1, keepdims=True))  # the camera is at the local origin
    columns = (
        points @ pose[:, :3].T + pose[:, 3],
        normal @ pose[:, :3].T,
        color[keep],
        footprint[keep, None],
        np.ones((len(points), 1)),
    )
    return np.concatenate(columns, axis=1)


def _tangent(points: np.ndarray, footprint: np.ndarray, *, axis: int) -> tuple[np.ndarray, np.ndarray]:
    """Difference of the neighbours along an image axis [H, W, 3], and where there is one without a jump [H, W] bool.

    A pixel that straddles two surfaces may lie on neither: it jumps to both sides. A pixel on the rim of a surface has
    its inner neighbour at least, and the tangent is then one-sided.
    """
    points, footprint = np.moveaxis(points, axis, 0), np.moveaxis(footprint, axis, 0)
    joined = _joined(points[..., 2], footprint)
    nothing = np.zeros((1, points.shape[1]), bool)
    after, before = np.concatenate([joined, nothing]), np.concatenate([nothing, joined])
    forward = np.where(after[..., None], np.roll(points, -1, axis=0), points)
    backward = np.where(before[..., None], np.roll(points, 1, axis=0), points)
    return np.moveaxis(forward - backward, 0, axis), np.moveaxis(after | before, 0, axis)


def _joined(depth: np.ndarray, footprint: np.ndarray) -> np.ndarray:
    """Whether consecutive pixels of each column lie on one surface [H − 1, W] bool.

    A small step in depth does. A greater one does only if the steps before and after it are like it, as on a plane seen
    at a grazing angle; where a blurred silhouette climbs from one surface to another within a few pixels, they are not.
    """
    step = np.diff(depth, axis=0) / np.minimum(footprint[1:], footprint[:-1])  # NaN beside empty pixels
    unknown = np.full((1, depth.shape[1]), np.nan)
    bend = np.abs(np.diff(np.concatenate([unknown, step, unknown]), axis=0))  # [H, W]: change of the step at a pixel
    straight = np.maximum(bend[:-1], bend[1:]) <= _STRAIGHT * np.abs(step)
    return (np.abs(step) <= _STEEP) | (straight & (np.abs(step) <= STEEPEST))
