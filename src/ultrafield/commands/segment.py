"""`ultrafield segment`: rendered views, surface, graph, tree, levels, and label maps of every view."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from itertools import count
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Self

import numpy as np
import tyro

from ..cameras import RenderedView
from ..config import Config, Engine, SegmentConfig, to_dict
from ..errors import RunError, SceneError
from ..io import write_json
from ..labels.stack import LabelChains
from ..parallel import in_background, in_threads, workers_for
from ..pipeline.console import Report
from ..pipeline.folder import RunFolder, Stored, ViewLabels, fingerprint
from ..pipeline.sheet import write_contact_sheet
from ..scene import Scene
from ..surface import Surface
from ..ultrametric import AffinityGraph, Tree
from .options import CutsOption, Device, LinkageOption, RunArgument, with_shorthands
from .train import check_trained, geometry_fingerprint, open_scene, train_fingerprint

if TYPE_CHECKING:
    from ..quality.quality import Quality
    from ..training import Fields

_BYTES_PER_PIXEL = 200  # working memory of labelling a view: points, their neighbours and distances


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
    engine: Annotated[Engine | None, tyro.conf.arg(metavar="{field,lift,both}")] = None
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
    with report.stage("segment"), in_background() as submit:
        with report.stage("surface"):
            surface = _surface(run, scene, config)
        submit(run.write_surface, surface)
        with report.stage("graph"):
            graph = _graph(surface, scene, fields, config)
        with report.stage("tree"):
            tree, heights, is_level = _tree(graph, config, str(fields.geometry.device))
        submit(run.write_tree, tree)
        submit(_export, run, scene, surface, tree, heights[is_level])
        report.note(f"{len(surface)} surface points, levels at {', '.join(f'{h:.3f}' for h in heights[is_level])}")
        with report.stage("labels"):
            _label(run, scene, surface, tree, heights, is_level, config.segment, report)
        with report.stage("sheet"):
            write_contact_sheet(run, scene, tree)
        with report.stage("quality"):
            quality = _quality(run, scene, surface, tree, heights, is_level)
            write_json(run.root / "quality.json", quality.to_json())
    report.table("Levels", *quality.table())
    report.result(f"Without ground truth: {quality.summary()}.")
    run.finish("segment", settings, report.seconds["segment"])


def segment_fingerprint(run: RunFolder) -> str:
    """What segmentation depends on."""
    config = run.read_config().config
    return fingerprint(train_fingerprint(run), config.engine, to_dict(config.segment))


def render_views(run: RunFolder, scene: Scene, fields: Fields, report: Report) -> None:
    """Render every view of every split once and keep the result, unless this very field was rendered before."""
    settings = geometry_fingerprint(run)
    if run.finished("render", settings):
        report.note("render: done before, kept")
        return
    run.begin("render", settings)
    run.clear("renders")
    total = sum(len(views) for views in scene.splits.values())
    with report.stage("render"):
        written = in_threads(lambda job: run.write_render(*job), _rendered(scene, fields))
        for _ in report.track(written, total, "render"):
            pass
    run.finish("render", settings, report.seconds["render"])


def _rendered(scene: Scene, fields: Fields) -> Iterator[tuple[str, str, RenderedView]]:
    """Split, name and what the field shows, of every view."""
    from ..field.render import render_views

    for split, views in scene.splits.items():
        pictures = render_views(fields.geometry, views.cameras, range(len(views)))
        for view, picture in zip(views, pictures, strict=True):
            yield split, view.name, picture


def _check_evidence(scene: Scene, fields: Fields, engine: Engine) -> None:
    if engine != "lift" and fields.features is None:
        raise RunError(
            f"--engine {engine}: this run has no features; train with --engine {engine}, or take --engine lift"
        )
    if engine != "field" and all(view.masks is None for view in scene.train):
        raise SceneError(
            f"{scene.root}: --engine {engine} needs masks; make them, then train again: ultrafield masks {scene.root}"
        )


def _forget(run: RunFolder) -> None:
    """Remove what an earlier segmentation wrote, so that nothing of it is taken for this one's."""
    for name in (
        "surface.npz",
        "tree.npz",
        "tree.json",
        "points.ply",
        "quality.json",
        "metrics.json",
        "contact_sheet.png",
    ):
        (run.root / name).unlink(missing_ok=True)
    run.clear("labels", "views")


