"""Rendered or exact depth maps of many views to one thinned, oriented point surface that knows who sees it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from ..cameras import Cameras, RenderedView, Similarity
from ..cameras.projection import back_project
from ..config import SegmentConfig
from ..errors import RunError
from ..parallel import in_threads, workers_for
from ..scene import Scene
from .samples import focal_length, surface_samples
from .sight import Sight, look
from .surface import Surface, pack_flags
from .voxels import SPARE, VoxelSums, fuse, thin, voxel_keys

if TYPE_CHECKING:
    from ..field import RadianceField

_MAX_POINTS = 250_000  # the automatic voxel grows until no more points remain
_PIXELS_TO_ESTIMATE = 1 << 22  # pixels from which the number of occupied voxels is estimated
_FOOTPRINTS_PER_VOXEL = 0.6  # many views see each spot, so points may lie denser than the pixels of one of them
_COMPANY = 2.0  # a point without another one so many voxels around it is noise
_DISTRUST = 2  # a point goes unless this many times as many views see it as see through it
_BYTES_PER_PIXEL, _BYTES_PER_POINT = 200, 150  # working memory of `surface_samples` and `look`


@dataclass(frozen=True)
class _DepthMap:
    """What one view adds: z-depth [H, W] float32, 0 for none, and colour [H, W, 3] in 0 … 255."""

    depth: np.ndarray
    color: np.ndarray


def surface_from_field(geometry: RadianceField, scene: Scene, config: SegmentConfig | None = None) -> Surface:
    """Render every training view of a radiance field and fuse the depth maps.

    Args:
        geometry: A trained field.
        scene: The scene that it was trained on.
        config: Settings; the defaults if None.

    Returns:
        The surface.

    Raises:
        RunError: The views show no surface.
    """
    from ..field.render import render_views  # needs torch

    config, train = config or SegmentConfig(), scene.train
    rendered = render_views(geometry, train.normalised_cameras, range(len(train)))
    maps = [_depth_map(picture, view.image, config.min_opacity) for picture, view in zip(rendered, train, strict=True)]
    return _surface(maps, train.normalised_cameras, scene.to_user, config)


def surface_from_views(
    views: Sequence[RenderedView],
    cameras: Cameras,
    *,
    to_user: Similarity,
    config: SegmentConfig,
    images: Sequence[np.ndarray | None] | None = None,
) -> Surface:
    """Fuse the depth maps of many views into voxel-thinned points.

    A pixel counts if it is opaque and lies on a continuous patch of its depth map; a point is the mean of the pixels in
    its voxel and stays if it has company and clearly more views see it than see through it. Views that show nothing are
    fine as long as others do.

    Args:
        views: What each camera sees, depth in normalised units; each is read once, in any of several threads. They may
            be of another size than the cameras' pictures.
        cameras: The cameras of `views`, normalised frame.
        to_user: From the normalised to the user's frame; the surface keeps it.
        config: Settings (`voxel`, `min_opacity`).
        images: Photographs [H, W, 3] uint8 that colour the points; the rendered colour where there is none.

    Returns:
        The surface, its points in the lexicographic order of their voxels.

    Raises:
        RunError: The views show no surface.
        ValueError: The numbers of views, cameras or images differ.
    """
    pictures = [None] * len(views) if images is None else images
    if not len(views) == len(cameras) == len(pictures):
        raise ValueError(f"views: got {len(views)} for {len(cameras)} cameras and {len(pictures)} images")
    maps = in_threads(
        lambda index: _depth_map(views[index], pictures[index], config.min_opacity),
        range(len(views)),
        workers=workers_for(0),
    )
    return _surface(list(maps), cameras, to_user, config)


def _depth_map(view: RenderedView, image: np.ndarray | None, min_opacity: float) -> _DepthMap:
    seen = np.isfinite(view.depth) & (view.depth > 0) & (view.opacity >= min_opacity)
    depth = np.where(seen, view.depth, np.float32(0)).astype(np.float32)
    if image is None:
        return _DepthMap(depth, np.rint(np.clip(view.color, 0.0, 1.0) * 255.0).astype(np.uint8))
    if image.shape[:2] != depth.shape:
        import cv2

        image = cv2.resize(image, depth.shape[::-1], interpolation=cv2.INTER_AREA)
    return _DepthMap(depth, image)


def _surface(maps: Sequence[_DepthMap], cameras: Cameras, to_user: Similarity, config: SegmentConfig) -> Surface:
    """Fuse, thin, and drop what is alone or seen through."""
    sizes = np.array([item.depth.shape[::-1] for item in maps], np.int64).reshape(-1, 2)
    cameras = cameras.resized(sizes)
    voxel = _automatic_voxel(maps, cameras) if config.voxel is None else 0.5 * config.voxel

    def samples(index: int) -> np.ndarray:
        return thin(surface_samples(maps[index].depth, maps[index].color, cameras, index), voxel).table

    rows = in_threads(samples, range(len(maps)), workers=_view_workers(maps))
    sums = fuse(rows, voxel, most=_MAX_POINTS if config.voxel is None else None)
    sums = VoxelSums(sums.table[_in_company(sums)], sums.voxel)
    if len(sums) == 0:
        raise _no_surface("no depth map has a continuous patch")
    return _seen_surface(sums, maps, cameras, to_user)


def _view_workers(maps: Sequence[_DepthMap]) -> int:
    """How many depth maps to take samples from at once."""
    return workers_for(_BYTES_PER_PIXEL * max((item.depth.size for item in maps), default=0))


def _automatic_voxel(maps: Sequence[_DepthMap], cameras: Cameras) -> float:
    """A voxel for the pixels' footprint, but not one so small that far too many would be occupied.

    Their number is estimated from every so manyth pixel in voxels as much larger: large pictures then cost no more
    memory and little more time than small ones.
    """
    voxel = _FOOTPRINTS_PER_VOXEL * _median_footprint(maps, cameras)
    stride = int(np.ceil(np.sqrt(sum(item.depth.size for item in maps) / _PIXELS_TO_ESTIMATE)))
    if stride == 1:
        return voxel

    def occupied(index: int) -> np.ndarray:
        points = back_project(cameras, index, maps[index].depth, stride=stride).reshape(-1, 3)
        return np.unique(voxel_keys(points[np.isfinite(points).all(-1)], stride * voxel)[0])

    found = np.concatenate(list(in_threads(occupied, range(len(maps)), workers=_view_workers(maps))))
    expected = stride**2 * len(np.unique(found))
    return voxel * max(1.0, float(np.sqrt(expected / (SPARE * _MAX_POINTS))))


def _median_footprint(maps: Sequence[_DepthMap], cameras: Cameras) -> float:
    """Median edge of the surface patch behind one pixel."""
    footprints = [item.depth[item.depth > 0] / focal_length(cameras, index) for index, item in enumerate(maps)]
    if sum(len(part) for part in footprints) == 0:
        raise _no_surface("no pixel of any training view is opaque")
    return float(np.median(np.concatenate(footprints)))


def _no_surface(reason: str) -> RunError:
    return RunError(
        f"the training views show no surface: {reason}; train the geometry for longer (--geometry.steps), "
        "check the camera poses, or lower --segment.min-opacity"
    )


def _in_company(sums: VoxelSums) -> np.ndarray:
    """Which points have another one nearby [K] bool; where pixels are larger than voxels, nearby is farther."""
    if len(sums) < 2:
        return np.zeros(len(sums), bool)
    from scipy.spatial import cKDTree

    points, footprint = sums.means(0, 3), sums.means(9, 10)[:, 0]
    distance, _ = cKDTree(points).query(points, k=2, workers=-1)
    return distance[:, 1] <= _COMPANY * np.maximum(sums.voxel, footprint)


def _seen_surface(sums: VoxelSums, maps: Sequence[_DepthMap], cameras: Cameras, to_user: Similarity) -> Surface:
    """The points that clearly more views see than see through, with what each view sees."""
    points, normals = sums.means(0, 3), sums.means(3, 6)
    balance, seen, packed = np.zeros(len(sums), np.int64), np.zeros(len(sums), bool), []

    def sight_of(index: int) -> Sight:
        return look(points, normals, maps[index].depth, cameras, index, sums.voxel)

    for sight in in_threads(sight_of, range(len(maps)), workers=workers_for(_BYTES_PER_POINT * len(sums))):
        balance += sight.sees.astype(np.int64) - _DISTRUST * sight.passes
        seen |= sight.sees
        packed.append(pack_flags(sight.sees))
    keep = seen & (balance >= 0)
    if not keep.any():
        raise _no_surface("the depth maps contradict each other everywhere")
    visible = [np.unpackbits(row, count=len(keep), bitorder="little")[keep] for row in packed]
    length = np.linalg.norm(normals, axis=1, keepdims=True)
    return Surface._trusted(
        points=points[keep].astype(np.float32),
        normals=(normals / np.maximum(length, 1e-12))[keep].astype(np.float32),
        colors=np.rint(sums.means(6, 9)[keep]).astype(np.uint8),
        visible=np.stack([pack_flags(row) for row in visible]),
        voxel=sums.voxel,
        to_user=to_user,
    )
