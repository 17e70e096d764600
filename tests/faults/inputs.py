"""Mutated inputs of every kind: each is read, or refused in one line that names it.

    python tests/faults/inputs.py --inputs 2000 --workers 2 --seed 0

Every input is a valid file of one kind that has been damaged (`damage`), in a copy of a small workspace. The command
that a user would type reads it, in a process forked from one that has imported everything, and is judged by its exit
code, by what it prints, by its time and memory, by which files it changes, and by the numbers that it writes.
`--only INDEX` repeats one input of a seed; `--keep DIR` leaves its workspace behind.
"""

from __future__ import annotations

import argparse
import json
import random
import re
import shutil
import subprocess
import sys
import tempfile
import time
import warnings
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from children import Outcome, common_faults, digests, forked, warm_up
from furniture import furnish
from harness import make_network, moved
from kinds import COMPANIONS, KINDS, NEEDS, Kind
from PIL import Image
from readers import READERS
from workspace import PUBLISHED, SCENE, SMALL, TRAINED, Program, prepare_elsewhere, programs

FAULTS_SHOWN = 3
LARGE = 500_000  # pixels, from which a picture is read but not trained on
# libjpeg says what it finds wrong in a picture that it reads all the same; nothing can be done about that line.
NOISE = re.compile(r"libpng|OpenCV[ (](?!axes)|\[ *WARN|imgcodecs|TIFF\w*:|\w+Warning:|terminate called|numba|torch/")
OWN_FAILURES = re.compile(r"diverge|training|loss|dens|CUDA|in use|out of memory")  # what code 1 may be about


def run_input(
    index: int, seed: int, workspace: Path, known: dict[str, Program], place: Path, *, quick: bool
) -> tuple[str, Outcome]:
    """Damage an input in a copy of the workspace, read it, and judge; its kind and files, and how it ended."""
    kinds = [name for name in KINDS if (workspace / NEEDS.get(name, "")).exists()]
    name = kinds[index % len(kinds)]
    kind, rng = KINDS[name], random.Random(f"{seed}:{index}")
    shutil.copytree(workspace, place, symlinks=True)
    moved(place, workspace)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        files = kind.spoil(place, rng)
    lines = kind.lines[: 1 if quick or any(map(_is_large, files)) else None]
    program, *words = rng.choice(lines) if lines else _synth(files[0])
    before = digests(place)
    outcome = forked(lambda: known[program](words), place)
    outcome.words = [program, *words]
    outcome.faults += _faults(outcome, kind, [file.relative_to(place) for file in files], before, digests(place))
    if outcome.code == 0:
        outcome.faults += _insane(place, kind.owned, before)
    return f"{name}: {', '.join(str(file.relative_to(place)) for file in files)}", outcome


def _is_large(file: Path) -> bool:
    """Whether a file is a picture that takes long to work on, so that reading it must do."""
    if not file.is_file():  # a FIFO, say
        return False
    try:
        with warnings.catch_warnings(action="ignore"), Image.open(file) as picture:
            return picture.width * picture.height > LARGE
    except Exception:  # whatever Pillow raises
        return False


def _synth(file: Path) -> list[str]:
    """The command line that reads a model, or the model that a file belongs to."""
    return ["synth", f"models/{COMPANIONS.get(file.suffix, file.name)}", "new", *SCENE]


def _faults(
    outcome: Outcome, kind: Kind, files: Sequence[Path], before: dict[str, str], after: dict[str, str]
) -> list[str]:
    """What is wrong with how a command ended."""
    faults, lines = common_faults(outcome), outcome.errors
    if outcome.code and not re.search(r"^(usage:|╭)", outcome.err, re.MULTILINE):
        if len(lines) != 1:
            faults.append(f"{len(lines)} lines of error")
        elif not _names(lines[0], files):
            faults.append("names nothing")
        elif outcome.code == 1 and not OWN_FAILURES.search(lines[0]):
            faults.append("code 1 for input")
    if noise := NOISE.search(outcome.err):
        faults.append(f"noise of a library: {noise[0]}")
    for path in sorted(before.keys() | after.keys()):
        if before.get(path) != after.get(path) and path.split("/")[0] not in kind.owned:
            faults.append(f"changed {path!r}")
    return faults[:FAULTS_SHOWN]


def _names(line: str, files: Sequence[Path]) -> bool:
    """Whether a line of error names a damaged file, a folder that it lies in, or an option."""
    parts = {part for file in files for part in (*file.parts, file.stem)}
    shown = {part.encode("utf-8", "backslashreplace").decode() for part in parts} | {repr(part)[1:40] for part in parts}
    return any(part in line for part in parts | shown) or re.search(r"--[a-z]", line) is not None


def _insane(place: Path, owned: Sequence[str], before: dict[str, str]) -> list[str]:
    """Files that a command has written and whose numbers are not finite."""
    after = digests(place)
    for path in sorted(path for path in after if path.split("/")[0] in owned and after[path] != before.get(path)):
        file = place / path
        if file.suffix in (".npz", ".npy") and not file.name.endswith("_d.npy"):
            content = np.load(file, allow_pickle=False)
            arrays = content.values() if file.suffix == ".npz" else [content]
            if any(array.dtype.kind == "f" and not np.isfinite(array).all() for array in arrays):
                return [f"{path} is not finite"]
        elif file.suffix == ".json" and re.search(r"\b(NaN|-?Infinity)\b", file.read_text()):
            return [f"{path} is not finite"]
    return []


