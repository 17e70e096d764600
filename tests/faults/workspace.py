"""A small workspace for commands that are attacked: a scene, runs of it, and programs shrunk to its size."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path

Program = Callable[[Sequence[str]], int]

SMALL = (
    *("--device", "cpu", "--geometry.steps", "4", "--geometry.rays", "64", "--geometry.samples", "512"),
    *("--geometry.hidden", "8", "--geometry.grid.levels", "2", "--geometry.grid.log2-entries", "8"),
    *("--geometry.max-samples-per-ray", "32", "--geometry.occupancy-resolution", "16", "--segment.cuts", "3"),
    *("--features.steps", "2", "--features.pixels", "64", "--features.dim", "4"),
    *("--features.grid.levels", "2", "--features.grid.log2-entries", "8", "--geometry.lr", "0.03"),
)
TRAINED = [*SMALL]
TRAINED[3], TRAINED[5], TRAINED[7] = "60", "256", "2048"
SCENE = ("--size", "20", "--train-views", "3", "--val-views", "1", "--light-samples", "1", "--sky-samples", "1")
PUBLISHED = (
    *("--root_dir", "scene", "--exp_name", "e", "--num_epochs", "0.002", "--batch_size", "32", "--lr", "0.01"),
    *("--downsample", "0.03", "--load_seg", "--ultrametric_weight", "1", "--feature_dim", "4", "--render_feature"),
)
CHECKPOINT = "ckpts/nerf/e/epoch=0_slim.ckpt"


def programs() -> dict[str, Program]:
    """Functions that run a program with arguments and return its exit code."""
    from ultrafield import cli
    from ultrafield.config import HashGridConfig, preset
    from ultrafield.published import masks, options, segment, train
    from ultrafield.published.evaluate import evaluate_main

    paper = preset("paper")  # with networks so small that a step takes no time
    geometry = replace(paper.geometry, grid=HashGridConfig(2, 2, 8, 8, 64), occupancy_resolution=16, hidden=8)
    features = replace(paper.features, grid=HashGridConfig(2, 2, 8, 8, 16), hidden=8)
    small = replace(paper, geometry=replace(geometry, max_samples_per_ray=32), features=features)
    options.preset = lambda name: small
    segment.OUTLIER_RADIUS = 1.0
    published: dict[str, Program] = {
        "train.py": train.train_main,
        "render.py": train.render_main,
        "3dseg.py": segment.main,
        "eval_nc.py": partial(evaluate_main, "nc"),
        "eval_vc.py": partial(evaluate_main, "vc"),
        "get_hierarchy.py": masks.hierarchy_main,
    }
    commands = {name: lambda words, name=name: cli.main([name, *words]) for name in cli.COMMANDS}
    return commands | published


def prepare(folder: Path) -> None:
    """Make the workspace: a scene, and runs of it by both programs."""
    from ultrafield import cli
    from ultrafield.synth import SynthConfig, synthesize

    options = SynthConfig(size=24, train_views=4, val_views=1, supersampling=1, light_samples=1, sky_samples=1)
    synthesize(None, folder / "scene", options, progress=False)
    assert cli.main(["run", str(folder / "scene"), "--out", str(folder / "done"), "--engine", "both", *TRAINED]) == 0
    os.chdir(folder)
    assert programs()["train.py"]([*PUBLISHED, "--render_train", "--rotate_test"]) == 0


def prepare_elsewhere(folder: Path) -> None:
    """Make the workspace in another process, as threads do not survive a fork."""
    script = (
        f"import sys; sys.path.insert(0, {str(Path(__file__).parent)!r}); import workspace; from pathlib import Path; "
    )
    script += f"workspace.prepare(Path({str(folder)!r}))"
    subprocess.run([sys.executable, "-c", script], check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
