"""A tree of view-consistent 3D segments from photographs with cameras and 2D masks."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from .cameras import Cameras as Cameras
    from .cameras import Lens as Lens
    from .cameras import Similarity as Similarity
    from .capture import import_scene as import_scene
    from .config import Config as Config
    from .config import preset as preset
    from .errors import BackendError as BackendError
    from .errors import ConfigError as ConfigError
    from .errors import RunError as RunError
    from .errors import SceneError as SceneError
    from .errors import TrainingError as TrainingError
    from .errors import UltrafieldError as UltrafieldError
    from .labels import label_points as label_points
    from .labels import label_views as label_views
    from .lift import build_graph as build_graph
    from .lift import combined_graph as combined_graph
    from .lift import feature_graph as feature_graph
    from .lift import lift_graph as lift_graph
    from .masks import MaskSet as MaskSet
    from .pipeline.front import run as run
    from .pipeline.front import segment as segment
    from .pipeline.segmentation import Segmentation as Segmentation
    from .pipeline.segmentation import open_run as open_run
    from .scene import Scene as Scene
    from .scene import load_scene as load_scene
    from .surface import Surface as Surface
    from .surface import surface_from_depth as surface_from_depth
    from .surface import surface_from_field as surface_from_field
    from .surface import surface_from_mesh as surface_from_mesh
    from .surface import surface_from_points as surface_from_points
    from .surface import surface_from_splats as surface_from_splats
    from .training import Fields as Fields
    from .training import fit as fit
    from .ultrametric import AffinityGraph as AffinityGraph
    from .ultrametric import Tree as Tree
    from .ultrametric import build_tree as build_tree
    from .ultrametric import cut as cut
    from .ultrametric import cut_into as cut_into
    from .ultrametric import levels as levels

__version__ = "0.2.0"

_PUBLIC = {
    "AffinityGraph": "ultrametric",
    "BackendError": "errors",
    "Cameras": "cameras",
    "Config": "config",
    "ConfigError": "errors",
    "Fields": "training",
    "Lens": "cameras",
    "MaskSet": "masks",
    "RunError": "errors",
    "Scene": "scene",
    "SceneError": "errors",
    "Segmentation": "pipeline.segmentation",
    "Similarity": "cameras",
    "Surface": "surface",
    "TrainingError": "errors",
    "Tree": "ultrametric",
    "UltrafieldError": "errors",
    "build_graph": "lift",
    "build_tree": "ultrametric",
    "combined_graph": "lift",
    "cut": "ultrametric",
    "cut_into": "ultrametric",
    "feature_graph": "lift",
    "fit": "training",
    "import_scene": "capture",
    "label_points": "labels",
    "label_views": "labels",
    "levels": "ultrametric",
    "lift_graph": "lift",
    "load_scene": "scene",
    "open_run": "pipeline.segmentation",
    "preset": "config",
    "run": "pipeline.front",
    "segment": "pipeline.front",
    "surface_from_depth": "surface",
    "surface_from_field": "surface",
    "surface_from_mesh": "surface",
    "surface_from_points": "surface",
    "surface_from_splats": "surface",
}

__all__ = [*_PUBLIC, "__version__"]

if not TYPE_CHECKING:  # type checkers would take every name for a public one

    def __getattr__(name: str) -> Any:
        """Import public names on first use, so that `import ultrafield` and `ultrafield --help` stay quick."""
        if name not in _PUBLIC:
            raise AttributeError(f"module 'ultrafield' has no attribute {name!r}")
        return getattr(import_module(f".{_PUBLIC[name]}", __name__), name)


def __dir__() -> list[str]:
    return sorted(__all__)
