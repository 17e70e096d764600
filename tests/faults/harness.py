"""Small scenes, commands on them, and processes that carry the commands out: what the scripts of this folder share.

Children are forked from a process that has imported everything, so that a command costs a second.
"""

from __future__ import annotations

import builtins
import hashlib
import io
import os
import re
import shutil
import signal
import sys
import threading
import time
import traceback
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from children import load_kernels, warm_up

OPTIONS = (
    *("--device", "cpu", "--geometry.steps", "30", "--geometry.lr", "0.03"),
    *("--geometry.rays", "256", "--geometry.samples", "2048"),
    *("--geometry.hidden", "16", "--geometry.grid.levels", "4", "--geometry.grid.log2-entries", "12"),
    *("--geometry.max-samples-per-ray", "64", "--geometry.occupancy-resolution", "32", "--segment.cuts", "5"),
    *("--features.steps", "12", "--features.pixels", "256", "--features.dim", "16"),
    *("--features.grid.levels", "4", "--features.grid.log2-entries", "10"),
)
PUBLISHED = (
    *("--root_dir", "scene", "--dataset_name", "nerf", "--exp_name", "e", "--num_epochs", "0.002"),
    *("--batch_size", "64", "--downsample", "0.04", "--render_train", "--render_feature", "--load_seg"),
    *("--feature_dim", "8", "--hierarchical_sampling", "--ultrametric_weight", "1.0", "--euclidean_weight", "1.0"),
)
SCENE = ("--size", "28", "--train-views", "5", "--val-views", "2", "--light-samples", "1", "--sky-samples", "1")
SMALL = ("--size", "24", "--train-views", "3", "--val-views", "1")
# Operations that a process may be killed before.
OPERATIONS = ("replace", "rename", "unlink", "mkdir", "rmdir")
WRITING = re.compile("[wxa+]")  # modes of `open`, before which a process may be killed too
MADE_BEFORE = "folder exists and is not empty"  # what `synth` says when it has nothing to do
LEFT_OVER = re.compile(r"\.(tmp|old|lock)$")
PLACE = re.compile(rb'"scene": ".*/')
SECONDS = re.compile(rb'"seconds": [0-9.]+')
PAGE = re.compile(rb'"report\.html": \[[^\]]*\]')  # its record; it tells times and memory


@dataclass(frozen=True)
class Case:
    """A command in a workspace.

    Attributes:
        name: Name of the case.
        program: "ultrafield", "train.py" or "3dseg.py".
        arguments: Its arguments, with paths relative to the workspace.
        before: Names of the cases whose commands come first, uninterrupted.
    """

    name: str
    program: str
    arguments: tuple[str, ...]
    before: tuple[str, ...] = ()


FILM = ("--frames", "2", "--device", "cpu", "--out", "film", "--overwrite")
NETWORK = ("--model", "clip", "--device", "cpu")
CASES = {
    case.name: case
    for case in (
        Case("run-field", "ultrafield", ("run", "scene", "--out", "r", "--engine", "field", *OPTIONS)),
        Case("run-bare", "ultrafield", ("run", "bare", "--out", "b", "--engine", "lift", *OPTIONS)),
        Case("train", "ultrafield", ("train", "scene", "--out", "r", "--engine", "both", *OPTIONS)),
        Case("segment", "ultrafield", ("segment", "r", "--cuts", "4", "--device", "cpu"), ("train",)),
        Case("render", "ultrafield", ("render", "r", "--frames", "2", "--device", "cpu"), ("train",)),
        Case("film", "ultrafield", ("render", "r", "--sweep", *FILM), ("train", "segment")),
        Case("eval", "ultrafield", ("eval", "r"), ("train", "segment")),
        Case("export", "ultrafield", ("export", "r", "--to", "png", "--overwrite"), ("train", "segment")),
        Case("name", "ultrafield", ("name", "r", "--node", "3", "--name", "x"), ("train", "segment")),
        Case("find", "ultrafield", ("find", "r", "red box", *NETWORK), ("train", "segment")),
        Case("name-words", "ultrafield", ("name", "r", "--words", "mug,handle", *NETWORK), ("train", "segment")),
        Case("other", "ultrafield", ("run", "other", "--out", "r", "--engine", "lift", *OPTIONS)),
        Case("masks", "ultrafield", ("masks", "bare")),
        Case("masks-again", "ultrafield", ("masks", "bare", "--overwrite", "--width", "14"), ("masks",)),
        Case("synth", "ultrafield", ("synth", "still-life", "made", *SMALL)),
        Case("train.py", "train.py", PUBLISHED),
        Case("3dseg.py", "3dseg.py", ("e", "out"), ("train.py",)),
    )
}


