"""Train one scene, and count its votes, on 1, 2, 4, … GPUs of one host.

    python benchmarks/gpus.py [--gpus 1 2 4] [--views 1000] [--size 320] [--samples 18 20] [--points 1000000]
        [--geometry 1500] [--features 300] [--device cuda] [--json FILE]

A heap of balls is made in memory. Geometry is trained with 2^S samples a step for every S of --samples, all of them
with the same number of steps, then features on the first geometry; votes are those of an exact surface. A step's time
is the median of blocks of 50 in the second half; "all" is from the scene to the end of the last step, making tables
and recording graphs included. PSNR is that of views held out. Votes are checked against those of the first row.
`--device cpu` has processes on the CPU take the place of GPUs: it shows that the script works, and times nothing.
"""

from __future__ import annotations

import argparse
import os
import statistics
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
import torch
from lib import balls, machine
from lib.options import parser_of, positive
from lib.results import Results, print_header, print_row

from ultrafield.config import Config, preset
from ultrafield.field.render import render_views
from ultrafield.lift.edges import neighbor_edges
from ultrafield.lift.votes import mask_votes
from ultrafield.metrics import psnr
from ultrafield.scene import Scene
from ultrafield.scene.share import give_scene
from ultrafield.sharing import ALONE, Team
from ultrafield.surface import Surface
from ultrafield.training.loop import Trainer
from ultrafield.training.members import prepare_features, prepare_geometry, start_steps
from ultrafield.training.trainers import feature_trainer, geometry_trainer

_BLOCK = 50
COLUMNS = ("GPUs", "what", "all, s", "times one", "a step, ms", "times one", "quality")


@dataclass
class Bench:
    """What all rows share.

    Attributes:
        options: The command line.
        scene: The scene.
        surface: An exact surface of it.
        edges: Edges between its points.
        results: The rows.
        first: Seconds of the first row of each kind: all, and a step.
        votes: The sums of the first row.
    """

    options: argparse.Namespace
    scene: Scene
    surface: Surface
    edges: np.ndarray
    results: Results
    first: dict[str, tuple[float, float]] = field(default_factory=dict)
    votes: tuple[np.ndarray, np.ndarray] | None = None

    def row(self, gpus: int, what: str, whole: float, step: float, quality: str) -> None:
        """Keep and print a row."""
        one, one_step = self.first.setdefault(what, (whole, step))
        self.results.add(gpus=gpus, what=what, seconds=whole, step=step, quality=quality)
        ratio = f"{one_step / step:.2f}" if step else "–"
        milliseconds = f"{1e3 * step:.3f}" if step else "–"
        print_row([str(gpus), what, f"{whole:.2f}", f"{one / whole:.2f}", milliseconds, ratio, quality])
        sys.stdout.flush()


@dataclass(frozen=True)
class Done:
    """A training that is done.

    Attributes:
        trainer: After its last step.
        seconds: From before it was made.
        made: Of them, until it was made.
        step: Seconds of a step.
        loss: Mean of the losses at the end, those of the first process.
    """

    trainer: Trainer[Any]
    seconds: float
    made: float
    step: float
    loss: float


def main() -> int:
    """Make the scene, then all rows."""
    os.environ.setdefault("NCCL_NVLS_ENABLE", "0")
    parser = parser_of(__doc__)
    parser.add_argument("--gpus", type=positive, nargs="+", default=[1, 2, 4])
    parser.add_argument("--views", type=positive, default=1000)
    parser.add_argument("--size", type=positive, default=320, help="width and height of the pictures")
    parser.add_argument("--samples", type=positive, nargs="+", default=[18, 20], help="binary logarithms")
    parser.add_argument("--points", type=positive, default=1_000_000)
    parser.add_argument("--geometry", type=positive, default=1500, help="steps")
    parser.add_argument("--features", type=positive, default=300, help="steps, of the 1,500 that the preset has")
    parser.add_argument("--repeats", type=positive, default=3, help="of the votes")
    parser.add_argument("--preset", default="standard", choices=("draft", "standard"))
    parser.add_argument("--device", default="cuda", choices=("cpu", "cuda"))
    options = parser.parse_args()
    there = torch.cuda.device_count() if options.device == "cuda" else max(options.gpus)
    options.gpus = [count for count in options.gpus if count <= there]
    device = torch.device(options.device, 0 if options.device == "cuda" else None)
    bench = make(options, device)
    print_header(COLUMNS)
    for gpus in options.gpus:
        if gpus == 1:
            measure(bench, None, device)
        else:
            names = [f"cuda:{index}" if options.device == "cuda" else "cpu" for index in range(gpus)]
            begin = time.perf_counter()
            with Team(names) as team:
                assert team.group.size == gpus  # waits for all
                bench.row(gpus, "start of the processes", time.perf_counter() - begin, 0.0, "")
                measure(bench, team, device)
    bench.results.save()
    return 0


