"""Pictures and depth maps of a surface by itself: its points drawn as discs."""

from __future__ import annotations

from functools import cached_property
from typing import Any

import numpy as np

from ..cameras import Cameras, RenderedView
from ..cameras.projection import back_project
from ..parallel import in_threads, workers_for
from .cloud import disc_depth, make_cloud
from .surface import Surface

_BYTES_PER_PIXEL = 80


class SurfaceDiscs:
    """The points of a surface as discs as wide as they lie apart, ready to be drawn from anywhere.

    Args:
        surface: N points, at least one.
    """

    def __init__(self, surface: Surface) -> None:
        points, normals = surface.points.astype(np.float64), surface.normals.astype(np.float64)
        sizes = np.zeros(len(points))
        self._cloud = make_cloud(points, normals, surface.colors, surface.voxel, sided=False, sizes=sizes)

    @cached_property
    def _nearest(self) -> Any:
        from scipy.spatial import cKDTree

        return cKDTree(self._cloud.points)

    def depth(self, cameras: Cameras, index: int) -> np.ndarray:
        """z-depth [H, W] float64 that a camera of the surface's frame sees; 0 where nothing is seen."""
        return disc_depth(self._cloud, cameras, index)

    def view(self, cameras: Cameras, index: int) -> RenderedView:
        """The same with the colours of the nearest points, black where nothing is seen, and an opacity of 0 or 1."""
        depth = self.depth(cameras, index).astype(np.float32)
        seen, color = depth > 0, np.zeros((*depth.shape, 3), np.float32)
        if seen.any():
            _, nearest = self._nearest.query(back_project(cameras, index, depth)[seen])
            color[seen] = self._cloud.colors[nearest] / np.float32(255.0)
        return RenderedView(color, depth, seen.astype(np.float32))


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
    discs = SurfaceDiscs(surface)
    workers = workers_for(_BYTES_PER_PIXEL * cameras.most_pixels)
    depths = in_threads(lambda index: discs.depth(normalised, index), range(len(cameras)), workers=workers)
    return [depth * surface.to_user.scale for depth in depths]
