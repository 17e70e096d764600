"""The stage that makes surface, graph, tree, levels, and label maps of every view."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import partial
from itertools import count
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from ..config import Config, Engine
from ..errors import RunError, SceneError, in_shell
from ..export.colors import node_colors
from ..io import write_json
from ..labels.stack import LabelStack
from ..lazy import OnDemand
from ..parallel import in_background, in_threads, workers_for
from ..scene import Scene, View
from ..surface import Surface
from ..ultrametric import AffinityGraph, EditedTree, Tree
from .cameras import write_cameras
from .edits import by_id, match_edits, read_edits, structure_of
from .folder import ViewLabels
from .job import Job
from .render import render_views
from .sheet import write_contact_sheet
from .train import is_trained, made_from_fields

if TYPE_CHECKING:
    from ..quality import Quality
    from ..training import Fields

# Working memory of labelling a view: what is read, points, labels; on the CPU also neighbours and their distances.
_BYTES_PER_PIXEL, _BYTES_PER_PIXEL_ON_DEVICE = 200, 80


@dataclass(frozen=True, eq=False)
class CutTree:
    """A tree over a surface, with the heights at which views are labelled.

    Attributes:
        surface: N points.
        tree: A merge tree over them, after the user's edits.
        heights: Where to cut it [L], float32, increasing.
        is_level: Which cuts are automatic levels [L], bool.
        ids: The lasting id of each of its nodes [2N − 1], int64, under which label maps and files show it.
    """

    surface: Surface
    tree: Tree
    heights: np.ndarray
    is_level: np.ndarray
    ids: np.ndarray

    @property
    def levels(self) -> np.ndarray:
        """Heights of the automatic levels."""
        return self.heights[self.is_level]

    @property
    def renumbered(self) -> bool:
        """Whether nodes of the tree have other numbers than their lasting ids, as merges make them."""
        return not np.array_equal(self.ids, np.arange(len(self.ids)))


def segment(job: Job, fields: Fields) -> None:
    """Everything from trained fields to label maps; the stage counts as done only when all of it is written.

    Where only merges and splits by the user are new, surface and tree stay. The caller owns the run folder.
    """
    from ..training import posed

    check_evidence(job.scene, fields, job.config.engine)
    job = replace(job, scene=posed(job.scene, fields.geometry))
    run, report = job.run, job.report
    render_views(job, fields)
    edited_only = _has_tree(job)
    run.records.forget("segment", "eval", *(() if edited_only else ("tree",)))
    run.clear_results(keep_tree=edited_only)
    made_from = made_from_fields(job)
    with report.stage("segment"), in_background() as submit:
        if edited_only:
            report.note("surface and tree: kept, as only edits are new")
            surface, tree = run.read_surface(), run.read_tree()
        else:
            surface, tree = _surface_and_tree(job, fields)
            run.finish("tree", job.stages.segment, report.seconds["segment/tree"], made_from)
        moved = match_edits(run, tree)
        if moved is not None:
            report.note(moved)
        cuts = _cuts(surface, read_edits(run, tree), job.config)
        submit(write_cameras, run, job.scene)
        submit(_export, job, cuts)
        apart = "" if tree.surroundings is None else f" ({tree.sizes[tree.surroundings]} of them surroundings)"
        report.note(f"{len(surface)} surface points{apart}, levels at {', '.join(f'{h:.3f}' for h in cuts.levels)}")
        with report.stage("labels"):
            colors = by_id(node_colors(cuts.tree), cuts.ids)
            _label(job, cuts, colors, device=str(fields.geometry.device))
        with report.stage("sheet"):
            write_contact_sheet(run, job.scene, colors)
        with report.stage("quality"):
            quality = _quality(job, cuts)
            write_json(run.root / "quality.json", quality.to_json())
    report.table("Levels", *quality.table())
    report.result(f"Without ground truth: {quality.summary()}.")
    run.finish("segment", job.stages.segment, report.seconds["segment"], {**made_from, **structure_of(run)})


def is_segmented(job: Job) -> bool:
    """Whether the folder holds the segmentation of the job's settings, made from the fields and renderings it holds."""
    records = job.run.records
    if not is_trained(job) or records.damaged("render"):
        return False
    return records.finished("segment", job.stages.segment, {**made_from_fields(job), **structure_of(job.run)})


def why_not_segmented(job: Job) -> str:
    """What is the matter where `is_segmented` is false."""
    run = job.run
    damage = run.records.damage("segment") or run.records.damage("render")
    if damage is None and _has_tree(job) and run.records.ended("segment"):
        return f"{run.edits_file}: its merges and splits are newer than the label maps"
    return damage or f"{run.root}: not segmented with its settings"


def _has_tree(job: Job) -> bool:
    """Whether surface and tree of the job's settings are there, whatever the user's edits."""
    return job.run.records.finished("tree", job.stages.segment, made_from_fields(job))


def check_evidence(scene: Scene, fields: Fields, engine: Engine) -> None:
    """Raise `RunError` or `SceneError` unless there are the features and masks that the engine needs."""
    if engine != "lift" and fields.features is None:
        raise RunError(
            f"--engine {engine}: this run has no features; train with --engine {engine}, or take --engine lift"
        )
    if engine != "field" and all(view.masks is None for view in scene.train):
        raise SceneError(
            f"{scene.source}: --engine {engine} needs masks; make them, then train again: "
            f"ultrafield masks {in_shell(scene.root)}"
        )


