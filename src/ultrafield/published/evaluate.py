"""The published `scripts/eval_{nc,nc_dense,vc}.py ROOT NAME`.

The scores are what the published scripts estimate from 100 unseeded points per mask, as exact expectations; `--sampling
100 --seed 0` draws points.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path
from typing import Literal

import numpy as np

from ..config.ranges import SEED, Range
from ..errors import ConfigError, RunError, SceneError
from ..io import write_json
from ..names import check_name
from ..pipeline.console import Report
from ..pipeline.guard import guarded
from ..reading import read_npy
from ..scene import Scene
from ..scene.options import SceneOptions
from ..scene.values import as_float
from .options import check_flag
from .segment import NUM_SEGMENTS

Metric = Literal["nc", "nc_dense", "vc"]
_READ_WIDTH = 16  # pictures are not looked at, only their cameras and names


def evaluate_main(metric: Metric, arguments: Sequence[str] | None = None) -> int:
    """`python scripts/eval_<metric>.py ROOT NAME`; returns the exit code."""
    program = f"eval_{metric}.py"
    return guarded(program, lambda: _evaluate(metric, build_evaluate_parser(program).parse_args(arguments)))


def build_evaluate_parser(program: str) -> argparse.ArgumentParser:
    """The parser of the three evaluation scripts."""
    parser = argparse.ArgumentParser(prog=program, description="The published command, on Ultrafield.")
    parser.add_argument("root_dir", help="folder of the dataset")
    parser.add_argument("name", help="name of the result below vis/")
    parser.add_argument("--sampling", type=int, help="random points per mask; exact expectations if not given")
    parser.add_argument("--seed", type=int, default=0, help="seed of the sampling")
    return parser


def _evaluate(metric: Metric, options: argparse.Namespace) -> None:
    from ..metrics import evaluate_segmentation, published_scores
    from ..scene import load_ground_truth, load_scene

    check_name(options.name, "NAME", ConfigError)
    check_flag("sampling", options.sampling, int, Range(1, 10**6), optional=True)
    check_flag("seed", options.seed, int, SEED)
    report = Report()
    scene = load_scene(options.root_dir, **SceneOptions(width=_READ_WIDTH).arguments())
    truth = load_ground_truth(scene, "val")
    if truth is None:
        raise SceneError(f"{scene.source}: no ground truth (gt_seg/val/IMAGE_seg_objects.tif)")
    labels, rotated = read_vis(Path("vis") / options.name, scene, rotated=metric == "vc")
    with report.stage("eval"):
        scores = evaluate_segmentation(
            labels,
            rotated,
            truth,
            None if rotated is None else load_ground_truth(scene, "val_rotate"),
            scene.splits["val"].normalised_cameras,
            None if rotated is None else scene.splits["val_rotate"].normalised_cameras,
            sampling=options.sampling,
            seed=options.seed,
            published=True,
        )
    wanted = getattr(scores, metric)
    if wanted is None:
        raise SceneError(f"{scene.source}: view consistency needs val_depth and val_visible")
    family: Literal["nc", "vc"] = "vc" if metric == "vc" else "nc"
    content = published_scores(scores.names, wanted, family)
    folder = Path("eval_results") / options.name
    # As published, the dense variant writes nc_score.json too; a second file keeps it when eval_nc.py runs next.
    for name in {f"{family}_score.json", f"{metric}_score.json"}:
        write_json(folder / name, content)
    means = "  ".join(f"{key} {value:.4f}" for key, value in content.items() if isinstance(value, float))
    report.result(means)
    report.result(f"{folder / f'{family}_score.json'}")


def read_vis(folder: Path, scene: Scene, *, rotated: bool) -> tuple[list[np.ndarray], list[np.ndarray] | None]:
    """Label maps that `3dseg.py` wrote, per validation view and, if asked for, per rotated view; -1 for none.

    Raises:
        RunError: A view is missing.
        SceneError: Rotated views are asked for, but the scene has none.
    """
    if "val" not in scene.splits:
        raise SceneError(f"{scene.source}: no validation views")
    count = len(scene.splits["val"])
    if rotated and "val_rotate" not in scene.splits:
        raise SceneError(f"{scene.source}: view consistency needs transforms_val_rotate.json")
    total = count + (len(scene.splits["val_rotate"]) if rotated else 0)
    maps = [_read_maps(folder / str(index)) for index in range(total)]
    for index, view in enumerate(maps):
        if len(view) != len(maps[0]):
            expected = f"{len(maps[0])} label maps as in {folder / '0'}"
            raise RunError(f"{folder / str(index)}: expected {expected}, found {len(view)}; run 3dseg.py again")
    return maps[:count], maps[count:] if rotated else None


def _read_maps(folder: Path) -> np.ndarray:
    """Labels [T, H, W] of one view, by ascending threshold."""
    found = {file: as_float(file.stem) for file in folder.glob("*.npy")}
    files = sorted((threshold, file) for file, threshold in found.items() if threshold is not None)
    if not files:
        raise RunError(f"{folder}: no label maps; run 3dseg.py first (rotated views need train.py --rotate_test)")
    first = _read_map(files[0][1])
    maps = np.empty((len(files), *first.shape), np.int64)
    for index, (_, file) in enumerate(files):
        labels = _read_map(file)
        if labels.shape != first.shape:
            raise RunError(
                f"{file}: expected shape {list(first.shape)} like {files[0][1].name}, got {list(labels.shape)}"
            )
        maps[index] = labels
    return np.where(maps == NUM_SEGMENTS, -1, maps)


def _read_map(file: Path) -> np.ndarray:
    """One label map [H, W] with the published number for none; `RunError` for anything else."""
    labels = read_npy(file, error=RunError)
    if labels.ndim != 2 or labels.size == 0 or labels.dtype.kind not in "iu":
        raise RunError(f"{file}: expected a map [H, W] of integers, got {labels.dtype} {list(labels.shape)}")
    if not 0 <= labels.min() <= labels.max() <= NUM_SEGMENTS:
        raise RunError(f"{file}: expected numbers from 0 to {NUM_SEGMENTS}, got {labels.min()} to {labels.max()}")
    return labels
