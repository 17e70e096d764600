"""The surface of rendered views: of a radiance field, or of pictures with depth and opacity."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from ..budget import memory
from ..cameras import Cameras, RenderedDepth, RenderedView, Similarity
from ..cameras.pixels import resize_nearest
from ..config import SegmentConfig
from ..errors import RunError
from ..lazy import OnDemand
from ..parallel import in_threads, workers_for
from ..scene import Scene
from .fusion import NoSurface, fuse_depth_maps
from .surface import Surface

if TYPE_CHECKING:
    from ..field import RadianceField

_BYTES_PER_PIXEL, _SHARE = 4, 0.125  # of depth maps that are kept, and of the memory


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
    depths, colors = [], []
    for rendered, view in zip(render_views(geometry, train.normalised_cameras, range(len(train))), train, strict=True):
        depths.append(_seen_depth(rendered, view.valid, config.min_opacity))
        colors.append(rendered.picture() if view.image is None else view.image)
    return _fused(depths, colors, train.normalised_cameras, scene.to_user, config, inner_box(scene))


def surface_from_views(
    views: Sequence[RenderedView] | Sequence[RenderedDepth],
    cameras: Cameras,
    *,
    to_user: Similarity,
    config: SegmentConfig,
    images: Sequence[np.ndarray | None] | None = None,
    valid: Sequence[np.ndarray | None] | None = None,
    inner: float = np.inf,
) -> Surface:
    """Fuse the depth maps of many views into voxel-thinned points.

    A pixel counts if it is opaque and lies on a continuous patch of its depth map; see `fuse_depth_maps`.

    Args:
        views: What each camera sees, depth in normalised units; each is read in any of several threads, once, or three
            times if depth maps would take more than an eighth of the memory, and once more where there is no image.
            They may be of another size than the cameras' pictures. Where there is an image, depth and opacity will do.
        cameras: The cameras of `views`, normalised frame.
        to_user: From the normalised to the user's frame; the surface keeps it.
        config: Settings (`voxel`, `min_opacity`).
        images: Photographs [H, W, 3] uint8 that colour the points; the rendered colour where there is none.
        valid: Pixels [H, W] bool that show the surface, `View.valid`; None for all.
        inner: Half the edge of the box outside of which points lie farther apart, normalised units; see `inner_box`.

    Returns:
        The surface, its points in the lexicographic order of their voxels.

    Raises:
        RunError: The views show no surface.
        ValueError: The numbers of views, cameras, images or flags differ, or a view has neither colours nor an image.
    """
    pictures = [None] * len(views) if images is None else images
    used = [None] * len(views) if valid is None else valid
    if not len(views) == len(cameras) == len(pictures) == len(used):
        raise ValueError(
            f"views: got {len(views)} for {len(cameras)} cameras, {len(pictures)} images and {len(used)} valid"
        )
    indices = range(len(views))
    depths: Sequence[np.ndarray] = OnDemand(
        lambda index: _seen_depth(views[index], used[index], config.min_opacity), indices
    )
    if _BYTES_PER_PIXEL * int(cameras.sizes.prod(axis=1).sum()) <= _SHARE * memory():
        depths = list(in_threads(depths.__getitem__, indices, workers=workers_for(0)))

    def color(index: int) -> np.ndarray:
        picture = pictures[index]
        if picture is not None:
            return picture
        view = views[index]
        if not isinstance(view, RenderedView):
            raise ValueError(f"images: expected one for view {index}, which has no colours of its own")
        return view.picture()

    return _fused(depths, OnDemand(color, indices), cameras, to_user, config, inner)


def inner_box(scene: Scene) -> float:
    """Half the edge of the box within which a scene's points lie a voxel apart: infinite without surroundings."""
    return 0.5 if scene.cascades > 1 else np.inf


def _seen_depth(view: RenderedView | RenderedDepth, valid: np.ndarray | None, min_opacity: float) -> np.ndarray:
    """Depth [H, W] float32 of pixels that show the surface, 0 elsewhere."""
    seen = np.isfinite(view.depth) & (view.depth > 0) & (view.opacity >= min_opacity)
    if valid is not None:
        seen &= resize_nearest(valid, view.depth.shape)
    return np.where(seen, view.depth, np.float32(0)).astype(np.float32)


def _fused(
    depths: Sequence[np.ndarray],
    colors: Sequence[np.ndarray],
    cameras: Cameras,
    to_user: Similarity,
    config: SegmentConfig,
    inner: float,
) -> Surface:
    voxel = 0.5 * config.voxel if config.voxel is not None else None
    try:
        return fuse_depth_maps(depths, colors, cameras, to_user, voxel, inner=inner)
    except NoSurface as reason:
        raise RunError(
            f"the training views show no surface: {reason}; train the geometry for longer (--geometry.steps), "
            "check the camera poses, or lower --segment.min-opacity"
        ) from None
