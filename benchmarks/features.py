"""What each part of feature training buys: NC per level and VC of the engine "field", on geometry that stays as it is.

    python benchmarks/features.py SCENE RUN [SCENE RUN ...] [--device auto] [--only REGEX] [--steps N] [--seeds N]

Each RUN is a folder of `ultrafield train SCENE --out RUN`; nothing in it is changed. Scene, surface and neighbours are
prepared once per scene. A row is one training of features, and what its tree scores: exact expectations, 50 cuts. The
last columns are the cross-entropies over the last quarter of the steps (ln 2 = 0.693 is chance with one negative)
and the seconds of the steps, which include the compilation of kernels that no row before has used.
"""

from __future__ import annotations

import argparse
import gc
import json
import re
import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any
from unittest.mock import patch

import numpy as np
import torch

from ultrafield.chains import LabelChains
from ultrafield.commands.runfolder import RunFolder
from ultrafield.config import Config, preset
from ultrafield.data import load_ground_truth, load_scene
from ultrafield.field import point_features
from ultrafield.field.render import render_views
from ultrafield.metrics import SegmentationScores, evaluate_segmentation
from ultrafield.segment import ViewLabeller, build_graph, levels, spread_cuts, surface_from_views, view_points
from ultrafield.segment.graph import neighbor_edges
from ultrafield.segment.views import cut_table, vote
from ultrafield.training import Fields, fit_features, load_fields, posed, resolve_device
from ultrafield.types import GroundTruth, RenderedView, Scene, Surface, Tree
from ultrafield.ultrametric import build_tree

PUBLISHED = {"border_weighting": "any", "border_factor": 0.0, "border_penalty": 10.0}
VARIANTS: dict[str, dict[str, Any]] = {
    "preset": {},
    "no ultrametric term": {"ultrametric_weight": 0.0},
    "ultrametric term only": {"euclidean_weight": 0.0},
    "published term (any border, + 10)": PUBLISHED,
    "published term only": PUBLISHED | {"euclidean_weight": 0.0},
    "no border evidence": {"border_factor": 0.0, "border_penalty": 0.0},
    **{f"any border, + {value:g}": PUBLISHED | {"border_penalty": value} for value in (0.25, 1.0)},
    **{
        f"any border, factor {value:g}": {"border_weighting": "any", "border_factor": value, "border_penalty": 0.0}
        for value in (1.0, 4.0, 10.0, 30.0)
    },
    **{
        f"share, + {value:g}": {"border_weighting": "share", "border_factor": 0.0, "border_penalty": value}
        for value in (0.25, 0.5, 1.0, 2.0, 10.0)
    },
    **{
        f"share, factor {value:g}": {"border_weighting": "share", "border_factor": value, "border_penalty": 0.0}
        for value in (1.0, 4.0, 10.0, 30.0)
    },
    **{f"ultrametric weight {value:g}": {"ultrametric_weight": value} for value in (0.25, 4.0)},
    **{f"{value} negatives": {"negatives": value} for value in (1, 4, 16)},
    **{f"temperature {value:g}": {"temperature": value} for value in (0.05, 0.1, 0.2)},
    **{f"{value} channels": {"dim": value} for value in (32, 64, 128)},
    **{f"mask balance {value:g}": {"mask_balance": value} for value in (0.0, 0.5, 0.9)},
    **{f"{value} pairs per mask": {"pairs_per_mask": value} for value in (32, 64, 128)},
}
COLUMNS = ("features", "NC", "parts", "objects", "foreground", "VC", "euclidean", "ultrametric", "seconds")


@dataclass
class Bench:
    """A scene with finished geometry, and all that does not depend on features.

    Attributes:
        scene: With refined poses, if the run has them.
        fields: The run's fields.
        config: The run's settings, with the features of a preset.
        surface: Points of the training views.
        points: What the pixels of each view of "val" and "val_rotate" see.
        truth: Ground truth of these splits.
        nearest: The surface points that vote on each pixel, from the first labelling on.
    """

    scene: Scene
    fields: Fields
    config: Config
    surface: Surface
    points: dict[str, list[np.ndarray]]
    truth: dict[str, GroundTruth | None]
    nearest: dict[str, list[np.ndarray]] = field(default_factory=dict)