class Harness:
    """Scenes and finished workspaces to copy, and the state in which each command leaves its workspace."""

    def __init__(self, folder: Path, names: Sequence[str] = ()) -> None:
        # Sums on a GPU come in any order: what is compared bit for bit is computed on the CPU.
        os.environ.update(NUMBA_NUM_THREADS="1", OMP_NUM_THREADS="1")
        self.folder = folder
        warm_up()
        load_kernels()
        self.cases = [CASES[name] for name in names or CASES]
        self._make_scenes()
        self.finished: dict[str, dict[str, str]] = {}
        self.operations: dict[str, int] = {}
        self.seconds: dict[str, float] = {}
        needed = {name for case in self.cases for name in (*case.before, case.name)}
        for case in CASES.values():
            if case.name in needed:
                self._finish(case)

    def _make_scenes(self) -> None:
        self.base = self.folder / "base"
        self.base.mkdir()
        scenes = {"scene": "0"} | ({"other": "1"} if CASES["other"] in self.cases else {})
        for name, seed in scenes.items():
            case = Case(name, "ultrafield", ("synth", "still-life", name, "--seed", seed, *SCENE))
            code, text = self.child(case, self.base)
            assert code == 0, text
        shutil.copytree(self.base / "scene", self.base / "bare")
        for entry in (self.base / "bare").glob("*_seg*"):
            shutil.rmtree(entry)
        (self.base / "bare" / "notes.txt").write_text("mine")
        if "other" in scenes:
            shutil.copytree(self.base / "other", self.base / "pictures")
        if any("clip" in case.arguments for case in self.cases):
            make_network(self.base / "clip")

    def space_of(self, case: Case, name: str) -> Path:
        """A fresh workspace for a case."""
        space = self.folder / name
        _copy(self.folder / f"before-{case.name}", space)
        return space

    def _finish(self, case: Case) -> None:
        """Prepare a case's workspace and learn how its command leaves it when nobody kills it."""
        before = self.folder / f"before-{case.name}"
        source = self.base if not case.before else self.folder / f"after-{case.before[-1]}"
        _copy(source, before)
        after = self.folder / f"after-{case.name}"
        if case.name == "other":  # a finished run whose pictures are replaced by others
            self._replace_pictures(before)
        _copy(before, after)
        counts = self.folder / "count"
        start = time.monotonic()
        code, text = self.child(case, after, count=counts)
        assert code == 0, f"{case.name}: {text}"
        self.seconds[case.name] = time.monotonic() - start
        self.operations[case.name] = int(counts.read_text())
        self.finished[case.name] = snapshot(after)
        print(f"{case.name}: {self.seconds[case.name]:.1f} s, {self.operations[case.name]} operations", flush=True)

    def _replace_pictures(self, space: Path) -> None:
        code, text = self.child(CASES["other"], space)
        assert code == 0, text
        shutil.rmtree(space / "other")
        shutil.copytree(self.base / "scene", space / "other")

    def child(
        self,
        case: Case,
        space: Path,
        number: signal.Signals | None = None,
        operation: int | None = None,
        moment: float = 0.0,
        count: Path | None = None,
    ) -> tuple[int, str]:
        """Fork a process that carries a command out; returns its exit code (negative: its signal) and stderr."""
        child = self.start(case, space, operation if number else None, count)
        if number is not None and operation is None:
            time.sleep(moment)
            with suppress(ProcessLookupError):
                os.kill(child, number)
        return self.wait(child)

    def start(self, case: Case, space: Path, operation: int | None = None, count: Path | None = None) -> int:
        """Fork a process that carries a command out, and kills itself before a file operation; returns its number."""
        child = os.fork()
        if child == 0:
            _carry_out(case, space, self._log(os.getpid()), operation, count)
        return child

    def wait(self, child: int) -> tuple[int, str]:
        """Wait for a process; returns its exit code (negative: its signal) and what it wrote to stderr."""
        _, status = os.waitpid(child, 0)
        log = self._log(child)
        text = log.read_text(errors="replace") if log.is_file() else ""
        log.unlink(missing_ok=True)
        return os.waitstatus_to_exitcode(status), text

    def _log(self, child: int) -> Path:
        return self.folder / f"{child}.log"


def make_network(folder: Path) -> None:
    """A small CLIP of random weights; what reads it is imported, so that children need not."""
    sys.path.append(str(Path(__file__).parents[1] / "support"))
    import tiny_clip

    tiny_clip.save("clip", folder)


