"""Running the process that maps (`worker`), with its progress, and reading what it has found."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from ..errors import BackendError, shortened
from ..extras import require
from ..interruption import cleaned_up
from ..io import write_json
from ..progress import progress_bar
from ..reading import PixelSize, read_json, read_npy

STAGES = {"features": "Finding features", "matches": "Matching pictures", "cameras": "Placing cameras"}
_PATIENCE = 10  # seconds that a process that was killed may take to end
_SHOWN = 200  # characters of the last line of a log
_FAILED = re.compile(r"F\d{8} .*\] ")  # a line of COLMAP's log that ends the process
_TRACES = ("***", "@", "PC:")  # how lines of a stack trace begin


@dataclass(frozen=True)
class Group:
    """Pictures of one camera.

    Attributes:
        names: Their grey copies.
        masked: Those of them with a mask.
        size: Width and height of the copies.
        lens: COLMAP's name of the lens model.
        focal: Focal length to start from, pixels of the copies.
        told: Whether it is told by EXIF data.
    """

    names: list[str]
    masked: list[str]
    size: PixelSize
    lens: str
    focal: float
    told: bool


@dataclass(frozen=True)
class Job:
    """What the process is to do.

    Attributes:
        pictures: Folder of the grey copies.
        folder: Where everything is written.
        groups: The pictures by camera.
        matching: As in `ImportConfig`.
        threads: How many threads it may use.
        seed: Of random draws.
    """

    pictures: str
    folder: str
    groups: list[Group]
    matching: str
    threads: int
    seed: int


@dataclass(frozen=True, eq=False)
class Mapped:
    """What was found.

    Attributes:
        model: Folder of the COLMAP model; None if no two pictures fit together.
        registered: Pictures whose cameras were found.
        error: Mean reprojection error of all points, pixels of the copies.
        errors: The same of each picture.
        points: Points that several pictures see [P, 3], in the model's frame.
        tracks: How many pictures see each [P].
    """

    model: Path | None
    registered: int
    error: float
    errors: dict[str, float]
    points: np.ndarray
    tracks: np.ndarray


class Child:
    """A process that is killed with this one."""

    def __init__(self) -> None:
        self._process: subprocess.Popen[str] | None = None
        self._interrupted = False

    def start(self, command: list[str], log: Path) -> subprocess.Popen[str]:
        """Start the process; its errors go to a file."""
        with open(log, "wb") as errors:
            self._process = subprocess.Popen(
                command,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=errors,
                text=True,
                start_new_session=True,  # Ctrl-C is answered by this process alone
                env=os.environ | {"PYTHONPATH": os.pathsep.join(path for path in sys.path if path)},
            )
        return self._process

    def interrupt(self) -> None:
        """End the process because a signal ends this one."""
        self._interrupted = True
        self._kill()

    def await_the_end(self) -> None:
        """Do nothing more if a signal is about to end this process: what has happened to the other is no failure."""
        if self._interrupted:
            time.sleep(_PATIENCE)

    def close(self) -> None:
        """End the process, if there is one."""
        self._kill()
        if self._process is not None:
            for pipe in (self._process.stdin, self._process.stdout):
                if pipe is not None:
                    pipe.close()

    def _kill(self) -> None:
        if self._process is not None and self._process.poll() is None:
            self._process.kill()
            with suppress(subprocess.TimeoutExpired):
                self._process.wait(_PATIENCE)


@contextmanager
def child_process() -> Iterator[Child]:
    """A process that does not outlive the block, however that ends; to be entered before folders are made for it."""
    child = Child()
    try:
        with cleaned_up(child.interrupt):
            yield child
    finally:
        child.close()


def check_available() -> None:
    """Raise `BackendError` if pycolmap is not installed; it is not loaded here."""
    from importlib.util import find_spec

    if find_spec("pycolmap") is None:
        require("pycolmap", "sfm")


def map_pictures(job: Job, child: Child, *, progress: bool, say: Callable[[str], None]) -> Mapped:
    """Find the cameras of pictures in a process of its own.

    Args:
        job: What to do.
        child: The process.
        progress: Whether to show progress bars (on a terminal only).
        say: Told what begins.

    Raises:
        BackendError: The process has ended by itself.
    """
    folder = Path(job.folder)
    write_json(folder / "job.json", asdict(job))
    process = child.start([sys.executable, "-m", f"{__package__}.worker", str(folder / "job.json")], folder / "log.txt")
    _follow(process, progress, say)
    if process.wait() != 0:
        child.await_the_end()
        raise BackendError(
            f"the process that places cameras has ended with code {process.returncode}{_last_line(folder)}"
        )
    return _result(folder)


def _follow(process: subprocess.Popen[str], progress: bool, say: Callable[[str], None]) -> None:
    """Show what the process reports until it ends."""
    assert process.stdout is not None
    current, bars = "", ExitStack()
    advance: Any = None
    with bars:
        for line in process.stdout:
            step = json.loads(line)
            if step["stage"] != current:
                bars.close()
                current = step["stage"]
                say(f"{STAGES[current]} …")
                advance = bars.enter_context(progress_bar(STAGES[current], step["total"], show=progress))
            advance(step["done"])


def _result(folder: Path) -> Mapped:
    summary = read_json(folder / "summary.json")
    if summary["registered"] == 0:
        return Mapped(None, 0, 0.0, {}, np.zeros((0, 3)), np.zeros(0, np.int64))
    points, tracks = read_npy(folder / "points.npy"), read_npy(folder / "tracks.npy")
    model = folder / "model"
    return Mapped(model, summary["registered"], summary["error"], summary["errors"], points, tracks)


def _last_line(folder: Path) -> str:
    """What the process has said last, for a message: a failed check of COLMAP's goes before a Python error."""
    with suppress(OSError):
        lines = [line.strip() for line in (folder / "log.txt").read_text(errors="replace").splitlines()]
        failed = [line.partition("] ")[2] for line in lines if _FAILED.match(line)]
        told = failed or [line for line in lines if line and not line.startswith(_TRACES)]
        if told:
            return f": {shortened(told[-1], _SHOWN)}"
    return ""