def make(options: argparse.Namespace, device: torch.device) -> Bench:
    """The scene and an exact surface."""
    begin = time.perf_counter()
    heap = balls.heap(device)
    scene, depths = balls.scene_of(heap, options.views, options.size)
    surface = balls.surface_of(heap, scene, depths, options.points)
    edges = neighbor_edges(surface, 16)
    masks = np.mean([len(view.masks) for view in scene.train])
    name = torch.cuda.get_device_name() if device.type == "cuda" else "no GPU"
    print(f"{name}, {machine.processor()}, {machine.cores()} cores")
    print(
        f"{len(scene.train)} views of {options.size}x{options.size} pixels, {masks:.0f} masks each, {len(surface)} "
        f"points, {len(edges)} edges; made in {time.perf_counter() - begin:.0f} s",
        flush=True,
    )
    return Bench(options, scene, surface, edges, Results("gpus", options))


def measure(bench: Bench, team: Team | None, device: torch.device) -> None:
    """The rows of one number of GPUs."""
    options, scene, gpus = bench.options, bench.scene, 1 if team is None else team.size
    if team is not None:
        begin = time.perf_counter()
        give_scene(team, scene)
        team.finish()
        bench.row(gpus, "scene to the processes", time.perf_counter() - begin, 0.0, "")
    group = ALONE if team is None else team.group
    geometry = None
    for power in options.samples:
        config = settings(options, power)

        def make_geometry(config: Config = config) -> Trainer[Any]:
            if team is not None:
                prepare_geometry(team, scene, config)
            return geometry_trainer(scene, config, device, group)

        done = train(make_geometry, config.geometry.steps, team, device)
        quality = f"{held_out(scene, done.trainer.field):.2f} dB"
        bench.row(gpus, f"geometry, 2^{power} samples", done.seconds, done.step, quality)
        geometry = geometry or done.trainer.field
        del done
    assert geometry is not None
    config = settings(options, options.samples[0])

    def make_features() -> Trainer[Any]:
        if team is not None:
            prepare_features(team, scene, config, geometry)
        return feature_trainer(geometry, scene, config, device, progress=False, group=group)

    done = train(make_features, options.features, team, device)
    bench.row(gpus, "features", done.seconds, done.step, f"loss {done.loss:.4f}")
    bench.row(gpus, "· tables before the steps", done.made, 0.0, "")
    del done
    votes(bench, team, gpus, device)


def settings(options: argparse.Namespace, power: int) -> Config:
    """The preset with another number of samples in a step."""
    base = preset(options.preset)
    geometry = replace(base.geometry, steps=options.geometry, samples=1 << power)
    return replace(base, engine="field", geometry=geometry)


def train(make_trainer: Callable[[], Trainer[Any]], steps: int, team: Team | None, device: torch.device) -> Done:
    """Make a trainer and let it do all its steps."""
    wait(device)
    begin = time.perf_counter()
    trainer = make_trainer()
    if team is not None:
        team.finish()
        start_steps(team, trainer, 0, steps, fresh=True)
    wait(device)
    made = time.perf_counter() - begin
    blocks, losses = [], []
    for first in range(0, steps, _BLOCK):
        started, count = time.perf_counter(), min(_BLOCK, steps - first)
        for step in range(first, first + count):
            last = trainer.step(step)
        wait(device)
        blocks.append((time.perf_counter() - started) / count)
        losses.append(sum(float(value.detach()) for value in last.values()))
    if team is not None:
        team.finish()
    step = statistics.median(blocks[len(blocks) // 2 :])
    return Done(trainer, time.perf_counter() - begin, made, step, statistics.mean(losses[-3:]))


def held_out(scene: Scene, geometry: Any) -> float:
    """Mean PSNR of views held out."""
    split = scene.splits["val"]
    rendered = render_views(geometry, split.normalised_cameras, range(len(split)))
    return float(np.mean([psnr(view.color, known.image) for view, known in zip(rendered, split, strict=True)]))


def votes(bench: Bench, team: Team | None, gpus: int, device: torch.device) -> None:
    """The row of the votes."""
    seconds, sums = [], None
    for _ in range(bench.options.repeats + 1):
        begin = time.perf_counter()
        sums = mask_votes(bench.surface, bench.edges, bench.scene, device=str(device), team=team)
        seconds.append(time.perf_counter() - begin)
    assert sums is not None
    bench.votes = bench.votes or sums
    difference = max(
        float(np.abs(one - other).max() / max(other.max(), 1e-9)) for one, other in zip(sums, bench.votes, strict=True)
    )
    bench.row(gpus, f"votes, best of {bench.options.repeats}", min(seconds[1:]), 0.0, f"differ by {difference:.1e}")


def wait(device: torch.device) -> None:
    """Wait for the device."""
    if device.type == "cuda":
        torch.cuda.synchronize()


if __name__ == "__main__":
    sys.exit(main())
