"""Held-out pictures and camera poses with and without `--geometry.refine-poses`, for poses that were shaken on purpose.

    python benchmarks/poses.py [--shakes 0 0.5 1 2] [--size 256] [--views 48] [--device auto] [--preset standard]
        [--steps N] [--json FILE]

The built-in still life is made with exact cameras. Each training camera is then turned and shifted at random by so much
that the scene moves by the shake, in pixels, in its picture: half of that each way. Held-out cameras stay exact. Where
poses are refined, the frame may drift with them: held-out cameras are moved by the similarity that fits the training
cameras best. "off" is the mean distance between where exact and training cameras, so moved, see a point of the scene.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
from captures import align
from lib.machine import processor
from lib.options import DEVICES, PRESETS, parser_of, positive
from lib.results import Results, print_header, print_row

from ultrafield.cameras import Cameras, project
from ultrafield.config import Config, preset
from ultrafield.field.render import render_views
from ultrafield.metrics import psnr
from ultrafield.scene import Scene, load_scene
from ultrafield.synth import SynthConfig, synthesize
from ultrafield.training import fit_geometry, posed, resolve_device

_COLUMNS = ("shake, px", "poses", "off before, px", "off after, px", "held-out PSNR, dB", "training s")
_EXTENT = 0.35  # of the scene points whose places in the pictures are compared, normalised units


def main() -> int:
    """Train once for every shake, with and without refinement, and print a row each."""
    parser = parser_of(__doc__)
    parser.add_argument("--shakes", type=float, nargs="+", default=[0.0, 0.5, 1.0, 2.0])
    parser.add_argument("--size", type=positive, default=256)
    parser.add_argument("--views", type=positive, default=48)
    parser.add_argument("--device", default="auto", choices=DEVICES)
    parser.add_argument("--preset", default="standard", choices=PRESETS)
    parser.add_argument("--steps", type=positive, help="in place of the preset's")
    options = parser.parse_args()
    results = Results("poses", options)
    print(processor())
    print_header(_COLUMNS)
    with tempfile.TemporaryDirectory() as place:
        made = SynthConfig(size=options.size, train_views=options.views, val_views=8, supersampling=2)
        synthesize(None, Path(place) / "scene", made, progress=False)
        scene = load_scene(Path(place) / "scene")
        for shake in options.shakes:
            shaken = moved(scene, shake)
            for refined in (False, True):
                row = run(scene, shaken, config_of(options, refined), options.device)
                print_row([f"{shake:g}", "refined" if refined else "kept", *(f"{value:.2f}" for value in row)])
                results.add(shake=shake, refined=refined, before=row[0], after=row[1], psnr=row[2], seconds=row[3])
    results.save()
    return 0


def config_of(options: argparse.Namespace, refined: bool) -> Config:
    """The settings of a row."""
    config = preset(options.preset)
    geometry = replace(config.geometry, refine_poses=refined)
    return replace(config, geometry=geometry if options.steps is None else replace(geometry, steps=options.steps))


def moved(scene: Scene, shake: float) -> Scene:
    """The scene with training cameras turned and shifted by half of `shake` pixels each, in directions of chance."""
    cameras, generator = scene.train.normalised_cameras, np.random.default_rng(7)
    c2w = cameras.c2w.copy()
    for index in range(len(cameras)):
        focal, pose = cameras.intrinsics[index, 0], cameras.c2w[index]
        turn, shift = (np.array([np.cos(a), np.sin(a), 0.0]) for a in generator.uniform(0, 2 * np.pi, 2))
        angle = 0.5 * shake / focal
        x, y, _ = angle * turn
        small = np.array([[0, 0, y], [0, 0, -x], [-y, x, 0]])
        left, _, right = np.linalg.svd(np.eye(3) + small)
        c2w[index, :, :3] = pose[:, :3] @ (left @ right)
        c2w[index, :, 3] += pose[:, :3] @ (angle * np.linalg.norm(pose[:, 3]) * shift)
    train = replace(scene.train, normalised_cameras=replace(cameras, c2w=c2w))
    return replace(scene, splits={**scene.splits, "train": train})


def run(exact: Scene, shaken: Scene, config: Config, device: str) -> tuple[float, float, float, float]:
    """Pose error before and after, PSNR of held-out views, and seconds of training."""
    start = time.perf_counter()
    field = fit_geometry(shaken, config, device=resolve_device(device), progress=False)
    seconds = time.perf_counter() - start
    true, found = exact.train.normalised_cameras, posed(shaken, field).train.normalised_cameras
    move = align(places(true), places(found))  # from the true frame to the one that was trained in
    held_out = exact.splits["val"]
    views = render_views(field, held_out.normalised_cameras.moved(move), range(len(held_out)))
    values = [psnr(view.color, photo.image) for view, photo in zip(views, held_out, strict=True)]
    given = shaken.train.normalised_cameras
    before = offsets(true, given.moved(align(places(given), places(true))))
    return before, offsets(true, found.moved(move.inverse())), float(np.mean(values)), seconds


def places(cameras: Cameras) -> np.ndarray:
    """Centres of cameras, and points beside and before them [4 N, 3], which hold their directions too."""
    centres, axes = cameras.c2w[:, :, 3], cameras.c2w[:, :, :3]
    return np.concatenate([centres, *(centres + axes[:, :, axis] for axis in range(3))])


def offsets(true: Cameras, other: Cameras) -> float:
    """Mean distance, in pixels, between where two sets of cameras see the same points."""
    grid = np.linspace(-_EXTENT, _EXTENT, 3)
    points = np.stack(np.meshgrid(grid, grid, grid), axis=-1).reshape(-1, 3)
    apart = [project(true, index, points)[0] - project(other, index, points)[0] for index in range(len(true))]
    return float(np.nanmean(np.linalg.norm(np.stack(apart), axis=-1)))


if __name__ == "__main__":
    sys.exit(main())
