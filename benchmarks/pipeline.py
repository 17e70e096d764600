"""Time `ultrafield run` from the start of its process to its end, stage by stage.

    python benchmarks/pipeline.py SCENE [--engine field] [--device cuda] [--preset standard] [--again]
        [--json FILE] [-- OPTIONS]

The first run finds no compiled kernels (empty caches of numba and Triton); with --again a second one follows into a
fresh folder and finds those that the first has compiled. What follows `--` goes to `ultrafield run`. Prints a Markdown
table.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any, get_args

from lib import machine
from lib.options import DEVICES, PRESETS, parser_of
from lib.results import Results, print_header, print_row

from ultrafield.config import Engine

Row = tuple[str, float | None, int]  # name, value, digits


def main() -> int:
    """Run and print; the exit code is that of the run."""
    parser = parser_of(__doc__)
    parser.add_argument("scene", type=Path)
    parser.add_argument("--engine", default="lift", choices=get_args(Engine))
    parser.add_argument("--device", default="auto", choices=DEVICES)
    parser.add_argument("--preset", default="auto", choices=("auto", *PRESETS))
    parser.add_argument("--again", action="store_true", help="run a second time, with compiled kernels")
    arguments = sys.argv[1:]
    split = arguments.index("--") if "--" in arguments else len(arguments)
    options = parser.parse_args(arguments[:split])
    options.more = arguments[split + 1 :]
    columns: dict[str, list[Row]] = {}
    results = Results("pipeline", options)
    with tempfile.TemporaryDirectory(prefix="ultrafield-") as folder:
        for name in ("cold", "warm") if options.again else ("cold",):
            run = Path(folder) / name
            seconds, code = timed_run(run, Path(folder) / "kernels", options)
            if code != 0:
                return code
            columns[name] = rows_of(run, seconds)
            results.add(run=name, values=[{"name": title, "value": value} for title, value, _ in columns[name]])
    print_table(columns, options)
    results.save()
    return 0


def timed_run(run: Path, kernels: Path, options: argparse.Namespace) -> tuple[float, int]:
    """Wall time and exit code of one run whose kernels are cached below `kernels`."""
    command = [sys.executable, "-m", "ultrafield.cli", "run", str(options.scene), "--out", str(run)]
    command += ["--engine", options.engine, "--device", options.device, "--preset", options.preset, *options.more]
    caches = {"NUMBA_CACHE_DIR": str(kernels / "numba"), "TRITON_CACHE_DIR": str(kernels / "triton")}
    start = time.perf_counter()
    code = subprocess.run(command, env=os.environ | caches, stdout=subprocess.DEVNULL, check=False).returncode
    return time.perf_counter() - start, code


def rows_of(run: Path, wall: float) -> list[Row]:
    """Seconds, scores and memory that the run folder records."""
    log = [json.loads(line) for line in (run / "log.jsonl").read_text().splitlines()]
    training = {line["stage"]: line["seconds"] for line in log if line["stage"] != "run"}  # the last line of each wins
    (end,) = (line for line in log if line["stage"] == "run")
    seconds = end["seconds"] | {f"train/{stage}": value for stage, value in training.items()}
    whole = [stage for stage in seconds if "/" not in stage]
    rows: list[Row] = [("start: imports and all that is no stage", wall - sum(seconds[stage] for stage in whole), 2)]
    for stage in whole:
        parts = {name: value for name, value in seconds.items() if name.startswith(f"{stage}/")}
        rows.append((stage, seconds[stage], 2))
        rows += [(f"· {name.split('/', 1)[1]}", value, 2) for name, value in parts.items()]
        if parts:
            rows.append(("· rest", seconds[stage] - sum(parts.values()), 2))
    rows.append(("all", wall, 2))
    file = run / "metrics.json"
    metrics: dict[str, Any] = json.loads(file.read_text()) if file.is_file() else {}
    for title, name, digits in (("PSNR", "psnr", 2), ("NC", "nc", 3), ("VC", "vc", 3)):
        rows.append((title, (metrics.get(name) or {}).get("mean"), digits))
    for title, name in (("peak memory, GB", "host"), ("peak GPU memory, GB", "device")):
        peak = end["peak_bytes"][name]
        rows.append((title, None if peak is None else peak / 1e9, 2))
    return rows


def print_table(columns: dict[str, list[Row]], options: argparse.Namespace) -> None:
    """Print the machine and a Markdown table with one column for each run."""
    import torch

    device = torch.cuda.get_device_name() if torch.cuda.is_available() and options.device != "cpu" else "no GPU"
    print(
        f"{machine.processor()}, {machine.cores()} cores, {device}, "
        f"Python {platform.python_version()}, torch {torch.__version__}"
    )
    print(f"{options.scene.name}, engine {options.engine}, preset {options.preset} {' '.join(options.more)}\n")
    print_header(["seconds", *columns])
    for row in zip(*columns.values(), strict=True):
        cells = ["–" if value is None else f"{value:.{digits}f}" for _, value, digits in row]
        print_row([row[0][0], *cells])


if __name__ == "__main__":
    sys.exit(main())
