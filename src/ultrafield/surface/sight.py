"""Which view sees which point, told from depth maps."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from ..cameras import Cameras, Lens
from ..cameras.projection import project
from .samples import STEEPEST, focal_length


@dataclass(frozen=True)
class Sight:
    """Visibility of N points in one view.

    Attributes:
        says: 1 where the view sees the point, −1 where it looks through it, 0 where neither is sure [N] int8.
    """

    says: np.ndarray

    @property
    def sees(self) -> np.ndarray:
        """The point lies on the surface that the view shows there [N] bool."""
        return np.asarray(self.says > 0)

    @property
    def passes(self) -> np.ndarray:
        """The view looks through the point at something behind it, or at nothing [N] bool."""
        return np.asarray(self.says < 0)


def look(
    points: np.ndarray,
    normals: np.ndarray,
    depth: np.ndarray,
    cameras: Cameras,
    index: int,
    spacing: float | np.ndarray,
) -> Sight:
    """Compare points with a view's depth map.

    A point may lie anywhere in its voxel and its projection anywhere in its pixel, where a slanted surface is nearer or
    farther than at the pixel's centre: the tolerance is `spacing` plus what the slope makes of half a pixel's diagonal.
    A surface turned away from the camera is not seen even if the tolerance would reach through to it.

    Args:
        points: [N, 3], frame of `cameras`.
        normals: [N, 3], of any length; zero where unknown.
        depth: z-depth [H, W], 0 where nothing is seen.
        cameras: Cameras whose pictures have the depth map's size.
        index: Which camera.
        spacing: Distance of neighbouring points, for instance the edge of the voxels that thinned them; for all points,
            or for each [N].
    """
    from .kernels.sight_cpu import sight_cpu, sight_pinhole

    says = np.zeros(len(points), np.int8)
    if not depth.any():
        return Sight(says)  # a view that shows nothing anywhere has failed and is no witness
    room = np.ascontiguousarray(np.broadcast_to(spacing, len(points)), np.float64)
    # Kernels are compiled for each layout.
    camera, intrinsics = (np.ascontiguousarray(part[index], np.float64) for part in (cameras.c2w, cameras.intrinsics))
    rest = depth, camera, focal_length(cameras, index), room, STEEPEST, says
    if cameras.lenses[index] == Lens.PINHOLE:
        sight_pinhole(points, normals, intrinsics, *rest)
    else:
        pixels, z = project(cameras, index, points)
        sight_cpu(points, normals, pixels, np.ascontiguousarray(z), *rest)
    return Sight(says)
