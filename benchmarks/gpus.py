"""Train one scene, and count its votes, on 1, 2, 4, … GPUs of one host.

    python benchmarks/gpus.py [--gpus 1 2 4] [--views 1000] [--size 320] [--samples 18 20] [--points 1000000]
        [--geometry 1500] [--features 300] [--budget SECONDS] [--device cuda] [--json FILE]

A heap of balls is made in memory. Geometry is trained with 2^S samples a step for every S of --samples, all of them
with the same number of steps, then features on the first geometry; votes are those of an exact surface. A step's time
is the median of blocks of 50 in the second half; "all" is from the scene to the end of the last step, making tables
and recording graphs included, and compiling where a row is the first of its kind. PSNR is that of views held out;
"same" says that all GPUs ended with the same parameters, bit for bit. Votes are checked against those of the first
row. `--device cpu` has processes on the CPU take the place of GPUs: it shows that the script works, and times nothing.
What would begin after --budget seconds is left out.
"""

from __future__ import annotations

import argparse
import os
import statistics
import sys
import time
import traceback
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
import torch
from lib import balls, machine
from lib.options import parser_of, positive
from lib.results import Results, print_header, print_row

from ultrafield.config import Config, preset
from ultrafield.field.model import RadianceField
from ultrafield.field.render import render_views
from ultrafield.lift.edges import neighbor_edges
from ultrafield.lift.votes import mask_votes
from ultrafield.metrics import psnr
from ultrafield.scene import Scene
from ultrafield.scene.share import give_scene
from ultrafield.sharing import ALONE, Group, Team
from ultrafield.surface import Surface
from ultrafield.training.loop import Trainer
from ultrafield.training.members import checksum, prepare_features, prepare_geometry, start_steps
from ultrafield.training.trainers import feature_trainer, geometry_trainer

_BLOCK = 50
COLUMNS = ("GPUs", "what", "all, s", "times one", "a step, ms", "times one", "quality")
Started = time.perf_counter()


@dataclass
class Bench:
    """What all rows share.

    Attributes:
        options: The command line.
        scene: The scene.
        surface: An exact surface of it.
        edges: Edges between its points.
        results: The rows.
        device: The first process's own.
        first: Seconds of the first row of each kind: all, and a step.
        geometry: The first geometry that was trained.
        votes: The sums of the first row.
    """

    options: argparse.Namespace
    scene: Scene
    surface: Surface
    edges: np.ndarray
    results: Results
    device: torch.device
    first: dict[str, tuple[float, float]] = field(default_factory=dict)
    geometry: RadianceField | None = None
    votes: tuple[np.ndarray, np.ndarray] | None = None

    def row(self, gpus: int, what: str, whole: float, step: float = 0.0, quality: str = "") -> None:
        """Keep and print a row."""
        one, one_step = self.first.setdefault(what, (whole, step))
        self.results.add(gpus=gpus, what=what, seconds=whole, step=step, quality=quality)
        milliseconds, ratio = (f"{1e3 * step:.3f}", f"{one_step / step:.2f}") if step else ("–", "–")
        print_row([str(gpus), what, f"{whole:.2f}", f"{one / whole:.2f}", milliseconds, ratio, quality])


@dataclass(frozen=True)
class Done:
    """A training that is done.

    Attributes:
        trainer: After its last step.
        seconds: From before it was made.
        made: Of them, until it was made.
        step: Seconds of a step.
        loss: Mean of the losses at the end, those of the first process.
        agreement: Whether all processes have the same parameters, if there are several.
    """

    trainer: Trainer[Any]
    seconds: float
    made: float
    step: float
    loss: float
    agreement: str


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
    parser.add_argument("--budget", type=float, default=float("inf"))
    parser.add_argument("--preset", default="standard", choices=("draft", "standard"))
    parser.add_argument("--device", default="cuda", choices=("cpu", "cuda"))
    options = parser.parse_args()
    there = torch.cuda.device_count() if options.device == "cuda" else max(options.gpus)
    several = [count for count in options.gpus if 1 < count <= there]
    bench: Bench | None = None
    for gpus in several or [1]:
        names = [f"cuda:{index}" if options.device == "cuda" else "cpu" for index in range(gpus)]
        with Team(names) as team:  # its processes start while the scene is made
            alone = bench is None and 1 in options.gpus
            bench = bench or make(options, torch.device(names[0]))
            measure(bench, [None] * alone + [team] * (gpus > 1))
    if bench is not None:
        bench.results.save()
    return 0


