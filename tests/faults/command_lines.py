"""Command lines drawn at random: whatever is asked for, the program answers in one line or does it.

    python tests/faults/command_lines.py --count 1000 --seed 0

Each command line has one to three options with a value that is odd, wrong, or a path that cannot be used. It runs in a
process forked from one that has imported everything, in a copy of a small workspace, and is judged by its exit code, by
what it prints, by how long it takes and how much memory, and by which files it changes.
"""

from __future__ import annotations

import argparse
import os
import random
import re
import shutil
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path

from children import Outcome, common_faults, digests, forked, warm_up
from workspace import CHECKPOINT, PUBLISHED, SCENE, SMALL, Program, prepare_elsewhere, programs

COMMANDS: dict[str, tuple[str, ...]] = {
    "run": ("scene", "--out", "new", *SMALL),
    "train": ("scene", "--out", "new", *SMALL),
    "segment": ("done", "--device", "cpu"),
    "render": ("done", "--device", "cpu", "--frames", "2"),
    "eval": ("done",),
    "masks": ("scene", "--out", "new"),
    "synth": ("model.obj", "new", *SCENE),
    "import": ("scene", "new"),
    "demo": ("--out", "new"),
    "export": ("done", "--to", "ply", "--out", "new"),
    "find": ("done", "x"),
    "name": ("done", "--node", "3", "--name", "x"),
    "batch": ("scene", "--out", "new"),
    "view": ("done",),
    "warmup": (),
    "train.py": PUBLISHED,
    "render.py": (*PUBLISHED, "--ckpt_path", CHECKPOINT, "--render_dir", "new"),
    "3dseg.py": ("e", "new"),
    "eval_nc.py": ("scene", "name"),
}
ENDLESS = ("batch", "demo", "view", "warmup")  # where nothing is wrong; something always is
LENGTHY = ("--num_epochs", "--downsample")  # of the published commands: what is allowed may take minutes
LONG = "x" * 300
NUMBERS = (
    *("nan", "inf", "-inf", "-1", "0", "-0", "1", "2", "0.5", "1.5", "1e308", "-1e308", "1e-320", "1000000000000"),
    *("9" * 5000, "9223372036854775807", "9223372036854775808", "4294967296", "None", "1_0", "0x10", "1e3"),
)
TEXTS = (
    *("", " ", "\n", "-", "--", "²", "١", "true", "auto", "{}", "[1]", "a,b", LONG, "/" + LONG, "\udcff\udcfe"),
    *("a\x01b", "..", ".", "/", "~", "$HOME", "a/../b", "a\\b", "con", "*", "a\tb", "name"),
)
PATHS = (
    *("none", "none/deep", "file", "file/below", "fifo", "link", "loop", "empty", "full", "scene", "done", "model.obj"),
    *("/dev/null", "/dev/zero", "/dev/full", "/proc/self/mem", "scene/transforms_train.json", "done/config.json"),
    *("scene/train", "done/masks", "fifo/below", "./new", "new/new", CHECKPOINT),
)
WHOLE = (
    *("-1", "0", "-0", "1", "2", "3", "100", "1000000000000", "9223372036854775807", "9223372036854775808", "None"),
    *("4294967296", "9" * 5000),
)
ENDINGS = {"INT": WHOLE, "FLOAT": NUMBERS, "GIB": NUMBERS, "PATH": PATHS, "DIR": PATHS, "RUN": PATHS, "SCENE": PATHS}
FLAGS = ("--nonsense", "--", "-x", "-", "--out=", "--=", "-o", "--help", "--seed", "--version")


def furnish(folder: Path) -> None:
    """Put things into the workspace that are neither scene nor run."""
    (folder / "model.obj").write_text("o a\nv 0 0 0\nv 1 0 0\nv 0 1 0\nv 0 0 1\nf 1 2 3\nf 1 2 4\nf 2 3 4\n")
    (folder / "file").write_text("not a folder")
    (folder / "empty").mkdir()
    (folder / "full").mkdir()
    (folder / "full" / "notes.txt").write_text("the user's")
    (folder / "link").symlink_to("full")
    (folder / "loop").symlink_to("loop")


def option_names(program: Program) -> dict[str, tuple[str, ...]]:
    """The options that a program's help lists, with values of their kinds."""
    text = forked(lambda: program(["--help"]), Path.cwd()).out
    found = re.findall(r"(?<![\w-])(--[a-zA-Z0-9][\w.-]*)(?:[ =]([^\s\]]+))?", text)
    names = {option: ENDINGS.get(kind.rsplit("|", 1)[-1], NUMBERS + PATHS) for option, kind in found}
    return {option: values for option, values in names.items() if option != "--help" and not option.endswith(".")}


