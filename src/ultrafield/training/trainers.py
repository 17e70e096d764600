"""The trainer that suits a device; the steps for CUDA are imported only where they run."""

from __future__ import annotations

import torch

from ..budget import release_memory
from ..config import Config
from ..field.model import RadianceField
from ..progress import progress_bar
from ..scene import Scene
from ..scene.share import own_views
from ..sharing import ALONE, Group
from .contrast.mask_pool import MaskPool, check_masks
from .features.base import FeatureTrainer, feature_part
from .features.surface_cache import PaddedCache, SurfaceCache, build_cache, build_padded_cache
from .features.trainer import HostFeatureTrainer
from .features.vote_weights import VoteTable, vote_table
from .geometry.base import GeometryTrainer
from .geometry.trainer import HostGeometryTrainer
from .pixels import PixelPool, pixel_pool


def geometry_trainer(scene: Scene, config: Config, device: torch.device, group: Group = ALONE) -> GeometryTrainer:
    """The geometry trainer for a device; poses are refined by the steps that the host leads, on any device.

    Of a group that shares the training every process needs its own views of the scene and the cameras of all.

    Raises:
        SceneError: Depth smoothness is wanted and a training view has no masks, or a training view has no picture.
    """
    if config.geometry.depth_smooth:
        check_masks(own_views(scene, group.rank, group.size))
    if device.type == "cuda" and not config.geometry.refine_poses:
        from .cuda.geometry import DeviceGeometryTrainer

        return DeviceGeometryTrainer(scene, config, device, group)
    return HostGeometryTrainer(scene, config, device, group)


def feature_trainer(
    geometry: RadianceField,
    scene: Scene,
    config: Config,
    device: torch.device,
    *,
    progress: bool,
    group: Group = ALONE,
) -> FeatureTrainer:
    """The feature trainer for a device, with the samples that every training pixel shows of a finished geometry.

    Of a group that shares the training every process takes its own views.

    Raises:
        SceneError: A training view has no masks or no picture.
    """
    scene = own_views(scene, group.rank, group.size)
    check_masks(scene)
    release_memory()  # of the training of the geometry
    pool, masks, count = pixel_pool(scene, device), MaskPool(scene), config.features.samples_per_pixel
    bar = progress_bar("surface cache", len(pool.colors), show=progress)
    if device.type == "cuda":
        from .cuda.features import DeviceFeatureTrainer
        from .cuda.masks import DeviceMasks

        with bar as advance:
            padded = build_padded_cache(geometry, pool, count, advance)
        votes = _votes(pool, masks, padded, config, group)
        on_device = DeviceMasks(masks, feature_part(config.features, group), device)
        return DeviceFeatureTrainer(
            pool, on_device, padded, votes, config, bounded=geometry.bounded, device=device, group=group
        )
    with bar as advance:
        cache = build_cache(geometry, pool, count, advance)
    release_memory()  # of rays in fog
    votes = _votes(pool, masks, cache, config, group)
    release_memory()  # of keys of voxels
    return HostFeatureTrainer(pool, masks, cache, votes, config, bounded=geometry.bounded, device=device, group=group)


def _votes(
    pool: PixelPool, masks: MaskPool, cache: SurfaceCache | PaddedCache, config: Config, group: Group
) -> VoteTable | None:
    """The votes of all views on comparisons; None if the settings ask for none."""
    voxel = config.features.vote_voxel
    return None if voxel is None else vote_table(pool, masks, cache, voxel, group)
