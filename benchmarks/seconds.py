"""Seconds of `ultrafield run` from the start of its process, part by part: in fresh processes, and through `serve`.

    python benchmarks/seconds.py SCENE [--runs lift:fresh lift:serve …] [--limit 110] [--device cuda]
        [--preset standard] [--profile lift] [--json FILE] [-- OPTIONS]

The lines that a run prints are timed as they come, so that parts count from the start of the process, whoever does the
work. `ultrafield serve` is started before the first run that is handed to it, and left idle afterwards. Kernels must
have been compiled before (`ultrafield warmup`), or the first run pays for that. Runs that would begin after --limit
seconds are left out. With --profile a further process tells the functions that its main thread spent its time in.
Prints a Markdown table with a column for each run; what follows `--` goes to `ultrafield run`.
"""

from __future__ import annotations

import argparse
import json
import os
import re
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any, get_args

from lib import machine
from lib.options import DEVICES, PRESETS, parser_of, positive
from lib.results import Results, print_header, print_row

from ultrafield.config import Engine

_PROGRAM = [sys.executable, "-m", "ultrafield"]
_RUNS = ("lift:fresh", "lift:serve", "lift:serve", "lift:fresh", "field:serve", "field:fresh")
_ENDED = re.compile(r"^(\w+): [\d.]+ s$")
_BEGUN = re.compile(r"^(\w+) …$")
_PROFILE = """
import cProfile, pstats, sys
from ultrafield.cli import main
profile = cProfile.Profile()
profile.runcall(main, sys.argv[2:])
pstats.Stats(profile).dump_stats(sys.argv[1])
"""

Seconds = dict[str, float]


def main() -> int:
    """Run and print; a run that fails ends it with its exit code."""
    arguments = sys.argv[1:]
    split = arguments.index("--") if "--" in arguments else len(arguments)
    options = _parser().parse_args(arguments[:split])
    options.more = arguments[split + 1 :]
    results, columns = Results("seconds", options), {}
    begin = time.perf_counter()
    with tempfile.TemporaryDirectory(prefix="ultrafield-") as folder, ExitStack() as stack:
        os.environ["XDG_RUNTIME_DIR"] = folder  # a server of the user's own is left alone
        served = False
        for number, (engine, way) in enumerate(options.runs):
            if time.perf_counter() - begin > options.limit:
                print(f"left out after {options.limit} s: {engine}, {way}")
                continue
            if way == "serve" and not served:
                stack.enter_context(serving(options))
                served = True
            run = Path(folder) / f"run-{number}"
            seconds = timed_run(run, engine, way, options)
            columns[f"{number + 1}: {engine}, {way}"] = seconds, _metrics(run)
            results.add(engine=engine, way=way, seconds=seconds, metrics=_metrics(run))
        print_machine(options)
        print_table(columns)
        if options.profile:
            print_profile(Path(folder), options.profile, options)
    results.save()
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = parser_of(__doc__)
    parser.add_argument("scene", type=Path)
    parser.add_argument("--runs", nargs="+", type=_run, metavar="ENGINE:WAY", default=[_run(name) for name in _RUNS])
    parser.add_argument("--limit", type=positive, default=600, help="seconds after which no run is begun")
    parser.add_argument("--device", default="auto", choices=DEVICES)
    parser.add_argument("--preset", default="auto", choices=("auto", *PRESETS))
    parser.add_argument("--profile", choices=get_args(Engine), help="profile one more run of this engine")
    return parser


def _run(text: str) -> tuple[str, str]:
    """An engine, and who does the work."""
    engine, _, way = text.partition(":")
    if engine not in get_args(Engine) or way not in ("fresh", "serve"):
        raise argparse.ArgumentTypeError(f"expected an engine, a colon, and fresh or serve, got {text!r}")
    return engine, way


def timed_run(run: Path, engine: str, way: str, options: argparse.Namespace) -> Seconds:
    """Seconds of every part of a run; ends the benchmark if it fails."""
    command = [*_PROGRAM, *run_arguments(run, engine, options), *(["--no-serve"] if way == "fresh" else [])]
    begin = time.perf_counter()
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)
    assert process.stderr is not None
    lines = [(time.perf_counter() - begin, line.rstrip("\n")) for line in process.stderr]
    code, wall = process.wait(), time.perf_counter() - begin
    if code != 0:
        print("\n".join(line for _, line in lines), file=sys.stderr)
        sys.exit(code)
    return parts_of(lines, wall) | _training(run)