@dataclass(frozen=True)
class Row:
    """What one training gave: scores, mean cross-entropies of the last quarter by name, and seconds of its steps."""

    scores: SegmentationScores
    losses: dict[str, float]
    seconds: float

    def numbers(self) -> list[float]:
        """The figures of the table, NaN for a term that was left out."""
        vc = self.scores.vc.mean if self.scores.vc is not None else np.nan
        losses = [self.losses.get(name, np.nan) for name in ("euclidean", "ultrametric")]
        return [self.scores.nc.mean, *self.scores.nc.levels, vc, *losses, self.seconds]


def main(arguments: list[str] | None = None) -> int:
    """Print one table per scene, row by row."""
    options = parse(arguments)
    device = resolve_device(options.device)
    chosen = {name: changes for name, changes in VARIANTS.items() if re.search(options.only, name)}
    if not chosen:
        sys.exit(f"--only {options.only}: matches none of: {', '.join(VARIANTS)}")
    for scene, run in zip(options.folders[::2], options.folders[1::2], strict=True):
        bench = prepare(scene, run, options.preset, device)
        with prepared_once():
            table(bench, chosen, options, device)
    return 0


def parse(arguments: list[str] | None) -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folders", type=Path, nargs="+", metavar="SCENE RUN")
    parser.add_argument("--device", default="auto", choices=("auto", "cpu", "cuda"))
    parser.add_argument("--preset", choices=("draft", "standard", "paper"), help="of the features; the run's if none")
    parser.add_argument("--only", default="", help="regular expression: variants to run")
    parser.add_argument("--steps", type=int, help="optimiser steps; the preset's if none")
    parser.add_argument("--seeds", type=int, default=1, help="trainings per row, of which it is the mean")
    options = parser.parse_args(arguments)
    if len(options.folders) % 2:
        parser.error("expected a RUN after every SCENE")
    if options.seeds < 1:
        parser.error(f"--seeds: expected at least 1, got {options.seeds}")
    return options


def table(bench: Bench, chosen: dict[str, dict[str, Any]], options: argparse.Namespace, device: torch.device) -> None:
    """Train and score every variant; rows that ask for the same settings are trained once."""
    print(f"\n{bench.scene.name}: {len(bench.surface)} points, preset {bench.config.preset}, {device}\n", flush=True)
    print("|".join(["", *COLUMNS, ""]) + "\n" + "|".join(["", *["---"] * len(COLUMNS), ""]), flush=True)
    known: dict[Config, np.ndarray] = {}
    for name, changes in chosen.items():
        steps = {} if options.steps is None else {"steps": options.steps}
        config = replace(bench.config, features=replace(bench.config.features, **changes, **steps))
        if config not in known:
            rows = [measure(bench, replace(config, seed=seed), device).numbers() for seed in range(options.seeds)]
            known[config] = np.mean(rows, axis=0)
        *figures, seconds = known[config]
        cells = [name, *("" if np.isnan(figure) else f"{figure:.3f}" for figure in figures), f"{seconds:.1f}"]
        print(f"| {' | '.join(cells)} |", flush=True)


def prepare(scene_folder: Path, run_folder: Path, features: str | None, device: torch.device) -> Bench:
    """Read a scene and a run, and find surface and visible points from its renderings (made here if it has none)."""
    run = RunFolder(run_folder)
    stored = run.read_config()
    fields = load_fields(run_folder, device=device)
    scene = posed(load_scene(scene_folder, **stored.data.arguments()), fields.geometry)
    name = features or stored.config.preset
    config = replace(stored.config, preset=name, engine="field", features=preset(name).features)
    views = {split: rendered(run, scene, split, fields) for split in scene.splits}
    surface = surface_from_views(views["train"], scene.train.cameras, to_user=scene.to_user, config=config.segment)
    held_out = [split for split in ("val", "val_rotate") if split in scene.splits]
    points = {
        split: [
            view_points(view, scene.splits[split].cameras, index, scene.to_user)
            for index, view in enumerate(views[split])
        ]
        for split in held_out
    }
    truth = {split: load_ground_truth(scene, split) for split in held_out}
    if truth.get("val") is None:
        sys.exit(f"{scene_folder}: has no ground truth of validation views")
    return Bench(scene, fields, config, surface, points, truth)