def _copy(space: Path, target: Path) -> None:
    """Copy a workspace."""
    shutil.copytree(space, target)
    moved(target, space)


def moved(space: Path, origin: Path) -> None:
    """Let run folders of a workspace name their scene by its new place."""
    for file in space.rglob("config.json"):
        file.write_text(file.read_text().replace(f"{origin}/", f"{space}/"))


def snapshot(folder: Path) -> dict[str, str]:
    """Digest of every file below a folder, without what time alone decides."""
    state = {}
    for file in sorted(folder.rglob("*")):
        name = file.relative_to(folder).as_posix()
        if LEFT_OVER.search(name):
            state[name] = "left over"
        elif file.is_file() and file.name != "log.jsonl":
            content = file.read_bytes()
            if file.suffix == ".json":
                content = PAGE.sub(b"", PLACE.sub(b"", SECONDS.sub(b"", content))).replace(str(folder).encode(), b"")
            state[name] = "page" if file.name == "report.html" else hashlib.sha256(content).hexdigest()[:12]
        elif file.is_dir():
            state[name] = "folder"
    return state


def difference(expected: dict[str, str], found: dict[str, str]) -> str:
    """The first few names in which two snapshots differ."""
    names = sorted(name for name in expected.keys() | found.keys() if expected.get(name) != found.get(name))
    return (
        ", ".join(f"{name}: {expected.get(name)} → {found.get(name)}" for name in names[:4]) + f" ({len(names)} in all)"
    )


def _carry_out(case: Case, space: Path, log: Path, operation: int | None, count: Path | None) -> None:
    """Body of a child: stderr goes to `log`; never returns."""
    code = 1
    try:
        os.chdir(space)
        target = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
        os.dup2(target, 2)
        os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
        sys.stdout, sys.stderr = open(1, "w", closefd=False), open(2, "w", closefd=False)  # noqa: SIM115
        counter = _Counter(operation)
        import ultrafield.training.loop as loop
        from ultrafield import interruption

        _shrink()
        loop._STATE_SECONDS = 0.05  # states are written often enough to be met by a kill
        if operation is None and count is None:
            interruption.watch("tool")
        sys.argv = [case.program, *case.arguments]
        code = _main(case)(case.arguments)
        sys.stderr.flush()
        if count is not None:
            count.write_text(str(counter.done))
    except BaseException:
        traceback.print_exc()
        sys.stderr.flush()
    finally:
        os._exit(code)


def _shrink() -> None:
    """Sizes that suit pictures of 28 pixels in the published commands."""
    from dataclasses import replace

    from ultrafield.config import HashGridConfig, preset
    from ultrafield.published import options, segment

    paper = preset("paper")
    grid = HashGridConfig(4, 2, 12, 8, 64)
    geometry = replace(paper.geometry, grid=grid, occupancy_resolution=32, max_samples_per_ray=64)
    features = replace(paper.features, grid=HashGridConfig(3, 2, 10, 8, 16), hidden=16)
    small = replace(paper, geometry=geometry, features=features)
    options.preset = lambda name: small
    options.FEATURE_CHANNELS = 16
    segment.OUTLIER_RADIUS = 1.0


def _main(case: Case) -> Callable[[Sequence[str]], int]:
    from ultrafield import cli
    from ultrafield.published import segment, train

    return {"ultrafield": cli.main, "train.py": train.train_main, "3dseg.py": segment.main}[case.program]


class _Counter:
    """Counts file operations, and kills the process before one of them."""

    def __init__(self, fatal: int | None) -> None:
        self.done, self._fatal, self._lock = 0, fatal, threading.Lock()
        for name in OPERATIONS:
            setattr(os, name, self._counted(getattr(os, name)))
        builtins.open = io.open = self._opened(open)  # type: ignore[assignment]

    def _counted(self, function: Callable[..., Any]) -> Callable[..., Any]:
        def counted(*arguments: Any, **options: Any) -> Any:
            self._count()
            return function(*arguments, **options)

        return counted

    def _opened(self, function: Callable[..., Any]) -> Callable[..., Any]:
        def opened(file: Any, mode: str = "r", *arguments: Any, **options: Any) -> Any:
            if WRITING.search(mode):
                self._count()
            return function(file, mode, *arguments, **options)

        return opened

    def _count(self) -> None:
        with self._lock:
            if self.done == self._fatal:
                os.kill(os.getpid(), signal.SIGKILL)
            self.done += 1