def _surface(job: Job) -> Surface:
    from ..surface import surface_from_views
    from ..surface.rendered import inner_box

    run, scene = job.run, job.scene

    def picture(view: View) -> np.ndarray:
        return run.read_render("train", view.name).picture() if view.image is None else view.image

    return surface_from_views(
        OnDemand(partial(run.read_rendered_depth, "train"), tuple(view.name for view in scene.train)),
        scene.train.normalised_cameras,
        to_user=scene.to_user,
        config=job.config.segment,
        images=OnDemand(picture, scene.train.views),
        valid=[view.valid for view in scene.train],
        inner=inner_box(scene),
    )


def _graph(surface: Surface, job: Job, fields: Fields) -> AffinityGraph:
    from ..field import point_features
    from ..lift import build_graph

    features, scene = None, job.scene
    if job.config.engine != "lift" and fields.features is not None:
        features = point_features(fields.features, surface.points)
    return build_graph(
        surface,
        engine=job.config.engine,
        scene=scene,
        features=features,
        config=job.config.segment,
        device=str(fields.geometry.device),
        team=job.team,
    )


def _surface_and_tree(job: Job, fields: Fields) -> tuple[Surface, Tree]:
    """Surface and tree, written before they are returned."""
    from ..lift import surface_tree

    run, report = job.run, job.report
    with in_background() as submit:
        with report.stage("surface"):
            surface = _surface(job)
        submit(run.write_surface, surface)
        with report.stage("graph"):
            graph = _graph(surface, job, fields)
        with report.stage("tree"):
            device = str(fields.geometry.device)
            tree = surface_tree(surface, graph, config=job.config.segment, device=device)
            run.write_tree(tree)
    return surface, tree


def _cuts(surface: Surface, edited: EditedTree, config: Config) -> CutTree:
    from ..ultrametric import levels, spread_cuts

    tree = edited.tree
    automatic = levels(tree)
    heights = spread_cuts(tree, config.segment.cuts, automatic)
    return CutTree(surface, tree, heights, np.isin(heights, automatic), edited.ids)


def _export(job: Job, cuts: CutTree) -> None:
    from ..export import write_points, write_tree_json

    run, surface, heights = job.run, cuts.surface, cuts.levels
    write_points(run.root / "points.ply", surface, cuts.tree, heights, ids=cuts.ids)
    names = [view.name for view in job.scene.train]
    best = names[int(np.argmax([surface.seen_from(view).sum() for view in range(len(names))]))]
    folder = run.view_folder("train", best).relative_to(run.root)
    pictures = [(folder / f"{name}.png").as_posix() for name in height_names(heights)]
    write_tree_json(run.root / "tree.json", surface, cuts.tree, names, heights=heights, pictures=pictures, ids=cuts.ids)


def _label(job: Job, cuts: CutTree, colors: np.ndarray, *, device: str) -> None:
    """Label maps and pictures of every view, each one found and written by a thread of its own.

    Args:
        job: The job.
        cuts: The tree and its cuts.
        colors: Colour of every node by lasting id [K, 3], uint8.
        device: Where pixels find their labels.
    """
    from ..labels import ViewLabeller, view_points
    from ..labels.views import cut_table

    run, scene = job.run, job.scene
    table = cuts.ids.astype(np.int32)[cut_table(cuts.tree, cuts.heights)] if cuts.renumbered else None
    labeller = ViewLabeller(
        cuts.surface, cuts.tree, cuts.heights, job.config.segment, workers=1, device=device, table=table
    )

    def label(view: tuple[str, int]) -> None:
        split, index = view
        views = scene.splits[split]
        name = views.views[index].name
        points = view_points(run.read_depth(split, name), views.normalised_cameras, index)
        labels = ViewLabels(labeller.stack(points), cuts.heights, cuts.is_level)
        run.write_labels(split, name, labels)
        _write_views(run.view_folder(split, name), labels.levels, cuts.levels, colors)

    views = [(split, index) for split, views in scene.splits.items() for index in range(len(views))]
    workers = workers_for((_BYTES_PER_PIXEL_ON_DEVICE if labeller.on_device else _BYTES_PER_PIXEL) * scene.most_pixels)
    for _ in job.report.track(in_threads(label, views, workers=workers), len(views), "labels"):
        pass


def _quality(job: Job, cuts: CutTree) -> Quality:
    """The quality report of the segmentation, from the run's own files."""
    from ..quality import assess

    run, scene = job.run, job.scene
    nodes = by_id(np.arange(len(cuts.ids)), cuts.ids, fill=-1) if cuts.renumbered else None  # by lasting id

    def name(split: str, index: int) -> str:
        return scene.splits[split].views[index].name

    def labels(split: str, index: int) -> LabelStack:
        stored = run.read_labels(split, name(split, index)).labels
        return stored if nodes is None else stored.renamed(nodes)

    return assess(
        cuts.surface,
        cuts.tree,
        cuts.heights,
        cuts.is_level,
        scene,
        depth_of=lambda split, index: run.read_depth(split, name(split, index)),
        labels=labels,
    )


def _write_views(folder: Path, labels: LabelStack, heights: np.ndarray, colors: np.ndarray) -> None:
    """Pictures of label maps."""
    from ..export import label_picture, write_label_picture

    for level, name in enumerate(height_names(heights)):
        of_column = label_picture(labels.columns[:, level, None], colors)[:, 0]
        write_label_picture(folder / f"{name}.png", labels.index, of_column)


def height_names(heights: np.ndarray) -> list[str]:
    """Heights [L] with three digits after the point, or as many more as tell them apart."""
    for digits in count(3):
        names = [f"{height:.{digits}f}" for height in heights]
        if len(set(names)) == len(np.unique(heights)):
            break
    return names
