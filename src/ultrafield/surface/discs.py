"""Depth maps of a surface by itself: its points drawn as discs."""

from __future__ import annotations

import numpy as np

from ..cameras import Cameras
from ..parallel import in_threads, workers_for
from .cloud import disc_depth, make_cloud
from .surface import Surface

_BYTES_PER_PIXEL = 80


def surface_depths(surface: Surface, cameras: Cameras) -> list[np.ndarray]:
    """z-depth of what each camera sees of a surface, points drawn as discs as wide as they lie apart.

    Args:
        surface: N points.
        cameras: V cameras, user's frame.

    Returns:
        [H, W] each, float64, user's units; 0 where nothing is seen.
    """
    normalised = cameras.moved(surface.to_user.inverse())
    if len(surface) == 0:
        return [np.zeros((int(height), int(width))) for width, height in cameras.sizes]
    points, normals = surface.points.astype(np.float64), surface.normals.astype(np.float64)
    sizes = np.zeros(len(points))
    cloud = make_cloud(points, normals, surface.colors, surface.voxel, sided=False, sizes=sizes)
    workers = workers_for(_BYTES_PER_PIXEL * int(cameras.sizes.prod(axis=1).max(initial=1)))
    depths = in_threads(lambda index: disc_depth(cloud, normalised, index), range(len(cameras)), workers=workers)
    return [depth * surface.to_user.scale for depth in depths]