def _surface(run: RunFolder, scene: Scene, config: Config) -> Surface:
    from ..surface import surface_from_views

    views = Stored(run.read_render, "train", tuple(view.name for view in scene.train))
    pictures = [view.image for view in scene.train]
    return surface_from_views(views, scene.train.cameras, to_user=scene.to_user, config=config.segment, images=pictures)


def _graph(surface: Surface, scene: Scene, fields: Fields, config: Config) -> AffinityGraph:
    from ..field import point_features
    from ..lift import build_graph

    features = None
    if config.engine != "lift" and fields.features is not None:
        features = point_features(fields.features, scene.to_user.inverse().apply(surface.points))
    return build_graph(
        surface,
        engine=config.engine,
        scene=scene,
        features=features,
        config=config.segment,
        device=str(fields.geometry.device),
    )


def _tree(graph: AffinityGraph, config: Config, device: str) -> tuple[Tree, np.ndarray, np.ndarray]:
    """The tree, the heights of the cuts to label [L], and which of these are automatic levels [L]."""
    from ..ultrametric import build_tree, levels, spread_cuts

    tree = build_tree(graph, linkage=config.segment.linkage, device=device)
    automatic = levels(tree)
    heights = spread_cuts(tree, config.segment.cuts, automatic)
    return tree, heights, np.isin(heights, automatic)


def _export(run: RunFolder, scene: Scene, surface: Surface, tree: Tree, heights: np.ndarray) -> None:
    from ..export import write_points, write_tree_json

    write_points(run.root / "points.ply", surface, tree, heights)
    names = [view.name for view in scene.train]
    best = names[int(np.argmax([surface.seen_from(view).sum() for view in range(len(names))]))]
    folder = run.view_folder("train", best).relative_to(run.root)
    pictures = [(folder / f"{name}.png").as_posix() for name in height_names(heights)]
    write_tree_json(run.root / "tree.json", surface, tree, names, heights=heights, pictures=pictures)


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
    """Label maps and pictures of every view, each one found and written by a thread of its own."""
    from ..export import node_colors
    from ..labels import ViewLabeller, view_points

    colors = node_colors(tree)
    labeller = ViewLabeller(surface, tree, heights, config, workers=1)

    def label(job: tuple[str, int]) -> None:
        split, index = job
        views = scene.splits[split]
        name = views.views[index].name
        points = view_points(run.read_render(split, name), views.cameras, index, scene.to_user)
        labels = ViewLabels(labeller.chains(points), heights, is_level)
        run.write_labels(split, name, labels)
        _write_views(run.view_folder(split, name), labels.levels, heights[is_level], colors)

    jobs = [(split, index) for split, views in scene.splits.items() for index in range(len(views))]
    pixels = max(int(views.cameras.sizes.prod(axis=1).max(initial=0)) for views in scene.splits.values())
    workers = workers_for(_BYTES_PER_PIXEL * pixels)
    for _ in report.track(in_threads(label, jobs, workers=workers), len(jobs), "labels"):
        pass


def _quality(
    run: RunFolder, scene: Scene, surface: Surface, tree: Tree, heights: np.ndarray, is_level: np.ndarray
) -> Quality:
    """What the run's own files say about the segmentation."""
    from ..quality.quality import assess

    def name(split: str, index: int) -> str:
        return scene.splits[split].views[index].name

    return assess(
        surface,
        tree,
        heights,
        is_level,
        scene,
        rendered=lambda split, index: run.read_render(split, name(split, index)),
        labels=lambda split, index: run.read_labels(split, name(split, index)).labels,
    )


def _write_views(folder: Path, labels: LabelChains, heights: np.ndarray, colors: np.ndarray) -> None:
    """Pictures of label maps."""
    from ..export import write_label_picture

    for level, name in enumerate(height_names(heights)):
        write_label_picture(folder / f"{name}.png", labels.map(level), colors)


def height_names(heights: np.ndarray) -> list[str]:
    """Heights [L] with three digits after the point, or as many more as tell them apart."""
    for digits in count(3):
        names = [f"{height:.{digits}f}" for height in heights]
        if len(set(names)) == len(np.unique(heights)):
            break
    return names