def make(options: argparse.Namespace, device: torch.device) -> Bench:
    """The scene and an exact surface."""
    heap = balls.heap(device)
    scene, depths = balls.scene_of(heap, options.views, options.size)
    surface = balls.surface_of(heap, scene, depths, options.points)
    edges = neighbor_edges(surface, 16)
    masks = np.mean([len(view.masks) for view in scene.train])
    name = torch.cuda.get_device_name() if device.type == "cuda" else "no GPU"
    print(f"{name}, {machine.processor()}, {machine.cores()} cores")
    print(
        f"{len(scene.train)} views of {options.size}x{options.size} pixels, {masks:.0f} masks each, {len(surface)} "
        f"points, {len(edges)} edges; made in {time.perf_counter() - Started:.0f} s from the start"
    )
    print_header(COLUMNS)
    return Bench(options, scene, surface, edges, Results("gpus", options), device)


def measure(bench: Bench, teams: list[Team | None]) -> None:
    """All rows of some numbers of GPUs, which take turns."""
    options = bench.options
    for team in teams:
        if team is not None:
            begin = time.perf_counter()
            assert team.group.size == team.size  # waits for all
            bench.row(team.size, "processes meet", time.perf_counter() - begin)
            begin = time.perf_counter()
            give_scene(team, bench.scene)
            team.finish()
            bench.row(team.size, "scene to the processes", time.perf_counter() - begin)
    kinds: list[Callable[[Team | None], None]] = []
    for power in options.samples:
        kinds.append(lambda team, power=power: geometry(bench, team, power))  # type: ignore[misc]
    kinds.insert(1, lambda team: votes(bench, team))
    kinds.append(lambda team: features(bench, team))
    for kind in kinds:
        for team in teams:
            if time.perf_counter() - Started < options.budget:
                kind(team)


def geometry(bench: Bench, team: Team | None, power: int) -> None:
    """The row of one geometry."""
    config, group = settings(bench.options, power), group_of(team)

    def make_trainer() -> Trainer[Any]:
        if team is not None:
            prepare_geometry(team, bench.scene, config)
        return geometry_trainer(bench.scene, config, bench.device, group)

    done = train(make_trainer, config.geometry.steps, team, bench.device)
    quality = f"{held_out(bench.scene, done.trainer.field):.2f} dB{done.agreement}"
    bench.row(group.size, f"geometry, 2^{power} samples", done.seconds, done.step, quality)
    bench.geometry = bench.geometry or done.trainer.field


def features(bench: Bench, team: Team | None) -> None:
    """The rows of features on the first geometry."""
    config, group, field_ = settings(bench.options, bench.options.samples[0]), group_of(team), bench.geometry
    assert field_ is not None

    def make_trainer() -> Trainer[Any]:
        if team is not None:
            prepare_features(team, bench.scene, config, field_)
        return feature_trainer(field_, bench.scene, config, bench.device, progress=False, group=group)

    done = train(make_trainer, bench.options.features, team, bench.device)
    quality = f"loss {done.loss:.4f}{done.agreement}"
    bench.row(group.size, "features", done.seconds, done.step, quality)
    bench.row(group.size, "· tables before the steps", done.made)


def group_of(team: Team | None) -> Group:
    """This process's place."""
    return ALONE if team is None else team.group


def settings(options: argparse.Namespace, power: int) -> Config:
    """The preset with another number of samples in a step."""
    base = preset(options.preset)
    return replace(base, engine="field", geometry=replace(base.geometry, steps=options.geometry, samples=1 << power))


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
    seconds, others = time.perf_counter() - begin, [] if team is None else team.finish()
    same = all(other == checksum(trainer.field) for other in others)
    agreement = "" if team is None else ", same" if same else ", NOT the same"
    step = statistics.median(blocks[len(blocks) // 2 :])
    return Done(trainer, seconds, made, step, statistics.mean(losses[-3:]), agreement)


def held_out(scene: Scene, field_: RadianceField) -> float:
    """Mean PSNR of views held out."""
    split = scene.splits["val"]
    rendered = render_views(field_, split.normalised_cameras, range(len(split)))
    return float(np.mean([psnr(view.color, known.image) for view, known in zip(rendered, split, strict=True)]))


def votes(bench: Bench, team: Team | None) -> None:
    """The row of the votes."""
    seconds, sums = [], None
    for _ in range(bench.options.repeats + 1):
        begin = time.perf_counter()
        sums = mask_votes(bench.surface, bench.edges, bench.scene, device=str(bench.device), team=team)
        seconds.append(time.perf_counter() - begin)
    assert sums is not None
    bench.votes = bench.votes or sums
    differences = [np.abs(one - other).max() / other.max() for one, other in zip(sums, bench.votes, strict=True)]
    what = f"votes, best of {bench.options.repeats}"
    bench.row(group_of(team).size, what, min(seconds[1:]), quality=f"differ by {max(differences):.1e}")


def wait(device: torch.device) -> None:
    """Wait for the device."""
    if device.type == "cuda":
        torch.cuda.synchronize()


if __name__ == "__main__":
    try:
        code = main()
    except Exception:
        traceback.print_exc()
        code = 1
    sys.stdout.flush()
    os._exit(code)  # whatever still waits for another process