def run_arguments(run: Path, engine: str, options: argparse.Namespace) -> list[str]:
    """Arguments of the program."""
    fixed = ["run", str(options.scene), "--out", str(run), "--engine", engine]
    return [*fixed, "--device", options.device, "--preset", options.preset, *options.more]


def parts_of(lines: list[tuple[float, str]], wall: float) -> Seconds:
    """Seconds of the parts of a run, by the moments at which its lines came.

    Args:
        lines: Seconds since the start of the process, and the line.
        wall: Seconds until its end.
    """
    seconds: Seconds = {"until the first line": lines[0][0]}
    begun: list[tuple[str, float]] = []
    ended = lines[0][0]
    for moment, line in lines:
        if (begins := _BEGUN.match(line)) is not None:
            if not begun:
                seconds["between stages"] = seconds.get("between stages", 0.0) + moment - ended
            begun.append((begins[1], moment))
        elif (ends := _ENDED.match(line)) is not None and begun and begun[-1][0] == ends[1]:
            name = "/".join(stage for stage, _ in begun)
            seconds[name] = seconds.get(name, 0.0) + moment - begun.pop()[1]
            ended = moment
            if name == "segment/labels":
                seconds["to the labels"] = moment
    seconds["report and end"] = wall - ended
    seconds["all"] = wall
    return seconds


def _training(run: Path) -> Seconds:
    lines = [json.loads(line) for line in (run / "log.jsonl").read_text().splitlines()]
    return {
        f"train/{line['stage']}": line["seconds"] for line in lines if line.get("stage") in ("geometry", "features")
    }


def _metrics(run: Path) -> dict[str, Any]:
    file = run / "metrics.json"
    content = json.loads(file.read_text()) if file.is_file() else {}
    return {name: (content.get(name) or {}).get("mean") for name in ("nc", "vc")}


@contextmanager
def serving(options: argparse.Namespace) -> Iterator[None]:
    """`ultrafield serve`, ready, for the length of a block."""
    begin = time.perf_counter()
    server = subprocess.Popen([*_PROGRAM, "serve", "--device", options.device], stderr=subprocess.PIPE, text=True)
    assert server.stderr is not None
    next((line for line in server.stderr if "ready" in line), None)
    print(f"serve: ready after {time.perf_counter() - begin:.1f} s", flush=True)
    try:
        yield
    finally:
        subprocess.run([*_PROGRAM, "serve", "--stop"], check=True)
        server.communicate()


def print_machine(options: argparse.Namespace) -> None:
    """Print what it ran on."""
    import torch

    device = torch.cuda.get_device_name() if torch.cuda.is_available() and options.device != "cpu" else "no GPU"
    print(f"{machine.processor()}, {machine.cores()} cores, {device}, torch {torch.__version__}")
    print(f"{options.scene.name}, preset {options.preset} {' '.join(options.more)}\n")


def print_table(columns: dict[str, tuple[Seconds, dict[str, Any]]]) -> None:
    """Print a Markdown table, one column for each run."""
    names = list(dict.fromkeys(name for seconds, _ in columns.values() for name in seconds))
    last = [name for name in ("report and end", "to the labels", "all") if name in names]
    print_header(["seconds", *columns])
    for name in (*_in_order([name for name in names if name not in last]), *last):
        print_row([_indented(name), *(_cell(seconds.get(name), 2) for seconds, _ in columns.values())])
    for name in ("nc", "vc"):
        print_row([name.upper(), *(_cell(metrics[name], 4) for _, metrics in columns.values())])


def _in_order(names: list[str]) -> list[str]:
    """The names with parts below the whole that they belong to."""
    wholes = [name for name in names if "/" not in name]
    return [name for whole in wholes for name in (whole, *(part for part in names if part.startswith(f"{whole}/")))]


def _indented(name: str) -> str:
    return f"· {name.partition('/')[2]}" if "/" in name else name


def _cell(value: float | None, digits: int) -> str:
    return "–" if value is None else f"{value:.{digits}f}"


def print_profile(runs: Path, engine: str, options: argparse.Namespace) -> None:
    """Print the functions that the main thread of a fresh process spent its time in, with all that they called."""
    import pstats

    file = runs / f"{engine}.profile"
    command = [sys.executable, "-c", _PROFILE, str(file), *run_arguments(runs / f"{engine}-profile", engine, options)]
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    print(f"\n{engine}: main thread")
    statistics = pstats.Stats(str(file), stream=sys.stdout)
    statistics.sort_stats("cumulative").print_stats(110)
    statistics.sort_stats("tottime").print_stats(40)


if __name__ == "__main__":
    sys.exit(main())
