"""Presets: settings that belong together, by name."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from ..errors import ConfigError
from .settings import Config, FeatureConfig, GeometryConfig, HashGridConfig, Preset, SegmentConfig

_PRESETS: dict[Preset, Config] = {
    "draft": Config(preset="draft"),
    "standard": Config(
        preset="standard",
        geometry=GeometryConfig(
            grid=HashGridConfig(levels=16, features=4, log2_entries=19, base_resolution=16, max_resolution=1024),
            hidden=64,
            color_layers=2,
            occupancy_resolution=128,
            surface_width_last=0.002,
            steps=2000,
            rays=8192,
            samples=1 << 18,
            max_samples_per_ray=1024,
            cone_angle=1.0 / 256,
            min_transmittance=1e-4,
        ),
        features=FeatureConfig(
            grid=HashGridConfig(levels=12, features=4, log2_entries=19, base_resolution=16, max_resolution=128),
            hidden=128,
            layers=2,
            steps=1500,
            pixels=16384,
            images=8,
        ),
    ),
    "paper": Config(
        engine="field",
        preset="paper",
        geometry=GeometryConfig(
            grid=HashGridConfig(levels=17, features=4, log2_entries=20, base_resolution=16, max_resolution=1024),
            representation="density",
            hidden=64,
            color_layers=2,
            occupancy_resolution=128,
            steps=20000,
            rays=4096,
            samples=None,
            max_samples_per_ray=1024,
            cone_angle=1.0 / 256,
            min_transmittance=1e-4,
            beta2=0.999,
            distortion_weight=0.0,
            depth_smooth=True,
            planar_weight=0.0,
            outline_share=0.0,
            grid_decay=0.0,
            near_reach=0.0,
            alpha_evidence=False,
            full_size=False,
            ray_sampling="same_image",
        ),
        features=FeatureConfig(
            grid=HashGridConfig(levels=17, features=4, log2_entries=20, base_resolution=16, max_resolution=64),
            hidden=128,
            layers=2,
            dim=256,
            bottleneck=128,
            steps=20000,
            pixels=4096,
            images=1,
            mask_balance=0.0,
            temperature=0.1,
            ultrametric_weight=1.0,
            border_weighting="any",
            border_factor=0.0,
            border_penalty=10.0,
            pairs_per_mask=64,
            border_negatives=False,
            negatives=1,
            vote_voxel=None,
            norm_weight=1.0,
            beta2=0.999,
        ),
        # Published: voxels of 2e-3 in a scene of half extent 0.5, labels from no farther than √5e-3.
        segment=SegmentConfig(
            linkage="single",
            voxel=4e-3,
            surroundings="joined",
            label_neighbors=5,
            label_radius=5e-3**0.5 / 2e-3,
        ),
    ),
}


def preset(name: Preset, **changes: Any) -> Config:
    """Settings by name: draft (CPU minutes), standard (GPU), paper (every number of the published recipe).

    Args:
        name: The preset.
        changes: Fields of `Config` that differ; for geometry, features and segment also a dict of what differs there.

    Raises:
        ConfigError: An unknown preset, or a value that cannot be used.
        TypeError: An unknown setting.

    >>> preset("draft", seed=3, geometry={"steps": 200}).geometry.steps
    200
    """
    if name not in _PRESETS:
        *others, last = _PRESETS
        raise ConfigError(f"expected {', '.join(others)} or {last}, got {name!r}", setting="preset")
    changed: Config = _changed(_PRESETS[name], changes)
    return changed


def _changed(settings: Any, changes: Mapping[str, Any]) -> Any:
    """A settings dataclass with some fields replaced, those of nested dataclasses by nested dicts."""
    values = {
        key: _changed(getattr(settings, key), value) if isinstance(value, Mapping) else value
        for key, value in changes.items()
    }
    return replace(settings, **values)
