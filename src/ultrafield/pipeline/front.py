"""The front door: a surface to a segmentation, and a scene to a finished run."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from types import NoneType
from typing import TYPE_CHECKING

import numpy as np

from ..config import Config, Engine, SegmentConfig, preset
from ..devices import device_name
from ..errors import check_type
from ..scene import Scene
from ..scene.options import SceneOptions
from ..surface import Surface
from .segmentation import Segmentation, open_run

if TYPE_CHECKING:
    from torch import Tensor

    from ..field import FeatureField

_READS = "load_scene reads a folder"
_MAKES = 'preset("draft") makes one'


def segment(
    surface: Surface,
    scene: Scene | None = None,
    config: Config | SegmentConfig | None = None,
    features: np.ndarray | Tensor | FeatureField | Sequence[Sequence[float]] | None = None,
    *,
    engine: Engine | None = None,
    device: str = "cpu",
) -> Segmentation:
    """Turn a surface and evidence about it into a tree of segments.

    Evidence are the 2D masks of a scene (engine `lift`), features of the points (`field`), or both.

    Args:
        surface: N points, each with the views that see it.
        scene: The scene whose training views the surface was made from, in the same order, with masks.
        config: Settings; the defaults if None.
        features: Unit-length features [N, D], an array, a tensor or lists, or a feature field that knows them.
        engine: "lift", "field" or "both"; if None, what scene and features allow.
        device: Where votes are added up and single linkage finds its spanning forest: "cpu" or "cuda".

    Returns:
        The tree over the surface's points, with its automatic levels.

    Raises:
        ConfigError: An unknown engine.
        RunError: The engine needs masks that the scene lacks, or the surface is not one of its views.
        ValueError: Evidence that the engine needs is missing, or features of another shape; an unknown device.
        TypeError: An argument of another type.
        BackendError: CUDA was asked for by name and cannot run here.

    >>> import numpy as np, ultrafield as uf
    >>> points = np.concatenate([np.random.default_rng(0).random((50, 3)) + offset for offset in (0.0, 1.2)])
    >>> camera = uf.Cameras.pinhole(np.eye(4)[None, :3], [40.0, 40.0, 32.0, 32.0], [64, 64])
    >>> surface = uf.surface_from_points(points + [-1, -1, 3], camera)
    >>> features = np.repeat(np.eye(2, dtype=np.float32), 50, axis=0)
    >>> len(np.unique(uf.segment(surface, features=features).cut_into(2)))
    2
    """
    from ..lift import build_graph, surface_tree
    from ..ultrametric import levels

    check_type("surface", surface, Surface)
    check_type("scene", scene, Scene, NoneType, hint=_READS)
    check_type("config", config, Config, SegmentConfig, NoneType, hint=_MAKES)
    device = device_name(device)
    settings = config.segment if isinstance(config, Config) else config or SegmentConfig()
    rows = _feature_rows(surface, features)
    chosen = engine or _engine(scene, rows)
    graph = build_graph(surface, engine=chosen, scene=scene, features=rows, config=settings, device=device)
    tree = surface_tree(surface, graph, config=settings, device=device)
    names = () if scene is None else tuple(view.name for view in scene.train)
    return Segmentation(tree, surface, levels(tree), settings, names)


def _engine(scene: Scene | None, features: np.ndarray | None) -> Engine:
    """The engine that uses all evidence there is."""
    masks = scene is not None and any(view.masks is not None for view in scene.train)
    if features is None:
        return "lift"
    return "both" if masks else "field"


def _feature_rows(
    surface: Surface, features: np.ndarray | Tensor | FeatureField | Sequence[Sequence[float]] | None
) -> np.ndarray | None:
    if features is None or isinstance(features, np.ndarray):
        return features
    if isinstance(features, list | tuple):
        return np.asarray(features)
    import torch

    from ..field import FeatureField, point_features

    if isinstance(features, FeatureField):
        return point_features(features, surface.points)
    check_type("features", features, np.ndarray, torch.Tensor, FeatureField)
    assert isinstance(features, torch.Tensor)
    rows = features.detach().cpu()
    return (rows.float() if rows.dtype == torch.bfloat16 else rows).numpy()  # NumPy has no bfloat16


def run(
    scene: str | Path | Scene,
    out: str | Path,
    config: Config | None = None,
    *,
    data: SceneOptions | None = None,
    device: str = "auto",
    overwrite: bool = False,
    progress: bool = True,
) -> Segmentation:
    """Do all that `ultrafield run` does: masks where there are none, train, render, segment, evaluate.

    Stages that the run folder already holds, of the same inputs and settings, are skipped.

    Args:
        scene: A scene folder, or a scene in memory. The folder of a run on the latter cannot be gone on with from the
            command line, which has no scene to read.
        out: Run folder: new, empty, or of an earlier run on this scene.
        config: Settings; the preset "standard" with CUDA, else "draft", if None.
        data: How a scene folder is read.
        device: "auto", "cpu" or "cuda".
        overwrite: Whether to do every stage again.
        progress: Whether to print stages and their seconds.

    Returns:
        The segmentation, as `open_run(out)` gives it.

    Raises:
        UltrafieldError: What the command line would print as one line.
    """
    from .console import Report
    from .folder import RunFolder
    from .run import run_stages

    check_type("scene", scene, str, Path, Scene)
    check_type("config", config, Config, NoneType, hint=_MAKES)
    check_type("data", data, SceneOptions, NoneType)
    folder, source = RunFolder(Path(out)), Path(scene) if isinstance(scene, str) else scene
    options = data or SceneOptions()
    report = Report() if progress else Report.silent()
    settings = config or default_config(device)
    run_stages(folder, source, options, settings, device=device, report=report, overwrite=overwrite)
    return open_run(folder.root)


def default_config(device: str) -> Config:
    """The preset for a device: "standard" with CUDA, else "draft"."""
    from ..training import resolve_device

    return preset("standard" if resolve_device(device).type == "cuda" else "draft")
