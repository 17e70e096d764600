"""Peak memory and seconds of `ultrafield run` on scenes that are hard on memory.

    python benchmarks/memory.py masks [--engine field] [--scene DIR] [--json FILE] [-- OPTIONS]

Scenes: `masks` (5,000 masks in one view of 800×800), `large` (8 views of 3000×2000 with 100 masks each), `tiny` (2,000
views of 32×32, to the trained state). They are made in a temporary folder, or kept in the one that --scene names and
used again. What follows `--` goes to the command. The peak is that of the command's own process, as the system counts
it (maximum resident set); prints a Markdown table.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from pathlib import Path
from typing import get_args

from lib import machine, scenes
from lib.commands import measured
from lib.options import parser_of
from lib.results import Results, print_header, print_row

from ultrafield.config import Engine

SCENES = {"masks": scenes.many_masks, "large": scenes.large_pictures, "tiny": scenes.many_views}
BOUNDS = {"masks": (1.0, None), "large": (2.0, None), "tiny": (None, 60.0)}  # GB, seconds
FEW_STEPS = ("--geometry.steps", "100", "--features.steps", "20")


def main() -> int:
    """Make the scene, run the command, print; the exit code is that of the command, 1 beyond a bound."""
    parser = parser_of(__doc__)
    parser.add_argument("scene_kind", choices=sorted(SCENES), metavar="|".join(sorted(SCENES)))
    parser.add_argument("--engine", default="lift", choices=get_args(Engine))
    parser.add_argument("--scene", type=Path, help="folder to keep the scene in")
    arguments = sys.argv[1:]
    split = arguments.index("--") if "--" in arguments else len(arguments)
    options = parser.parse_args(arguments[:split])
    with tempfile.TemporaryDirectory(prefix="ultrafield-") as temporary:
        scene = options.scene or Path(temporary) / "scene"
        if not scene.exists():
            SCENES[options.scene_kind](scene)
        command = "train" if options.scene_kind == "tiny" else "run"
        more = () if options.scene_kind == "tiny" else FEW_STEPS
        line = [command, str(scene), "--out", str(Path(temporary) / "run"), "--device", "cpu", "--preset", "draft"]
        line += ["--engine", options.engine, *more, *arguments[split + 1 :]]
        gigabytes, seconds, code = measured([sys.executable, "-m", "ultrafield", *line])
        _print(options, scenes.describe(scene), gigabytes, seconds)
    return code or int(_exceeds(options.scene_kind, gigabytes, seconds))


def _exceeds(kind: str, *values: float) -> bool:
    return any(bound is not None and value > bound for bound, value in zip(BOUNDS[kind], values, strict=True))


def _print(options: argparse.Namespace, scene: str, gigabytes: float, seconds: float) -> None:
    """Print the machine and a Markdown table, and write what --json names."""
    results = Results("memory", options)
    results.add(scene=options.scene_kind, engine=options.engine, gigabytes=gigabytes, seconds=seconds)
    results.save()
    print(f"{machine.processor()}, {machine.cores()} cores; {scene}\n")
    print_header(["scene", "engine", "peak memory", "seconds"])
    print_row([options.scene_kind, options.engine, f"{gigabytes:.2f} GB", f"{seconds:.1f}"])


if __name__ == "__main__":
    sys.exit(main())
