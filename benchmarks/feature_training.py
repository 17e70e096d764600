"""One training of features on finished geometry, and the scores of its tree; all else is done once."""

from __future__ import annotations

import gc
import json
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from unittest.mock import patch

import numpy as np
import torch
from lift import exact_views

from ultrafield.cameras import Cameras, RenderedView
from ultrafield.cameras.projection import pixel_directions
from ultrafield.config import Config
from ultrafield.field import point_features
from ultrafield.field.render import render_views
from ultrafield.field.volrend import run_offsets
from ultrafield.labels import ViewLabeller, view_points
from ultrafield.labels.stack import LabelStack
from ultrafield.labels.views import cut_table, vote
from ultrafield.lift import build_graph
from ultrafield.lift.edges import neighbor_edges
from ultrafield.metrics import SegmentationScores, evaluate_segmentation
from ultrafield.pipeline.folder import RunFolder
from ultrafield.scene import GroundTruth, Scene, load_ground_truth, load_scene
from ultrafield.surface import Surface, surface_from_views
from ultrafield.training import Fields, fit_features, load_fields, posed, resolve_device
from ultrafield.training.contrast.mask_pool import MaskPool
from ultrafield.training.features.surface_cache import PaddedCache, SurfaceCache, build_cache, build_padded_cache
from ultrafield.training.features.vote_weights import vote_table
from ultrafield.ultrametric import Tree, build_tree, levels, spread_cuts

EXACT = Path("exact")  # in place of a run: the depth that the dataset has


@dataclass
class Bench:
    """A scene with finished geometry, and all that does not depend on features.

    Attributes:
        scene: With refined poses, if the run has them.
        fields: The run's fields; None for exact depth.
        exact: One sample for every training pixel, where its exact depth says; None for a run.
        surface: Points of the training views.
        points: What the pixels of each view of "val" and "val_rotate" see.
        truth: Ground truth of these splits.
        nearest: The surface points that vote on each pixel, from the first labelling on.
    """

    scene: Scene
    fields: Fields | None
    exact: PaddedCache | None
    surface: Surface
    points: dict[str, list[np.ndarray]]
    truth: dict[str, GroundTruth | None]
    nearest: dict[str, list[np.ndarray]] = field(default_factory=dict)


@dataclass(frozen=True)
class Row:
    """What one training gave.

    Attributes:
        nc: NC of parts, objects and foreground [3], float64.
        vc: Mean VC; NaN where there are no rotated views.
        losses: Mean cross-entropies of the last quarter of the steps, Euclidean and ultrametric [2], float64; NaN for a
            term that was left out.
        seconds: Of the steps; they include the compilation of kernels that no training before has used.
    """

    nc: np.ndarray
    vc: float
    losses: np.ndarray
    seconds: float


def measure_all(scene_folder: Path, run_folder: Path, configs: Sequence[Config], device: str) -> list[Row]:
    """Train and score several settings that differ in features and seed only; says what it found on stderr."""
    target, started, rows = resolve_device(device), time.perf_counter(), []
    bench = prepare(scene_folder, run_folder, configs[0], target)
    name, seconds = bench.scene.name, time.perf_counter() - started
    print(f"{name}: {len(bench.surface)} points, prepared in {seconds:.1f} s", file=sys.stderr, flush=True)
    with prepared_once(bench.exact):
        for config in configs:
            started = time.perf_counter()
            row = measure(bench, config, target)
            seconds = time.perf_counter() - started
            scores = f"NC {row.nc.mean():.3f}, VC {row.vc:.3f}, {row.seconds:.1f} of {seconds:.1f} s"
            print(f"{name}: {len(rows) + 1} of {len(configs)}: {scores}", file=sys.stderr, flush=True)
            rows.append(row)
    return rows


def prepare(scene_folder: Path, run_folder: Path, config: Config, device: torch.device) -> Bench:
    """Read a scene and a run, and find surface and visible points from its renderings (made here if it has none)."""
    if run_folder == EXACT:
        fields, scene = None, load_scene(scene_folder)
        views = {split: exact_views(scene, split) for split in scene.splits}
        exact = exact_samples(views["train"], scene.train.normalised_cameras, device)
    else:
        run, fields, exact = RunFolder(run_folder), load_fields(run_folder, device=device), None
        scene = posed(load_scene(scene_folder, **run.read_config().data.arguments()), fields.geometry)
        views = {split: rendered(run, scene, split, fields) for split in scene.splits}
    surface = surface_from_views(
        views["train"], scene.train.normalised_cameras, to_user=scene.to_user, config=config.segment
    )
    held_out = [split for split in ("val", "val_rotate") if split in scene.splits]
    points = {
        split: [
            view_points(view.depth, scene.splits[split].normalised_cameras, index)
            for index, view in enumerate(views[split])
        ]
        for split in held_out
    }
    truth = {split: load_ground_truth(scene, split) for split in held_out}
    if truth.get("val") is None:
        sys.exit(f"{scene_folder}: has no ground truth of validation views")
    return Bench(scene, fields, exact, surface, points, truth)


