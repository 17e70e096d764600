"""Which view sees which point, told from depth maps."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from ..projection import pixel_indices, project
from ..types import Cameras
from .samples import STEEPEST, focal_length


@dataclass(frozen=True)
class Sight:
    """What one view says about each of N points.

    Attributes:
        sees: The point lies on the surface that the view shows there [N] bool.
        passes: The view looks through the point at something behind it, or at nothing [N] bool.
    """

    sees: np.ndarray
    passes: np.ndarray


def look(
    points: np.ndarray, normals: np.ndarray, depth: np.ndarray, cameras: Cameras, index: int, voxel: float
) -> Sight:
    """Compare points with a view's depth map.

    A point may lie anywhere in its voxel and its projection anywhere in its pixel, where a slanted surface is nearer or
    farther than at the pixel's centre: the tolerance is one voxel plus what the slope makes of half a pixel's diagonal.
    A surface turned away from the camera is not seen even if the tolerance would reach through to it.

    Args:
        points: [N, 3], frame of `cameras`.
        normals: [N, 3], of any length; zero where unknown.
        depth: z-depth [H, W], 0 where nothing is seen.
        cameras: Cameras whose pictures have the depth map's size.
        index: Which camera.
        voxel: Edge of the voxels that thinned the points.
    """
    height, width = depth.shape
    pixels, z = project(cameras, index, points)
    cell = pixel_indices(pixels, width, height)
    found = np.where(cell >= 0, depth.ravel()[cell], 0.0)
    facing = _facing(normals, cameras.c2w[index, :, 3] - points)
    cosine = np.clip(facing, 1.0 / STEEPEST, 1.0)
    half_pixel = np.sqrt(0.5) * z / focal_length(cameras, index)
    tolerance = voxel + half_pixel * np.sqrt(1.0 - cosine**2) / cosine
    sees = (found > 0) & (facing > 0) & (np.abs(z - found) <= tolerance)
    # A view that shows nothing anywhere has failed and is no witness.
    passes = (cell >= 0) & ((found == 0) | (z < found - 3.0 * tolerance)) & bool(depth.any())
    return Sight(sees, passes)


def _facing(normals: np.ndarray, to_camera: np.ndarray) -> np.ndarray:
    """Cosine between normals and the direction to the camera [N]; 1 where the normal is zero."""
    length = np.linalg.norm(normals, axis=1) * np.linalg.norm(to_camera, axis=1)
    return np.where(length > 0, (normals * to_camera).sum(axis=1) / np.where(length > 0, length, 1.0), 1.0)
