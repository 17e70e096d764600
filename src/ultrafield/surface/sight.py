"""Which view sees which point, told from depth maps."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from ..cameras import Cameras
from ..cameras.projection import project
from .samples import STEEPEST, focal_length


@dataclass(frozen=True)
class Sight:
    """Visibility of N points in one view.

    Attributes:
        sees: The point lies on the surface that the view shows there [N] bool.
        passes: The view looks through the point at something behind it, or at nothing [N] bool.
    """

    sees: np.ndarray
    passes: np.ndarray


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
    from .kernels.sight_cpu import sight_cpu

    sees, passes = np.zeros((2, len(points)), bool)
    if not depth.any():
        return Sight(sees, passes)  # a view that shows nothing anywhere has failed and is no witness
    pixels, z = project(cameras, index, points)
    camera, focal = cameras.c2w[index, :, 3], focal_length(cameras, index)
    room = np.empty(len(points))
    room[:] = spacing
    z, camera = np.ascontiguousarray(z), np.ascontiguousarray(camera)  # the kernel is compiled for each layout
    sight_cpu(points, normals, pixels, z, depth, camera, focal, room, STEEPEST, sees, passes)
    return Sight(sees, passes)
