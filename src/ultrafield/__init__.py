"""A tree of view-consistent 3D segments from photographs with cameras and 2D masks."""

from __future__ import annotations

from importlib import import_module
from typing import Any

__version__ = "0.1.0"

_PUBLIC = {
    "Cameras": "cameras",
    "MaskSet": "masks",
    "Scene": "scene",
    "Surface": "surface",
    "AffinityGraph": "ultrametric",
    "Tree": "ultrametric",
    "Config": "config",
    "preset": "config",
    "load_scene": "scene",
    "fit": "training",
    "surface_from_field": "surface",
    "build_graph": "lift",
    "build_tree": "ultrametric",
    "cut": "ultrametric",
    "cut_into": "ultrametric",
    "levels": "ultrametric",
    "label_views": "labels",
}

__all__ = ["__version__", *_PUBLIC]


def __getattr__(name: str) -> Any:
    """Import public names on first use, so that `import ultrafield` and `ultrafield --help` stay quick."""
    if name not in _PUBLIC:
        raise AttributeError(f"module 'ultrafield' has no attribute {name!r}")
    return getattr(import_module(f".{_PUBLIC[name]}", __name__), name)


def __dir__() -> list[str]:
    return sorted(__all__)
