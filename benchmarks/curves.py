"""Quality against training time: where the curves flatten is where a preset should stop.

    python benchmarks/curves.py SCENE [--device auto] [--geometry 250 500 1000 2000] [--features 250 500 1000]
        [--json FILE]

Each row is a run of its own, from process start, with another number of steps: first geometry (engine lift), then
features on the longest geometry (engine field). Learning rates fall to their end in every row, so that each is what a
preset of that length gives.
"""

from __future__ import annotations

import argparse
import json
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

from lib.options import DEVICES, parser_of
from lib.results import Results, print_header, print_row

_COLUMNS = ("engine", "steps", "training s", "PSNR", "NC (parts / objects / foreground)", "VC")


def main() -> int:
    """Run and print the two tables."""
    parser = parser_of(__doc__)
    parser.add_argument("scene", type=Path)
    parser.add_argument("--device", default="auto", choices=DEVICES)
    parser.add_argument("--preset", default="auto")
    parser.add_argument("--geometry", type=int, nargs="+", default=[250, 500, 1000, 2000])
    parser.add_argument("--features", type=int, nargs="*", default=[250, 500, 1000])
    options = parser.parse_args()
    results = Results("curves", options)
    print_header(_COLUMNS)
    with tempfile.TemporaryDirectory() as folder:
        for steps in options.geometry:
            out = Path(folder) / f"geometry_{steps}"
            run(options, out, "lift", ["--geometry.steps", str(steps)])
            report("lift", steps, out, results)
        for steps in options.features:
            out = Path(folder) / f"features_{steps}"
            shutil.copytree(Path(folder) / f"geometry_{max(options.geometry)}", out)
            run(options, out, "field", ["--geometry.steps", str(max(options.geometry)), "--features.steps", str(steps)])
            report("field", steps, out, results)
    results.save()
    return 0


def run(options: argparse.Namespace, out: Path, engine: str, settings: list[str]) -> None:
    """One `ultrafield run`; its output is shown only if it fails."""
    command = [sys.executable, "-m", "ultrafield.cli", "run", str(options.scene), "--out", str(out), "--engine", engine]
    command += ["--device", options.device, "--preset", options.preset, *settings]
    done = subprocess.run(command, capture_output=True, text=True)
    if done.returncode:
        sys.exit(f"{' '.join(command)}\n{done.stdout}{done.stderr}")


def report(engine: str, steps: int, out: Path, results: Results) -> None:
    """Print time and quality as the run folder records them."""
    metrics: dict[str, Any] = json.loads((out / "metrics.json").read_text(encoding="utf-8"))
    stages = json.loads((out / "stages.json").read_text(encoding="utf-8"))
    levels = " / ".join(f"{metrics['nc']['levels'][name]:.3f}" for name in ("parts", "objects", "foreground"))
    nc = f"{metrics['nc']['mean']:.3f} ({levels})"
    seconds, psnr, vc = stages["train"]["seconds"], metrics["psnr"]["mean"], metrics["vc"]["mean"]
    results.add(engine=engine, steps=steps, seconds=seconds, psnr=psnr, nc=metrics["nc"], vc=vc)
    print_row([engine, str(steps), f"{seconds:.1f}", f"{psnr:.2f}", nc, f"{vc:.3f}"])


if __name__ == "__main__":
    sys.exit(main())