def attack(
    workspace: Path, indices: Sequence[int], seed: int, keep: Path | None, *, quick: bool = False
) -> dict[str, list[float]]:
    """Run inputs in copies of a workspace, and print those that fail; by kind: number, failed, codes, seconds, MB."""
    warm_up(training=not quick)
    if (workspace / "clip").is_dir():
        with tempfile.TemporaryDirectory() as folder:
            make_network(Path(folder) / "clip")  # which imports what reads one
    known = {**programs(), **READERS}
    seen: dict[str, list[float]] = {}
    for index in indices:
        with tempfile.TemporaryDirectory(prefix="ultrafield-inputs-") as folder:
            name, outcome = run_input(index, seed, workspace, known, Path(folder).resolve() / "w", quick=quick)
            if keep is not None:
                shutil.copytree(Path(folder) / "w", keep, symlinks=True, ignore=shutil.ignore_patterns("fifo"))
        if outcome.faults or keep is not None:
            print(f"{index}: {name}: {_short(outcome)}", flush=True)
        entry = seen.setdefault(name.split(":")[0], [0, 0, 0, 0, 0, 0, 0])
        entry[0] += 1
        entry[1] += bool(outcome.faults)
        entry[2 + (outcome.code if outcome.code in (0, 1) else 2)] += 1
        entry[5], entry[6] = max(entry[5], outcome.seconds), max(entry[6], outcome.megabytes)
    return seen


def _short(outcome: Outcome) -> str:
    """An outcome in one line, without the options that make a run small."""
    words = [word for word in outcome.words if word not in {*SMALL, *TRAINED, *PUBLISHED, *SCENE}]
    return f"{outcome.faults}: {' '.join(words)}: code {outcome.code}: {outcome.err[-400:]!r}"


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--inputs", type=int, default=2000)
    parser.add_argument("--first", type=int, default=0, help="index of the first one")
    parser.add_argument("--workers", type=int, default=1)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--only", type=int, nargs="+", help="indices of the inputs to run")
    parser.add_argument(
        "--quick", action="store_true", help="read with the first command of each kind, which trains nothing"
    )
    parser.add_argument("--keep", type=Path, help="folder that the last input's workspace is left in")
    parser.add_argument(
        "--scene", type=Path, help="a small scene; if it is given, no runs are made for kinds that need one"
    )
    parser.add_argument("--run", type=Path, help="a run of it")
    parser.add_argument("--workspace", type=Path, help="a furnished workspace; made if not given, or if it is empty")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="ultrafield-inputs-") as folder:
        workspace = Path(folder).resolve() if options.workspace is None else options.workspace.resolve()
        workspace.mkdir(exist_ok=True)
        if options.scene is not None:
            shutil.copytree(options.scene, workspace / "scene")
            shutil.copytree(options.run, workspace / "done")
            config = workspace / "done" / "config.json"
            config.write_text(config.read_text().replace(f'"{options.scene}"', f'"{workspace}/scene"'))
            furnish(workspace, stopped=False)
        elif not any(workspace.iterdir()):
            prepare_elsewhere(workspace)
            furnish(workspace)
        return _shared(options, workspace)


def _shared(options: argparse.Namespace, workspace: Path) -> int:
    """Run the inputs, in several processes if asked for, and print what they came to."""
    start, last = time.monotonic(), options.first + options.inputs
    if options.workers == 1:
        indices = options.only or range(options.first, last)
        total = attack(workspace, indices, options.seed, options.keep, quick=options.quick)
        (Path(f"{workspace}.{options.first}.json")).write_text(json.dumps(total)) if options.workspace else None
    else:
        share, processes, total = -(-options.inputs // options.workers), [], {}
        for first in range(options.first, last, share):
            script = [sys.executable, __file__, "--workspace", str(workspace), "--seed", str(options.seed)]
            script += ["--quick"] if options.quick else []
            script += ["--first", str(first), "--inputs", str(min(share, last - first))]
            processes.append((first, subprocess.Popen(script, stdout=subprocess.PIPE, text=True)))
        for first, process in processes:
            lines = process.communicate()[0].splitlines()
            print(*(line for line in lines if re.match(r"\d+: ", line)), sep="\n", flush=True)
            part = Path(f"{workspace}.{first}.json")
            for name, entry in json.loads(part.read_text()).items():
                known = total.setdefault(name, [0] * 7)
                total[name] = [a + b for a, b in zip(known[:5], entry[:5], strict=True)]
                total[name] += [max(a, b) for a, b in zip(known[5:], entry[5:], strict=True)]
            part.unlink()
    for name, (number, failed, read, ones, refused, seconds, megabytes) in total.items():
        codes = f"{read:.0f} read, {refused:.0f} refused, {ones:.0f} ended with 1"
        print(f"{name}: {number:.0f} inputs, {failed:.0f} failed, {codes}; at most {seconds:.1f} s, {megabytes:.0f} MB")
    failed = sum(entry[1] for entry in total.values())
    print(
        f"{sum(entry[0] for entry in total.values()):.0f} inputs, {failed:.0f} failed, {time.monotonic() - start:.0f} s"
    )
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