def rendered(run: RunFolder, scene: Scene, split: str, fields: Fields) -> list[RenderedView]:
    """The run's renderings of a split."""
    views = scene.splits[split]
    if all(run.render_file(split, view.name).is_file() for view in views):
        return [run.read_render(split, view.name) for view in views]
    return list(render_views(fields.geometry, views.cameras, range(len(views))))


@contextmanager
def prepared_once() -> Iterator[None]:
    """Within the block, trainings share the cached samples and masks of the first, and graphs the first one's edges.

    Only for trainings on one scene, and graphs on one surface, whose settings differ in nothing that these depend on.
    """
    from ultrafield.training.mask_pool import MaskPool
    from ultrafield.training.surface_cache import build_cache, build_padded_cache

    shared = {
        "ultrafield.training.features.build_cache": build_cache,
        "ultrafield.training.features.build_padded_cache": build_padded_cache,
        "ultrafield.training.features.MaskPool": MaskPool,
        "ultrafield.segment.graph.neighbor_edges": neighbor_edges,
    }
    with ExitStack() as stack:
        for name, function in shared.items():
            stack.enter_context(patch(name, once(function)))
        yield


def once(function: Callable[..., Any]) -> Callable[..., Any]:
    """`function`, which from the second call on returns what it returned before, whatever it is asked."""
    results: list[Any] = []

    def first_result(*arguments: Any, **options: Any) -> Any:
        if not results:
            results.append(function(*arguments, **options))
        return results[0]

    return first_result


def measure(bench: Bench, config: Config, device: torch.device) -> Row:
    """Train features and score their tree."""
    with tempfile.TemporaryDirectory() as folder:
        trained = fit_features(
            bench.fields.geometry, bench.scene, config, device=device, out=Path(folder), progress=False
        )
        lines = [json.loads(line) for line in (Path(folder) / "log.jsonl").read_text(encoding="utf-8").splitlines()]
    late = [line for line in lines if line["step"] >= 0.75 * config.features.steps] or lines[-1:]
    weights = {"euclidean": config.features.euclidean_weight, "ultrametric": config.features.ultrametric_weight}
    losses = {
        name: float(np.mean([line[name] for line in late])) / weight for name, weight in weights.items() if weight > 0
    }
    features = point_features(trained, bench.scene.to_user.inverse().apply(bench.surface.points))
    del trained
    release(device)
    graph = build_graph(bench.surface, engine="field", features=features, config=config.segment)
    return Row(score(bench, build_tree(graph, linkage=config.segment.linkage)), losses, lines[-1]["seconds"])


def release(device: torch.device) -> None:
    """Give back what a finished training held on the device: its captured step refers to itself."""
    gc.collect()
    if device.type == "cuda":
        torch.cuda.empty_cache()


def score(bench: Bench, tree: Tree) -> SegmentationScores:
    """NC and VC of a tree, exact expectations."""
    heights = spread_cuts(tree, bench.config.segment.cuts, levels(tree))
    if not bench.nearest:
        labeller = ViewLabeller(bench.surface, tree, heights, bench.config.segment)
        bench.nearest = {split: [labeller.nearest(view) for view in views] for split, views in bench.points.items()}
    cuts = LabelChains.of(cut_table(tree, heights).T[:, :, None])
    labels = {split: [vote(cuts, nearest) for nearest in views] for split, views in bench.nearest.items()}
    cameras = {split: bench.scene.splits[split].cameras for split in labels}
    return evaluate_segmentation(
        labels["val"], labels.get("val_rotate"), bench.truth["val"], bench.truth.get("val_rotate"),
        cameras["val"], cameras.get("val_rotate"),
    )  # fmt: skip


if __name__ == "__main__":
    sys.exit(main())
