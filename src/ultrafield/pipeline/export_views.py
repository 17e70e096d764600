"""Views of a segmentation for exporters: those of its run folder, or cameras with depth maps."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from ..cameras import Cameras
from ..errors import ConfigError, RunError, in_shell
from ..export.segments import Segments
from ..export.views import ExportViews
from ..labels import ViewLabeller, view_points
from .cameras import StoredViews, camera_file, read_cameras
from .console import Report
from .edits import structure_of
from .folder import RunFolder

if TYPE_CHECKING:
    from .segmentation import Segmentation


def export_views(
    segmentation: Segmentation,
    segments: Segments,
    *,
    cameras: Cameras | None = None,
    depths: Sequence[np.ndarray] | np.ndarray | None = None,
    whole: bool = True,
) -> ExportViews:
    """Views to export, or to make meshes from.

    Args:
        segmentation: Where they come from.
        segments: What is exported; label maps show its labels.
        cameras: Cameras, user's frame, in place of those of the run folder.
        depths: Their z-depth [V][H, W], user's units; that of the surface's points, drawn as discs, if None.
        whole: Whether all points have labels, at automatic levels only: stored label maps then serve.

    Raises:
        ConfigError: There are neither cameras nor a run folder with rendered views.
        RunError: The run folder lacks views.
    """
    if cameras is not None:
        return _given_views(segmentation, segments, cameras, depths)
    if segmentation.folder is None or not (segmentation.folder / "renders").is_dir():
        raise ConfigError("a segmentation without a run folder has no views; give cameras (and depths)", setting="to")
    return _run_views(RunFolder(segmentation.folder), segmentation, segments, whole)


def _given_views(
    segmentation: Segmentation,
    segments: Segments,
    cameras: Cameras,
    depths: Sequence[np.ndarray] | np.ndarray | None,
) -> ExportViews:
    from ..surface import check_depths, surface_depths

    surface = segments.surface
    user = surface_depths(surface, cameras) if depths is None else check_depths(depths, cameras)
    maps = [(depth / surface.to_user.scale).astype(np.float32) for depth in user]
    sized = cameras.moved(surface.to_user.inverse()).resized(np.array([depth.shape[::-1] for depth in maps]))
    labeller = _labeller(segmentation, segments)

    def labels(index: int) -> np.ndarray:
        return labeller(view_points(maps[index], sized, index))

    names = segmentation.views if len(segmentation.views) == len(cameras) else ()
    listed = names or tuple(f"view_{index:03d}" for index in range(len(cameras)))
    files = tuple(f"{name}.png" for name in listed)
    return ExportViews(("train",) * len(cameras), listed, files, sized, lambda index: maps[index], labels)


def _run_views(run: RunFolder, segmentation: Segmentation, segments: Segments, whole: bool) -> ExportViews:
    groups = run_cameras(run)
    splits = tuple(split for split, views in groups.items() for _ in views.names)
    names = tuple(name for views in groups.values() for name in views.names)
    files = tuple(file for views in groups.values() for file in views.files)
    cameras = Cameras.joined([views.cameras for views in groups.values()])
    opaque = segmentation.config.min_opacity
    labeller = None if whole and _are_current(run) else _labeller(segmentation, segments)
    heights = np.array([level.height for level in segments.levels], np.float32)

    def depth(index: int) -> np.ndarray:
        return run.read_rendered_depth(splits[index], names[index]).opaque_depth(opaque)

    def labels(index: int) -> np.ndarray:
        if labeller is None:
            stored = run.read_labels(splits[index], names[index])
            places = np.searchsorted(stored.heights, heights).clip(max=len(stored.heights) - 1)
            if np.array_equal(stored.heights[places], heights):
                return stored.labels.at(places).expand()
            raise RunError(f"{run.label_file(splits[index], names[index])}: lacks an automatic level; make it anew "
                           f"with: ultrafield segment {in_shell(run.root)}")  # fmt: skip
        return labeller(view_points(run.read_depth(splits[index], names[index]), cameras, index))

    return ExportViews(splits, names, files, cameras, depth, labels)


def run_cameras(run: RunFolder) -> dict[str, StoredViews]:
    """Views and cameras of each split; those of the scene for a run folder from before they were stored in it."""
    if camera_file(run).is_file():
        return read_cameras(run)
    from ..training import load_fields, posed, resolve_device
    from .job import stored_scene

    scene = posed(stored_scene(run, Report.silent()), load_fields(run.root, device=resolve_device("cpu")).geometry)
    return {split: StoredViews.of(views) for split, views in scene.splits.items()}


def training_views(views: ExportViews) -> ExportViews:
    """The views from which a mesh is fused: those that the surface was made from."""
    chosen = views.of_split("train")
    return ExportViews(
        tuple(views.splits[index] for index in chosen),
        tuple(views.names[index] for index in chosen),
        tuple(views.files[index] for index in chosen),
        views.cameras[chosen],
        lambda index: views.depth(chosen[index]),
        lambda index: views.labels(chosen[index]),
    )


def _are_current(run: RunFolder) -> bool:
    """Whether the stored label maps show the tree with all merges and splits."""
    made_from = run.records.made_from("segment")
    return {key: value for key, value in made_from.items() if key == "edits"} == dict(structure_of(run))


def _labeller(segmentation: Segmentation, segments: Segments) -> ViewLabeller:
    return ViewLabeller(
        segments.surface, segmentation.tree, np.zeros(0), segmentation.config, workers=1, table=segments.labels
    )
