"""What `surface_samples` and `normal_map` say, array by array."""

from __future__ import annotations

import numpy as np

from ultrafield.cameras import Cameras
from ultrafield.cameras.projection import pixel_directions
from ultrafield.surface.samples import STEEPEST, focal_length

STEEP, STRAIGHT = 1.5, 0.5


def slow_samples(depth: np.ndarray, color: np.ndarray, cameras: Cameras, index: int) -> np.ndarray:
    """Rows [P, 11] of the pixels on continuous patches."""
    pose = cameras.c2w[index]
    points, normal, footprint, keep = slow_patches(depth, cameras, index)
    one = np.ones((len(points), 1))
    places = _turned(points, pose) + pose[:, 3]
    return np.concatenate([places, _turned(normal, pose), color[keep], footprint[:, None], one], axis=1)


def slow_normal_map(depth: np.ndarray, cameras: Cameras, index: int) -> np.ndarray:
    """Normals [H, W, 3], float32."""
    normals = np.zeros((*depth.shape, 3), np.float32)
    for loose in (True, False):
        _, normal, _, keep = slow_patches(depth, cameras, index, loose=loose)
        normals[keep] = normal
    return normals


def slow_patches(
    depth: np.ndarray, cameras: Cameras, index: int, *, loose: bool = False
) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Position, normal and footprint of each pixel on a patch, camera axes, and which pixels [H, W] these are."""
    footprint = depth / focal_length(cameras, index)
    local = pixel_directions(cameras, index) * np.where(depth > 0, depth, np.nan)[..., None]
    across, on_row = _tangent(local, footprint, axis=1, loose=loose)
    down, on_column = _tangent(local, footprint, axis=0, loose=loose)
    normal = np.cross(across, down)
    length = np.sqrt(normal[..., 0] ** 2 + normal[..., 1] ** 2 + normal[..., 2] ** 2)
    keep = on_row & on_column & (length > 0)
    points, normal = local[keep], normal[keep] / length[keep, None]
    side = normal[:, 0] * points[:, 0] + normal[:, 1] * points[:, 1] + normal[:, 2] * points[:, 2]
    return points, normal * -np.sign(side)[:, None], footprint[keep], keep


def _turned(vectors: np.ndarray, pose: np.ndarray) -> np.ndarray:
    """Products with the pose's rotation, added up in the order of the axes."""
    x, y, z = vectors.T
    return np.stack([x * row[0] + y * row[1] + z * row[2] for row in pose], axis=1)


def _tangent(points: np.ndarray, footprint: np.ndarray, *, axis: int, loose: bool) -> tuple[np.ndarray, np.ndarray]:
    """Difference of the neighbours along an image axis [H, W, 3], and where there is one without a jump [H, W] bool."""
    points, footprint = np.moveaxis(points, axis, 0), np.moveaxis(footprint, axis, 0)
    joined = _joined(points[..., 2], footprint, loose)
    nothing = np.zeros((1, points.shape[1]), bool)
    after, before = np.concatenate([joined, nothing]), np.concatenate([nothing, joined])
    forward = np.where(after[..., None], np.roll(points, -1, axis=0), points)
    backward = np.where(before[..., None], np.roll(points, 1, axis=0), points)
    return np.moveaxis(forward - backward, 0, axis), np.moveaxis(after | before, 0, axis)


def _joined(depth: np.ndarray, footprint: np.ndarray, loose: bool) -> np.ndarray:
    """Whether consecutive pixels of each column lie on one surface [H − 1, W] bool."""
    step = np.diff(depth, axis=0) / np.minimum(footprint[1:], footprint[:-1])  # NaN beside empty pixels
    if loose:
        return np.asarray(np.abs(step) <= STEEPEST)
    unknown = np.full((1, depth.shape[1]), np.nan)
    bend = np.abs(np.diff(np.concatenate([unknown, step, unknown]), axis=0))
    straight = np.maximum(bend[:-1], bend[1:]) <= STRAIGHT * np.abs(step)
    return (np.abs(step) <= STEEP) | (straight & (np.abs(step) <= STEEPEST))
