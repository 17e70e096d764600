"""Every setting, as frozen dataclasses, with presets and the way to JSON and back; imports nothing heavy."""

from __future__ import annotations

from .memory import check_memory
from .presets import preset
from .settings import (
    BorderWeighting,
    Config,
    Engine,
    FeatureConfig,
    GeometryConfig,
    HashGridConfig,
    Linkage,
    Preset,
    RaySampling,
    Representation,
    SegmentConfig,
)
from .store import from_dict, to_dict

__all__ = [
    "BorderWeighting",
    "Config",
    "Engine",
    "FeatureConfig",
    "GeometryConfig",
    "HashGridConfig",
    "Linkage",
    "Preset",
    "RaySampling",
    "Representation",
    "SegmentConfig",
    "check_memory",
    "from_dict",
    "preset",
    "to_dict",
]
