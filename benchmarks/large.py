"""Seconds of every stage, memory and disk space of `ultrafield run` on captures of many views with many masks.

    python benchmarks/large.py [--views 125 250 500] [--size 800 800 [--size 1920 1080]] [--masks 200]
        [--preset standard] [--engine lift] [--device cuda] [--budget SECONDS] [--folder DIR] [--json FILE] [-- OPTIONS]

A heap of striped balls is drawn on all cores, as JPEG pictures and packed masks: of stripes, halves, balls, and groups
of 2, 4, 8, … balls, the largest --masks of each view. The scene of most views is made, each smaller one has evenly
chosen views of it. One more of 64 is for validation. Each run is a process of its own, in a new folder; its memory is
the most that it held as the system counts it (maximum resident set), and what PyTorch allocated on the device. Where
there is one, a first run on eight views, which does not count, compiles. Runs that would begin after --budget seconds
are left out. Prints a Markdown table, whose rows come as runs end; what follows `--` goes to `ultrafield run`.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import tempfile
import time
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from functools import cache, partial
from multiprocessing import get_context
from pathlib import Path
from typing import Any, get_args

import numpy as np
import torch
from lib import balls, machine
from lib.commands import measured
from lib.options import DEVICES, PRESETS, parser_of, positive
from lib.results import Results, print_header, print_row

from ultrafield.cameras import Cameras
from ultrafield.config import Engine
from ultrafield.io import write_image, write_json
from ultrafield.masks.write import write_packed_masks

_STAGES = ("load", "train", "render", "segment/surface", "segment/graph", "segment/tree", "segment/labels")
_REST = ("segment/sheet", "segment/quality", "eval")
COLUMNS = (
    *("pictures", "views", "masks", "packed, GB"),
    *(name.rpartition("/")[2] for name in _STAGES),
    *("sheet … eval", "all, s", "s a view", "host, GB", "GPU, GB", "run folder, GB", "PSNR"),
)
_FOCAL = 1.7  # the heap is about as high as the pictures
_EVERY = 64  # views per validation view
_FEW_STEPS = ("--geometry.steps", "300", "--features.steps", "20")
_FILE = "view_{:05d}"


@dataclass(frozen=True)
class Capture:
    """Scenes of one size of pictures, which share their files.

    Attributes:
        folder: Where they are.
        width, height: Of the pictures.
        views: Training views of the largest.
        masks: Most masks of a view.
    """

    folder: Path
    width: int
    height: int
    views: int
    masks: int

    @property
    def count(self) -> int:
        """All views of the largest."""
        return self.views + held_out(self.views)


def held_out(views: int) -> int:
    """Validation views beside so many training views."""
    return views // _EVERY + 1


def main() -> int:
    """Make the scenes, run and print; the exit code is that of the first run that fails."""
    arguments = sys.argv[1:]
    split = arguments.index("--") if "--" in arguments else len(arguments)
    options = _parser().parse_args(arguments[:split])
    options.more = arguments[split + 1 :]
    with tempfile.TemporaryDirectory(prefix="ultrafield-") as temporary:
        return measure(options, options.folder or Path(temporary))


def _parser() -> argparse.ArgumentParser:
    parser = parser_of(__doc__)
    parser.add_argument("--views", type=positive, nargs="+", default=[125, 250, 500], help="training views")
    parser.add_argument("--size", type=positive, nargs=2, action="append", metavar=("WIDTH", "HEIGHT"))
    parser.add_argument("--masks", type=positive, default=200, help="most masks of a view")
    parser.add_argument("--preset", default="standard", choices=PRESETS)
    parser.add_argument("--engine", default="lift", choices=get_args(Engine))
    parser.add_argument("--device", default="auto", choices=DEVICES)
    parser.add_argument("--budget", type=float, default=float("inf"), help="seconds after which no run is begun")
    parser.add_argument("--folder", type=Path, help="where scenes and runs go and stay; temporary by default")
    return parser


def measure(options: argparse.Namespace, folder: Path) -> int:
    """All rows of the table."""
    begin, results = time.perf_counter(), Results("large", options)
    print(f"{machine.processor()}, {machine.cores()} cores", flush=True)
    for width, height in options.size or [(800, 800)]:
        name = f"{width}x{height}"
        capture = Capture(folder / name, width, height, max(options.views), options.masks)
        made = time.perf_counter()
        draw(capture)
        results.facts[f"{name}: seconds of making"] = seconds = time.perf_counter() - made
        print(f"\n{capture.count} views of {name} pixels made in {seconds:.0f} s\n", flush=True)
        scenes = {views: scene_of(capture, views) for views in sorted({min(8, capture.views), *options.views})}
        warm = options.device != "cpu"
        if warm and (code := run(scenes[min(scenes)], folder / f"{name}-warm", options, *_FEW_STEPS)[2]):
            return code
        print_header(COLUMNS)
        for views in options.views:
            if time.perf_counter() - begin > options.budget:
                print(f"left out after {options.budget:g} s: {views} views of {name}")
                continue
            values, code = row(capture, views, scenes[views], folder / f"{name}-{views}", options)
            if code:
                return code
            results.add(**values)
            results.save()
    return 0


def row(
    capture: Capture, views: int, scene: Path, out: Path, options: argparse.Namespace
) -> tuple[dict[str, Any], int]:
    """A row of the table, printed, and the exit code of its run."""
    gigabytes, wall, code = run(scene, out, options)
    if code:
        return {}, code
    record = json.loads((out / "log.jsonl").read_text().splitlines()[-1])
    seconds, device = record["seconds"], record["peak_bytes"]["device"]
    files = [scene / "train_seg" / f"{_FILE.format(index)}.npz" for index in chosen(capture, views)[0]]
    masks = float(np.mean([len(np.load(file)["areas"]) for file in files[:: max(1, len(files) // 16)]]))
    packed, kept = sum(file.stat().st_size for file in files) / 1e9, size_of(out) / 1e9
    shown = [*(seconds.get(name, 0.0) for name in _STAGES), sum(seconds.get(name, 0.0) for name in _REST)]
    quality = json.loads((out / "metrics.json").read_text())["psnr"]["mean"]
    print_row(
        [
            *(f"{capture.width}×{capture.height}", f"{views:,}", f"{masks:.0f}", f"{packed:.3f}"),
            *(f"{value:.1f}" for value in shown),
            *(f"{wall:.1f}", f"{wall / views:.3f}", f"{gigabytes:.2f}"),
            *("–" if device is None else f"{device / 1e9:.2f}", f"{kept:.3f}"),
            "–" if quality is None else f"{quality:.2f}",
        ]
    )
    values = {"width": capture.width, "height": capture.height, "views": views, "masks": masks, "psnr": quality}
    values |= {"packed_gigabytes": packed, "run_gigabytes": kept, "host_gigabytes": gigabytes, "wall": wall}
    return values | {"device_bytes": device, "seconds": seconds, "peaks": record["peaks"]}, 0


def run(scene: Path, out: Path, options: argparse.Namespace, *more: str) -> tuple[float, float, int]:
    """Peak memory in GB, seconds and exit code of a run; prints how it ended if it failed."""
    command = [sys.executable, "-m", "ultrafield", "run", str(scene), "--out", str(out), "--overwrite", "--no-serve"]
    command += ["--device", options.device, "--preset", options.preset, "--engine", options.engine]
    log = out.with_name(f"{out.name}.log")
    gigabytes, seconds, code = measured([*command, *options.more, *more], log)
    if code:
        print(f"{out.name}: exit code {code} after {seconds:.0f} s", *log.read_text().splitlines()[-20:], sep="\n")
    return gigabytes, seconds, code


def size_of(folder: Path) -> int:
    """Bytes of all files below a folder."""
    return sum(file.stat().st_size for file in folder.rglob("*") if file.is_file())


def chosen(capture: Capture, views: int) -> tuple[list[int], list[int]]:
    """Indices of the training and of the validation views of a scene; smaller scenes have views of the larger ones."""
    held = np.linspace(0, capture.count - 1, held_out(capture.views) + 2).astype(int)[1:-1]
    train = np.setdiff1d(np.arange(capture.count), held)
    return spread(train, views), spread(held, held_out(views))


def spread(indices: np.ndarray, count: int) -> list[int]:
    """So many of some indices, evenly chosen."""
    chosen: list[int] = indices[np.linspace(0, len(indices) - 1, count).round().astype(int)].tolist()
    return chosen


def scene_of(capture: Capture, views: int) -> Path:
    """A folder with so many training views of a capture, whose files are links to those that were drawn."""
    scene, train_seg = capture.folder / f"scene-{views}", capture.folder / "drawn" / "train_seg"
    _, cameras = subject(capture)
    (scene / "train_seg").mkdir(parents=True, exist_ok=True)
    for split, indices in zip(("train", "val"), chosen(capture, views), strict=True):
        (scene / split).mkdir(exist_ok=True)
        frames = []
        for name, index in ((_FILE.format(index), index) for index in indices):
            link(capture.folder / "drawn" / f"{name}.jpg", scene / split / f"{name}.jpg")
            if split == "train":
                link(train_seg / f"{name}.npz", scene / "train_seg" / f"{name}.npz")
            pose = np.eye(4)
            pose[:3] = cameras.c2w[index] * [1, -1, -1, 1]  # OpenGL's camera
            frames.append({"file_path": f"{split}/{name}.jpg", "transform_matrix": pose.tolist()})
        lens = dict(zip(("fl_x", "fl_y", "cx", "cy"), cameras.intrinsics[0].tolist(), strict=True))
        size = {"w": capture.width, "h": capture.height}
        write_json(scene / f"transforms_{split}.json", {**lens, **size, "frames": frames})
    return scene


def link(source: Path, target: Path) -> None:
    """Another name of a file, unless it is there."""
    if not target.exists():
        os.link(source, target)


def draw(capture: Capture) -> None:
    """Draw all views that are not there, with a process for each core."""
    drawn = capture.folder / "drawn"
    missing = [index for index in range(capture.count) if not (drawn / f"{_FILE.format(index)}.jpg").is_file()]
    workers = max(1, min(len(missing), machine.cores()))
    environment = dict.fromkeys(("OMP_NUM_THREADS", "NUMBA_NUM_THREADS"), "1")
    before = {name: os.environ.get(name) for name in environment}
    os.environ |= environment
    try:
        with ProcessPoolExecutor(workers, mp_context=get_context("spawn")) as pool:
            list(pool.map(partial(draw_view, capture), missing, chunksize=max(1, len(missing) // (8 * workers))))
    finally:
        for name, value in before.items():
            os.environ.pop(name) if value is None else os.environ.update({name: value})


def draw_view(capture: Capture, index: int) -> None:
    """Write picture and masks of one view; the picture last."""
    heap, cameras = subject(capture)
    color, number = balls.look_in_tiles(heap, cameras, index)
    name, sizes = _FILE.format(index), [1 << power for power in range((balls.STRIPES * len(heap.radii)).bit_length())]
    masks = balls.nested_masks(number.numpy(), sizes, capture.masks)
    write_packed_masks(capture.folder / "drawn", "train", name, masks)
    write_image(capture.folder / "drawn" / f"{name}.jpg", (255 * color + 0.5).byte().numpy(), quality=95)


@cache
def subject(capture: Capture) -> tuple[balls.Heap, Cameras]:
    """The balls, enough for the masks, and the cameras."""

    heap = balls.heap(torch.device("cpu"), balls=max(2, capture.masks // 5))
    return balls.in_groups(heap), balls.cameras_around(capture.count, capture.width, capture.height, focal=_FOCAL)


if __name__ == "__main__":
    sys.exit(main())
