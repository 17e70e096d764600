"""Time `ultrafield batch` on made scenes, with 1, 2, 4, … GPUs of one host.

    python benchmarks/batch.py [--gpus 1 2 4] [--per-gpu 2] [--scenes 24] [--size 256] [--views 48] [--folder DIR]
        [--faults] [--json FILE] [-- OPTIONS]

The scenes are made first, on all CPUs; a batch of one of them, which does not count, compiles the kernels. Each row is
a command of its own, from the start of its process to its end. With --faults a last batch on most GPUs has a broken
scene more, and one of its workers is killed in the middle. `--gpus 0` computes on the CPU. What follows `--` goes to
`ultrafield batch`.
"""

from __future__ import annotations

import argparse
import json
import os
import signal
import subprocess
import sys
import tempfile
import threading
import time
from concurrent.futures import ProcessPoolExecutor
from contextlib import suppress
from multiprocessing import get_context
from pathlib import Path
from typing import Any

from lib import machine
from lib.options import parser_of, positive
from lib.results import Results, print_header, print_row

COLUMNS = ("GPUs", "per GPU", "scenes", "seconds", "s per scene and GPU", "median s of a scene", "times one GPU", "NC")


def main() -> int:
    """Make the scenes, run and print; the exit code tells whether every batch did what it must."""
    parser = parser_of(__doc__)
    parser.add_argument("--gpus", type=int, nargs="+", default=[1, 2, 4])
    parser.add_argument("--per-gpu", type=positive, nargs="+", default=[2])
    parser.add_argument("--scenes", type=positive, default=24)
    parser.add_argument("--size", type=positive, default=256, help="width and height of the pictures")
    parser.add_argument("--views", type=positive, default=48, help="training views of a scene")
    parser.add_argument("--folder", type=Path, help="where scenes and runs go and stay; temporary by default")
    parser.add_argument("--faults", action="store_true", help="kill a worker and add a broken scene, at the end")
    arguments = sys.argv[1:]
    split = arguments.index("--") if "--" in arguments else len(arguments)
    options = parser.parse_args(arguments[:split])
    options.more = arguments[split + 1 :]
    with tempfile.TemporaryDirectory(prefix="ultrafield-") as temporary:
        return measure(options, options.folder or Path(temporary))


def measure(options: argparse.Namespace, folder: Path) -> int:
    """All rows of the table; returns 0 if every batch did what it must."""
    begin = time.perf_counter()
    scenes = make_scenes(folder / "scenes", options)
    print(f"{machine.processor()}, {machine.cores()} cores; {len(scenes)} scenes of {options.views} views, ", end="")
    print(f"{options.size} pixels wide, made in {time.perf_counter() - begin:.0f} s")
    results, alone, code = Results("batch", options), None, 0
    seconds, _ = timed_batch(scenes[:1], folder / "warm", options.gpus[0], 1, options)
    print(f"first batch, of one scene, which compiles: {seconds:.0f} s\n")
    print_header(COLUMNS)
    for per_gpu in options.per_gpu:
        for gpus in options.gpus:
            seconds, rows = timed_batch(scenes, folder / f"runs-{gpus}-{per_gpu}", gpus, per_gpu, options)
            done = [row for row in rows if row["state"] == "done"]
            code |= len(done) != len(scenes)
            alone = alone or seconds
            values = summary(gpus, per_gpu, seconds, done, alone)
            results.add(**values)
            print_row(["–" if value is None else f"{value:g}" for value in values.values()])
    if options.faults:
        code |= not survives_faults(scenes, folder, options)
    results.save()
    return int(code)


