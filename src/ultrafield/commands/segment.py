"""`ultrafield segment`: rendered views, surface, graph, tree, levels, and label maps of every view."""

from __future__ import annotations

import shutil
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from itertools import count
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Self

import numpy as np
import tyro

from ..config import Config, Engine, SegmentConfig, to_dict
from ..errors import RunError, SceneError
from ..types import RenderedView, Scene, Surface, Tree
from .console import Report
from .options import CutsOption, Device, LinkageOption, RunArgument, with_shorthands
from .parallel import in_threads
from .runfolder import RunFolder, ViewLabels, fingerprint
from .sheet import write_contact_sheet
from .train import check_trained, geometry_fingerprint, open_scene, train_fingerprint

if TYPE_CHECKING:
    from ..training import Fields


@dataclass(frozen=True)
class Segment:
    """Turn a trained run into a tree of 3D segments and label every view with it.

    Attributes:
        run: Run folder that `ultrafield train` wrote.
        engine: Where dissimilarity comes from; as trained if not given.
        linkage: Shorthand for --segment.linkage.
        cuts: Shorthand for --segment.cuts.
        device: Where to compute; auto takes CUDA if there is one.
        segment: From field to tree and labels; defaults are those of the run.
    """

    run: RunArgument
    engine: Annotated[Engine | None, tyro.conf.arg(metavar="{field,lift}")] = None
    linkage: LinkageOption = None
    cuts: CutsOption = None
    device: Device = "auto"
    segment: SegmentConfig = field(default_factory=SegmentConfig)

    def informed(self) -> Self:
        """Options with the settings stored in the run folder as defaults."""
        return type(self)(run=tyro.MISSING, segment=RunFolder(self.run).read_config().config.segment)

    def execute(self) -> None:
        """Write surface, tree and labels into the run folder."""
        from ..training import load_fields, resolve_device

        report, run = Report(), RunFolder(self.run)
        stored = run.read_config()
        settings = with_shorthands(self.segment, self.linkage, self.cuts)
        config = replace(stored.config, engine=self.engine or stored.config.engine, segment=settings)
        check_trained(run)
        fields = load_fields(run.root, device=resolve_device(self.device))
        scene = open_scene(stored.scene, stored.data, report)
        _check_evidence(scene, fields, config.engine)  # before these settings become the run's
        run.write_config(stored.scene, stored.data, config)
        segment(run, scene, fields, config, report)
        report.result(
            f"{run.root}: segmented; look at {run.root / 'contact_sheet.png'}, load {run.root / 'points.ply'}"
        )


def segment(run: RunFolder, scene: Scene, fields: Fields, config: Config, report: Report) -> None:
    """Everything from trained fields to label maps; the stage counts as done only when all of it is written."""
    from ..training import posed

    _check_evidence(scene, fields, config.engine)
    scene = posed(scene, fields.geometry)
    settings = segment_fingerprint(run)
    run.begin("segment", settings)
    _forget(run)
    render_views(run, scene, fields, report)
    with report.stage("surface"):
        surface = _surface(run, scene, config)
        run.write_surface(surface)
    with report.stage("tree"):
        tree, heights, is_level = _tree(surface, scene, fields, config)
        run.write_tree(tree)
        _export(run, scene, surface, tree, heights[is_level])
    report.note(f"{len(surface)} surface points, levels at {', '.join(f'{h:.3f}' for h in heights[is_level])}")
    with report.stage("labels"):
        _label(run, scene, surface, tree, heights, is_level, config.segment, report)
        write_contact_sheet(run, scene)
    run.finish("segment", settings, sum(report.seconds[name] for name in ("surface", "tree", "labels")))


def segment_fingerprint(run: RunFolder) -> str:
    """What segmentation depends on."""
    config = run.read_config().config
    return fingerprint(train_fingerprint(run), config.engine, to_dict(config.segment))


def render_views(run: RunFolder, scene: Scene, fields: Fields, report: Report) -> None:
    """Render every view of every split once and keep the result, unless this very field was rendered before."""
    from ..field import render_view

    settings = geometry_fingerprint(run)
    if run.finished("render", settings):
        report.seconds["render"] = run.seconds()["render"]
        report.note("render: done before, kept")
        return
    run.begin("render", settings)
    shutil.rmtree(run.root / "renders", ignore_errors=True)
    jobs = [(split, index) for split in scene.splits for index in range(len(scene.splits[split]))]
    with report.stage("render"):
        for split, index in report.track(jobs, len(jobs), "render"):
            views = scene.splits[split]
            run.write_render(split, views.views[index].name, render_view(fields.geometry, views.cameras, index))
    run.finish("render", settings, report.seconds["render"])


