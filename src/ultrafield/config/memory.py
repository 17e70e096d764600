"""Memory that settings imply, estimated before any work begins."""

from __future__ import annotations

from ..budget import memory
from ..errors import ConfigError
from .settings import Config, FeatureConfig, GeometryConfig, HashGridConfig

_FLOAT = 4  # bytes
_COPIES = 4  # of a table: the entries, their gradients, and Adam's two moments
_BOTH_WAYS = 2  # activations and their gradients
_CELL = 16  # bytes per occupancy cell: density, flag, and what a refresh holds of it


def check_memory(config: Config) -> None:
    """Raise `ConfigError` for a setting that alone would take more memory than the program may.

    Estimates are low, as what depends on the scene is left out. Features count with the engines that train them.
    """
    needs = _geometry(config.geometry)
    if config.engine != "lift":
        needs |= _features(config.features)
    for setting, size in needs.items():
        check_need(setting, size)


def check_need(setting: str, size: float) -> None:
    """Raise `ConfigError`, naming the setting, if `size` bytes are more than the program may take."""
    if size > memory():
        text = f"takes about {size / 2**30:,.1f} GiB, more than the {memory() / 2**30:,.1f} that may be taken"
        raise ConfigError(f"{text}; a larger --memory raises the limit", setting=setting)


def _geometry(settings: GeometryConfig) -> dict[str, float]:
    """Bytes by the setting that decides them."""
    channels = settings.grid.levels * settings.grid.features + settings.hidden * (settings.color_layers + 2)
    sample = channels * _FLOAT * _BOTH_WAYS
    return {
        "geometry.grid.log2_entries": _table(settings.grid),
        "geometry.occupancy_resolution": settings.occupancy_resolution**3 * _CELL,
        "geometry.samples": (settings.samples or 0) * sample,
        "geometry.rays": settings.rays * sample,
    }


def _features(settings: FeatureConfig) -> dict[str, float]:
    """Bytes by the setting that decides them."""
    channels = settings.grid.levels * settings.grid.features + settings.hidden * settings.layers
    sampled = settings.samples_per_pixel * (channels + (settings.bottleneck or settings.dim))
    pixel = (sampled + settings.dim) * _FLOAT * _BOTH_WAYS
    comparison = settings.dim * _FLOAT * _BOTH_WAYS
    return {
        "features.grid.log2_entries": _table(settings.grid),
        "features.pixels": settings.pixels * (pixel + settings.neighbors * 2 * _FLOAT),
        "features.pairs_per_mask": settings.images * settings.pairs_per_mask * (settings.negatives + 1) * comparison,
    }


def _table(grid: HashGridConfig) -> float:
    """Bytes of a hash grid in training; levels between the coarsest and the finest count as the finest."""
    finest = min((grid.max_resolution + 1) ** 3, 1 << grid.log2_entries)
    return grid.levels * finest * grid.features * _FLOAT * _COPIES