def summary(gpus: int, per_gpu: int, seconds: float, done: list[dict[str, Any]], alone: float) -> dict[str, Any]:
    """A row of the table, by the titles of the columns."""
    spent = sorted(row["seconds"] for row in done) or [0.0]
    scores = [row["nc"] for row in done if row["nc"] is not None]
    each = round(seconds * max(1, gpus) / max(1, len(done)), 2)
    mean = round(sum(scores) / len(scores), 3) if scores else None
    values = (gpus, per_gpu, len(done), round(seconds, 1), each, round(spent[len(spent) // 2], 1))
    return dict(zip(COLUMNS, (*values, round(alone / seconds, 2), mean), strict=True))


def make_scenes(folder: Path, options: argparse.Namespace) -> list[Path]:
    """The built-in scene with another seed each, unless they are there already."""
    places = [folder / f"scene_{index:02d}" for index in range(options.scenes)]
    missing = [place for place in places if not (place / "transforms_train.json").is_file()]
    workers = max(1, min(len(missing), machine.cores()))
    with ProcessPoolExecutor(workers, mp_context=get_context("spawn")) as pool:
        list(pool.map(make_scene, missing, [options.size] * len(missing), [options.views] * len(missing)))
    return places


def make_scene(folder: Path, size: int, views: int) -> None:
    """Ray-cast one scene on one core."""
    from ultrafield.synth import SynthConfig, synthesize

    seed = int(folder.name.rpartition("_")[2])
    config = SynthConfig(
        size=size,
        train_views=views,
        val_views=4,
        supersampling=1,
        light_samples=2,
        sky_samples=2,
        threads=1,
        seed=seed,
    )
    synthesize(None, folder, config, progress=False, overwrite=folder.exists())


def timed_batch(
    scenes: list[Path], out: Path, gpus: int, per_gpu: int, options: argparse.Namespace
) -> tuple[float, list[dict[str, Any]]]:
    """Wall time of a batch in a process of its own, and the rows of its table."""
    import pyarrow.parquet

    begin = time.perf_counter()
    process = start_batch(scenes, out, gpus, per_gpu, options)
    said = process.communicate()[1]
    seconds = time.perf_counter() - begin
    if process.returncode != 0:
        print(said[-2000:], file=sys.stderr)
    file = out / "results.parquet"
    return seconds, pyarrow.parquet.read_table(file).to_pylist() if file.is_file() else []


def start_batch(
    scenes: list[Path], out: Path, gpus: int, per_gpu: int, options: argparse.Namespace
) -> subprocess.Popen[str]:
    """Begin a batch that sees only some of the GPUs."""
    command = [sys.executable, "-m", "ultrafield", "batch", *map(str, scenes), "--out", str(out)]
    command += ["--device", "cuda" if gpus else "cpu", "--per-gpu", str(per_gpu), *options.more]
    visible = {"CUDA_VISIBLE_DEVICES": ",".join(map(str, range(gpus)))}
    environment = {name: value for name, value in os.environ.items() if name != "RAY_ADDRESS"} | visible
    return subprocess.Popen(command, env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)


def survives_faults(scenes: list[Path], folder: Path, options: argparse.Namespace) -> bool:
    """Whether all good scenes are done once each although one more is broken and a worker is killed."""
    broken, out = folder / "broken", folder / "runs-faults"
    broken.mkdir(exist_ok=True)
    (broken / "transforms_train.json").write_text("{")
    process = start_batch([*scenes, broken], out, max(options.gpus), options.per_gpu[-1], options)
    killed = threading.Thread(target=kill_a_worker, args=(out, process))
    killed.start()
    said = process.communicate()[1]
    killed.join()
    ended = [sum('"stage": "run"' in line for line in log.open()) for log in sorted(out.glob("scene_*/log.jsonl"))]
    print(
        f"\nwith a worker killed and a broken scene: {ended.count(1)} of {len(scenes)} good scenes done once; it said:"
    )
    print("\n".join(line for line in said.splitlines() if "died" in line or "error" in line))
    return ended == [1] * len(scenes) and process.returncode == 1


def kill_a_worker(out: Path, process: subprocess.Popen[str]) -> None:
    """Kill the first worker that is in the middle of a scene."""
    while process.poll() is None:
        for lock in out.glob("*/.ultrafield.lock"):
            with suppress(OSError, ValueError, KeyError):
                os.kill(int(json.loads(lock.read_text())["process"]), signal.SIGKILL)
                return
        time.sleep(0.05)


if __name__ == "__main__":
    sys.exit(main())