@dataclass(frozen=True)
class StoredViews(Sequence[RenderedView]):
    """The rendered views of one split, read from the run folder when they are needed."""

    run: RunFolder
    split: str
    names: tuple[str, ...]

    def __len__(self) -> int:
        return len(self.names)

    def __getitem__(self, index: int) -> RenderedView:  # type: ignore[override]
        return self.run.read_render(self.split, self.names[index])


def _check_evidence(scene: Scene, fields: Fields, engine: Engine) -> None:
    if engine == "field" and fields.features is None:
        raise RunError("--engine field: this run has no features; train with --engine field, or take --engine lift")
    if engine == "lift" and all(view.masks is None for view in scene.train):
        raise SceneError(
            f"{scene.root}: --engine lift needs masks; make them, then train again: ultrafield masks {scene.root}"
        )


def _forget(run: RunFolder) -> None:
    """Remove what an earlier segmentation wrote, so that nothing of it is taken for this one's."""
    for name in ("surface.npz", "tree.npz", "tree.json", "points.ply", "metrics.json", "contact_sheet.png"):
        (run.root / name).unlink(missing_ok=True)
    for name in ("labels", "views"):
        shutil.rmtree(run.root / name, ignore_errors=True)


def _surface(run: RunFolder, scene: Scene, config: Config) -> Surface:
    from ..segment import surface_from_views

    views = StoredViews(run, "train", tuple(view.name for view in scene.train))
    pictures = [view.image for view in scene.train]
    return surface_from_views(views, scene.train.cameras, to_user=scene.to_user, config=config.segment, images=pictures)


def _tree(surface: Surface, scene: Scene, fields: Fields, config: Config) -> tuple[Tree, np.ndarray, np.ndarray]:
    """The tree, the heights of the cuts to label [L], and which of these are automatic levels [L]."""
    from ..field import point_features
    from ..segment import build_graph, levels, spread_cuts
    from ..ultrametric import build_tree

    features = None
    if config.engine == "field" and fields.features is not None:
        features = point_features(fields.features, scene.to_user.inverse().apply(surface.points))
    graph = build_graph(surface, engine=config.engine, scene=scene, features=features, config=config.segment)
    tree = build_tree(graph, linkage=config.segment.linkage)
    automatic = levels(tree)
    heights = spread_cuts(tree, config.segment.cuts, automatic)
    return tree, heights, np.isin(heights, automatic)


def _export(run: RunFolder, scene: Scene, surface: Surface, tree: Tree, heights: np.ndarray) -> None:
    from ..export import write_points, write_tree_json

    write_points(run.root / "points.ply", surface, tree, heights)
    names = [view.name for view in scene.train]
    write_tree_json(run.root / "tree.json", surface, tree, names, heights=heights)


def _label(
    run: RunFolder,
    scene: Scene,
    surface: Surface,
    tree: Tree,
    heights: np.ndarray,
    is_level: np.ndarray,
    config: SegmentConfig,
    report: Report,
) -> None:
    """Label maps and pictures of every view."""
    from ..export import node_colors

    colors = node_colors(tree)

    def finish(job: tuple[str, str, np.ndarray]) -> None:
        split, name, labels = job
        run.write_labels(split, name, ViewLabels(labels, heights, is_level))
        _write_views(run.view_folder(split, name), labels[is_level], heights[is_level], colors)

    total = sum(len(split) for split in scene.splits.values())
    jobs = _labelled(run, scene, surface, tree, heights, config)
    for _ in report.track(in_threads(finish, jobs), total, "labels"):
        pass


def _labelled(
    run: RunFolder, scene: Scene, surface: Surface, tree: Tree, heights: np.ndarray, config: SegmentConfig
) -> Iterator[tuple[str, str, np.ndarray]]:
    """Split, name and labels [L, H, W] of every view."""
    from ..segment import ViewLabeller, view_points

    labeller = ViewLabeller(surface, tree, heights, config)
    for split, views in scene.splits.items():
        for index, view in enumerate(views):
            points = view_points(run.read_render(split, view.name), views.cameras, index, scene.to_user)
            yield split, view.name, labeller(points)


def _write_views(folder: Path, labels: np.ndarray, heights: np.ndarray, colors: np.ndarray) -> None:
    """Pictures of label maps [L, H, W]."""
    from ..export import write_label_picture

    for name, ids in zip(height_names(heights), labels, strict=True):
        write_label_picture(folder / f"{name}.png", ids, colors)


def height_names(heights: np.ndarray) -> list[str]:
    """Heights [L] with three digits after the point, or as many more as tell them apart."""
    for digits in count(3):
        names = [f"{height:.{digits}f}" for height in heights]
        if len(set(names)) == len(np.unique(heights)):
            break
    return names
