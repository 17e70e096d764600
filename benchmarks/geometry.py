"""Depth of the learned geometry and what segmentation makes of it, for several settings on several scenes.

    python benchmarks/geometry.py SCENE… [--device auto] [--preset standard] [--engine lift] [--seeds 0 1] [--at-once 1]
        [--variant "NAME: --geometry.distortion-weight 0.01 …"]… [--json FILE]

Each row is an `ultrafield run` of its own, from process start, on one scene with one seed: the scene's defaults, or
those with a variant's options. SCENE needs exact depth and ids (`exact/`). With --at-once, that many run side by side;
their seconds then mean little.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, get_args

from lib.options import DEVICES, PRESETS, parser_of, positive
from lib.results import Results, print_header, print_row

from ultrafield.config import Engine

_COLUMNS = (
    *("scene", "variant", "seed", "training s", "PSNR", "NC", "parts", "objects", "foreground", "VC"),
    *("off 1", "off 2", "off 5", "median", "transparent"),
)


def main() -> int:
    """Run everything and print one row of a Markdown table for each run."""
    parser = parser_of(__doc__)
    parser.add_argument("scenes", type=Path, nargs="+")
    parser.add_argument("--device", default="auto", choices=DEVICES)
    parser.add_argument("--preset", default="auto", choices=("auto", *PRESETS))
    parser.add_argument("--engine", default="lift", choices=get_args(Engine))
    parser.add_argument("--seeds", type=int, nargs="+", default=[0])
    parser.add_argument("--variant", action="append", default=[], metavar="NAME: OPTIONS")
    parser.add_argument("--at-once", type=positive, default=1)
    options = parser.parse_args()
    variants = dict(_variant(text) for text in options.variant or [": "])
    results = Results("geometry", options)
    jobs = [
        (scene, name, more, seed)
        for name, more in variants.items()
        for scene in options.scenes
        for seed in options.seeds
    ]
    print_header(_COLUMNS)
    with tempfile.TemporaryDirectory() as folder, ThreadPoolExecutor(options.at_once) as pool:
        outs = [Path(folder) / str(index) for index in range(len(jobs))]
        rows = pool.map(lambda job, out: run(options, job[0], *job[2:], out), jobs, outs)
        for (scene, name, _, seed), row in zip(jobs, rows, strict=True):
            print_row([scene.name, name, str(seed), *row.values()])
            results.add(scene=scene.name, variant=name, seed=seed, **row)
    results.save()
    return 0


def _variant(text: str) -> tuple[str, list[str]]:
    name, _, words = text.partition(":")
    return name.strip() or "defaults", words.split()


def run(options: argparse.Namespace, scene: Path, more: list[str], seed: int, out: Path) -> dict[str, str]:
    """One `ultrafield run`; its figures by column, or what it said if it failed."""
    command = [sys.executable, "-m", "ultrafield.cli", "run", str(scene), "--out", str(out), "--engine", options.engine]
    command += ["--device", options.device, "--preset", options.preset, "--seed", str(seed), *more]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        return {"error": done.stderr.strip().splitlines()[-1] if done.stderr.strip() else str(done.returncode)}
    metrics: dict[str, Any] = json.loads((out / "metrics.json").read_text())
    seconds = json.loads((out / "stages.json").read_text())["stages"]["train"]["seconds"]
    nc, depth = metrics["nc"], metrics["depth"]
    values = [
        (seconds, 1),
        (metrics["psnr"]["mean"], 2),
        (nc["mean"], 3),
        *((value, 3) for value in nc["levels"].values()),
    ]
    values += [(metrics["vc"]["mean"], 3), *((share, 4) for share in depth["off"].values())]
    values += [(depth["median"], 2), (depth["transparent"], 4)]
    return {title: f"{value:.{digits}f}" for title, (value, digits) in zip(_COLUMNS[3:], values, strict=True)}


if __name__ == "__main__":
    sys.exit(main())