def draw(name: str, options: dict[str, tuple[str, ...]], rng: random.Random) -> list[str]:
    """A command line: the base one with one to three changes."""
    words = list(COMMANDS[name])
    for _ in range(rng.choice((1, 1, 1, 2, 3))):
        kind = rng.random()
        if kind < 0.65 and options:
            option = rng.choice(list(options))
            value = rng.choice(options[option] if rng.random() < 0.8 else NUMBERS + TEXTS + PATHS)
            if option in LENGTHY and value[:1].isdigit():
                value = "nan"
            words += [f"{option}={value}"] if rng.random() < 0.2 else [option, value]
        elif kind < 0.9:
            named = [place for place, word in enumerate(words) if not word.startswith("-")]
            early = named[:2] if rng.random() < 0.5 else named
            if early:
                words[rng.choice(early)] = rng.choice(PATHS + TEXTS)
        elif kind < 0.95:
            words = words[:-1]
        else:
            words.insert(rng.randrange(len(words) + 1), rng.choice(FLAGS))
    if name in ENDLESS:
        words += ["--memory", "nan"]
    return words


def run_line(name: str, words: list[str], workspace: Path, program: Program) -> Outcome:
    """Run a command line in a copy of the workspace and judge it."""
    with tempfile.TemporaryDirectory(prefix="ultrafield-lines-") as folder:
        place = Path(folder) / "w"
        shutil.copytree(workspace, place, symlinks=True)
        os.mkfifo(place / "fifo")
        before = digests(place)
        outcome = forked(lambda: program(words), place)
        outcome.words = [name, *words]
        outcome.faults += _faults(outcome, before, digests(place))
    return outcome


def _faults(outcome: Outcome, before: dict[str, str], after: dict[str, str]) -> list[str]:
    """What is wrong with how a command line ended."""
    faults, lines = common_faults(outcome), outcome.errors
    usage = re.search(r"^(usage:|╭)", outcome.err, re.MULTILINE)
    if outcome.code and not usage:
        if len(lines) != 1:
            faults.append(f"{len(lines)} lines of error")
        elif not _names_something(lines[0], outcome.words):
            faults.append("names nothing")
        if outcome.code == 1 and not re.search("CUDA|GPU|Triton|training|loss|dens", lines[0] if lines else ""):
            faults.append("code 1 for input")
    faults += _changed(outcome.words, before, after)
    return faults


def _names_something(line: str, words: Sequence[str]) -> bool:
    """Whether a line of error names a word of the command line: an option, a path or a value."""
    parts = [part for word in words for part in word.split("=", 1)]
    if any(part and not part.strip() for part in parts):  # a name that cannot be seen
        return True
    named = [*parts, *map(os.path.normpath, parts)]
    named += [part.encode("utf-8", "backslashreplace").decode() for part in named]
    shown = [*named, *(part[:40] for part in named), *(repr(part)[1:40] for part in named)]
    options = re.search(r"--[a-z]|\b(EXP|OUTPUT|NAME|SCENE|RUN)\b|/", line)
    started = any(line.startswith(f"ultrafield: error: {part}: ") for part in named if part)
    return started or any(part in line for part in shown if len(part) > 1) or options is not None


def _changed(words: Sequence[str], before: dict[str, str], after: dict[str, str]) -> list[str]:
    """Files that were there and are not what they were, and new ones that nobody asked for."""
    owned = ("done",) if words[0] in ("segment", "render", "eval", "name") else ("results", "ckpts", "vis", "new")
    given = {os.path.normpath(part) for word in words for part in word.split("=", 1) if part}
    given |= {"new", "results", "ckpts", "vis", "demo"}
    if words[0] == "masks" and "link" in given:
        given.add("full")  # new masks may go beside what is there, and through a link that is asked for
    faults = []
    for path, content in before.items():
        if (
            after.get(path) != content
            and path.split("/")[0] not in owned
            and not (path == "empty" and content == "other")
        ):
            faults.append(f"changed {path}")
    asked = [*given, *owned]
    for path in sorted(after.keys() - before.keys()):
        if not any(path == place or path.startswith(f"{place}/") or place.startswith(f"{path}/") for place in asked):
            faults.append(f"made {path!r}")
    return faults[:3]


def attack(workspace: Path, count: int, seed: int, report: Callable[[str], None] = lambda _: None) -> list[Outcome]:
    """Draw and run `count` command lines in copies of a workspace; those that fail."""
    warm_up()
    rng, failed = random.Random(seed), []
    furnish(workspace)
    known = programs()
    options = {name: option_names(known[name]) for name in COMMANDS}
    for index in range(count):
        name = list(COMMANDS)[index % len(COMMANDS)]
        outcome = run_line(name, draw(name, options[name], rng), workspace, known[name])
        if outcome.faults:
            failed.append(outcome)
            report(str(outcome))
    return failed


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--count", type=int, default=1000)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--scene", type=Path, help="a scene; a small one is made if not given")
    parser.add_argument("--run", type=Path, help="a run of it")
    options = parser.parse_args()
    start = time.monotonic()
    with tempfile.TemporaryDirectory(prefix="ultrafield-lines-") as folder:
        if options.scene is None:
            prepare_elsewhere(Path(folder))
        else:
            shutil.copytree(options.scene, Path(folder) / "scene")
            shutil.copytree(options.run, Path(folder) / "done")
        failed = attack(Path(folder), options.count, options.seed, lambda text: print(text, flush=True))
    print(f"{options.count} command lines, {len(failed)} failed, {time.monotonic() - start:.0f} s")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