def exact_samples(views: list[RenderedView], cameras: Cameras, device: torch.device) -> PaddedCache:
    """One sample for every pixel, of weight 1, or 0 where it shows nothing."""
    lengths = [np.linalg.norm(pixel_directions(cameras, index), axis=-1) for index in range(len(views))]
    distances = [(view.depth * length).reshape(-1, 1) for view, length in zip(views, lengths, strict=True)]
    t = torch.from_numpy(np.concatenate(distances).astype(np.float32)).to(device)
    return PaddedCache(t, (t > 0).float())


def rendered(run: RunFolder, scene: Scene, split: str, fields: Fields) -> list[RenderedView]:
    """The run's renderings of a split."""
    views = scene.splits[split]
    if all(run.render_file(split, view.name).is_file() for view in views):
        return [run.read_render(split, view.name) for view in views]
    return list(render_views(fields.geometry, views.normalised_cameras, range(len(views))))


@contextmanager
def prepared_once(exact: PaddedCache | None) -> Iterator[None]:
    """Within the block, trainings share the cached samples and masks of the first, and graphs the first one's edges.

    Only for trainings on one scene, and graphs on one surface, whose settings differ in nothing that these depend on.
    Where there are exact samples, they are the cached ones.
    """

    def exact_cache(*_: Any) -> SurfaceCache:
        shown = exact.weights[:, 0] > 0
        return SurfaceCache(run_offsets(shown.long()), exact.t[shown, 0], exact.weights[shown, 0])

    shared = {
        "ultrafield.training.trainers.build_cache": build_cache if exact is None else exact_cache,
        "ultrafield.training.trainers.build_padded_cache": build_padded_cache if exact is None else lambda *_: exact,
        "ultrafield.training.trainers.MaskPool": MaskPool,
        "ultrafield.training.trainers.vote_table": vote_table,
        "ultrafield.lift.graph.neighbor_edges": neighbor_edges,
    }
    with ExitStack() as stack:
        for name, function in shared.items():
            stack.enter_context(patch(name, once(function)))
        yield


def once(function: Callable[..., Any]) -> Callable[..., Any]:
    """`function`, which returns what it returned before if it is asked for the same numbers, whatever else differs."""
    results: dict[tuple[float, ...], Any] = {}

    def first_result(*arguments: Any, **options: Any) -> Any:
        numbers = tuple(value for value in arguments if isinstance(value, int | float))
        if numbers not in results:
            results[numbers] = function(*arguments, **options)
        return results[numbers]

    return first_result


def measure(bench: Bench, config: Config, device: torch.device) -> Row:
    """Train features and score their tree."""
    # Where samples are exact, training asks of geometry only whether it is bounded, which the scene knows too.
    geometry = bench.scene if bench.fields is None else bench.fields.geometry
    with tempfile.TemporaryDirectory() as folder:
        trained = fit_features(geometry, bench.scene, config, device=device, out=Path(folder), progress=False)
        lines = [json.loads(line) for line in (Path(folder) / "log.jsonl").read_text(encoding="utf-8").splitlines()]
    late = [line for line in lines if line["step"] >= 0.75 * config.features.steps] or lines[-1:]
    weights = {"euclidean": config.features.euclidean_weight, "ultrametric": config.features.ultrametric_weight}
    losses = [
        np.mean([line[name] for line in late]) / weight if weight > 0 else np.nan for name, weight in weights.items()
    ]
    features = point_features(trained, bench.surface.points)
    del trained
    release(device)
    graph = build_graph(bench.surface, engine="field", features=features, config=config.segment)
    scores = score(bench, build_tree(graph, linkage=config.segment.linkage), config)
    vc = scores.vc.mean if scores.vc is not None else np.nan
    return Row(np.array(scores.nc.levels), vc, np.array(losses), lines[-1]["seconds"])


def release(device: torch.device) -> None:
    """Give back what a finished training held on the device: its captured step refers to itself."""
    gc.collect()
    if device.type == "cuda":
        torch.cuda.empty_cache()


def score(bench: Bench, tree: Tree, config: Config) -> SegmentationScores:
    """NC and VC of a tree, exact expectations."""
    heights = spread_cuts(tree, config.segment.cuts, levels(tree))
    if not bench.nearest:
        labeller = ViewLabeller(bench.surface, tree, heights, config.segment)
        bench.nearest = {split: [labeller.nearest(view) for view in views] for split, views in bench.points.items()}
    cuts = LabelStack.of(cut_table(tree, heights).T[:, :, None])
    labels = {split: [vote(cuts, nearest) for nearest in views] for split, views in bench.nearest.items()}
    cameras = {split: bench.scene.splits[split].normalised_cameras for split in labels}
    return evaluate_segmentation(
        labels["val"],
        labels.get("val_rotate"),
        bench.truth["val"],
        bench.truth.get("val_rotate"),
        cameras["val"],
        cameras.get("val_rotate"),
    )
