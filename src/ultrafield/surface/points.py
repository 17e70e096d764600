"""The surface of points that come from anywhere: lidar, structure from motion, vertices."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from ..cameras import Cameras
from ..config import SegmentConfig
from .checks import check_cameras, check_colors, check_depths, check_rows
from .cloud import Cloud, cloud_surface, make_cloud, seen_among_discs, seen_in_depth
from .depth import GREY
from .normalise import Frame, frame_around
from .samples import focal_length
from .surface import Surface
from .voxels import VoxelSums, fuse


def surface_from_points(
    points: np.ndarray,
    cameras: Cameras,
    normals: np.ndarray | None = None,
    colors: np.ndarray | None = None,
    depths: Sequence[np.ndarray] | np.ndarray | None = None,
    *,
    config: SegmentConfig | None = None,
) -> Surface:
    """Take points as they are, and find out which view sees which.

    Point i of the surface is point i of the input, also where no view sees it: the graph then guesses from what is
    around it. Only with `config.voxel` points are thinned. Without depth maps a point is seen unless another one hides
    it: in each view points are drawn as discs on their surface, as large as their neighbours are far away.

    Args:
        points: [N, 3], user's frame.
        cameras: V cameras, user's frame.
        normals: [N, 3], user's frame, of any length, towards the outside: a point is seen from there only. Estimated
            from the 16 nearest points if None; a point may then be seen from either side.
        colors: [N, 3] uint8, or floating-point numbers in [0, 1]; grey if None.
        depths: z-depth of the views, each [H, W], user's units, to tell which point is seen; 0, negative or not finite
            where nothing is seen.
        config: Settings; the defaults if None. `voxel` is a fraction of half the longest edge of the points' box.

    Returns:
        The surface in a normalised frame of its own.

    Raises:
        TypeError: No cameras, or no numbers.
        ValueError: Arrays of other shapes or lengths, numbers that are not finite, no point at all.
        SceneError: No camera sees any point.
    """
    check_cameras(cameras)
    points = check_rows("points", points, None)
    if len(points) == 0:
        raise ValueError("points: expected at least one")
    normals = None if normals is None else check_rows("normals", normals, len(points))
    colors = np.full(points.shape, GREY, np.uint8) if colors is None else check_colors(colors, len(points))
    maps = None if depths is None else check_depths(depths, cameras)
    config = config or SegmentConfig()
    frame = frame_around(points - cameras.c2w[0, :, 3], cameras)
    voxel = config.voxel * frame.half_extent if config.voxel is not None else None
    cloud = cloud_in(frame, points, normals, colors, cameras, voxel)
    nearby = frame.cameras(cameras)
    if maps is None:
        seen = seen_among_discs(cloud, nearby)
    else:
        seen = seen_in_depth(cloud, [depth / frame.to_user.scale for depth in maps], nearby)
    return cloud_surface(cloud, seen, nearby, frame, keep_all=True)


def cloud_in(
    frame: Frame,
    points: np.ndarray,
    normals: np.ndarray | None,
    colors: np.ndarray,
    cameras: Cameras,
    voxel: float | None,
    *,
    sided: bool = True,
    sizes: np.ndarray | None = None,
    most: int | None = None,
) -> Cloud:
    """A cloud in a normalised frame, thinned if that is asked for.

    Args:
        frame: The normalised frame.
        points, normals: [N, 3], float64, user's frame; normals are estimated if None.
        colors: [N, 3], uint8.
        cameras: User's frame.
        voxel: Edge of the voxels that thin, normalised units; None keeps every point, if there are at most `most`.
        sided: Whether normals, if given, tell the outside.
        sizes: Radius of what each point stands for [N], user's units; None where unknown.
        most: How many points may be left; None for any number.
    """
    points = frame.points(points)
    sizes = np.zeros(len(points)) if sizes is None else sizes / frame.to_user.scale
    if voxel is None and most is not None and len(points) > most:
        voxel = 0.5 / np.sqrt(most)  # finer than needed
    edge = None
    if voxel is not None:
        sums = _thinned(points, normals, colors, sizes, voxel, most)
        points, normals, edge = sums.means(0, 3), None if normals is None else sums.means(3, 6), sums.voxel
        colors, sizes = np.rint(sums.means(6, 9)).astype(np.uint8), sums.means(9, 10)[:, 0]
    points = points.astype(np.float32).astype(np.float64)  # as the surface keeps them
    cloud = make_cloud(points, normals, colors, _footprint(points, frame.cameras(cameras)), sided=sided, sizes=sizes)
    return cloud if edge is None else replace(cloud, voxel=max(edge, cloud.voxel))


def _thinned(
    points: np.ndarray,
    normals: np.ndarray | None,
    colors: np.ndarray,
    sizes: np.ndarray,
    voxel: float,
    most: int | None,
) -> VoxelSums:
    """Sums over the points in each voxel, in the columns that `VoxelSums` has for pixels."""
    directions, one = np.zeros_like(points) if normals is None else normals, np.ones((len(points), 1))
    return fuse([np.concatenate([points, directions, colors, sizes[:, None], one], axis=1)], voxel, most=most)


def _footprint(points: np.ndarray, cameras: Cameras) -> float:
    """Edge of a pixel of the first camera, at the points' distance."""
    return max(float(np.linalg.norm(points - cameras.c2w[0, :, 3], axis=1).min()) / focal_length(cameras, 0), 1e-6)
