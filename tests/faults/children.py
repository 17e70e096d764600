"""Commands carried out in forked children and measured, and the folders that they change."""

from __future__ import annotations

import gc
import hashlib
import os
import re
import resource
import signal
import sys
import tempfile
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

SECONDS, MEGABYTES = 20, 1536  # of a processor, and of memory; more is a failure
WAITING = 4  # how many times as long a command may take on a machine that has other things to do


@dataclass
class Outcome:
    """How a command ended."""

    words: list[str]
    code: int
    out: str
    err: str
    seconds: float
    megabytes: float
    faults: list[str] = field(default_factory=list)

    def __str__(self) -> str:
        return f"{self.faults}: {self.words!r}: code {self.code}: {self.err[-400:]!r}"

    @property
    def errors(self) -> list[str]:
        """The lines on stderr that say what is wrong."""
        return [line for line in self.err.splitlines() if re.match(r"[\w.]+: error: ", line)]


def warm_up(*, training: bool = True) -> None:
    """Import what commands import, so that children need not; threads, which do not survive a fork, are not started.

    Args:
        training: Whether to import what only training needs, too.
    """
    os.environ["CUDA_VISIBLE_DEVICES"] = ""  # its libraries alone take a gigabyte, and forked children cannot use it
    import pkgutil
    from importlib import import_module

    import torch

    import ultrafield

    for module in pkgutil.walk_packages(ultrafield.__path__, "ultrafield."):
        needed = training or ".kernels" not in module.name
        if needed and not module.name.endswith(("_gpu", "__main__")) and ".cuda" not in module.name:
            import_module(module.name)
    for name in ("cv2", "scipy.spatial", "scipy.spatial.transform", "trimesh", "higra", "PIL.Image"):
        import_module(name)
    torch.set_num_threads(1)
    gc.freeze()  # a collection in a child would else copy all memory that it shares with its parent


def load_kernels() -> None:
    """Load compiled kernels, but none that run on several threads: numba starts these as it loads such a kernel."""
    from ultrafield.kernels.compile import load_stored

    for name, module in list(sys.modules.items()):
        if name.startswith("ultrafield.") and name.endswith("_cpu"):
            options = [getattr(kernel, "targetoptions", {}) for kernel in vars(module).values()]
            if not any(known.get("parallel") for known in options):
                load_stored(module)


def forked(action: Callable[[], int], place: Path) -> Outcome:
    """Run in a child process, in a folder; it is killed if it takes too long."""
    with tempfile.TemporaryFile() as out, tempfile.TemporaryFile() as err:
        start = time.monotonic()
        child = os.fork()
        if child == 0:
            _child(action, place, out.fileno(), err.fileno())
        hung = False
        while True:
            done, status, usage = os.wait4(child, os.WNOHANG)
            if done:
                break
            if time.monotonic() - start > WAITING * SECONDS and not hung:
                hung = True
                os.kill(child, signal.SIGKILL)
            time.sleep(0.01)
        texts = []
        for stream in (out, err):
            stream.seek(0)
            texts.append(stream.read().decode("utf-8", "replace"))
        seconds = time.monotonic() - start
        outcome = Outcome([], os.waitstatus_to_exitcode(status), *texts, seconds, usage.ru_maxrss / 1024)
        outcome.faults += ["hangs"] if hung or outcome.code == -signal.SIGXCPU else []
        return outcome


def common_faults(outcome: Outcome) -> list[str]:
    """What must not be, whatever was asked for."""
    faults = []
    if outcome.code not in (0, 1, 2):
        faults.append(f"exit code {outcome.code}")
    if "Traceback" in outcome.err or "a defect of ultrafield" in outcome.err:
        faults.append("a defect")
    if outcome.megabytes > MEGABYTES:
        faults.append(f"{outcome.megabytes:.0f} MB")
    return faults


def digests(folder: Path) -> dict[str, str]:
    """What lies below a folder, by path."""
    found = {}
    for root, folders, files in os.walk(folder):
        below = "" if root == str(folder) else os.path.relpath(root, folder)
        for name in (*folders, *files):
            path = os.path.join(root, name)
            if os.path.islink(path):
                content = os.readlink(path)
            elif os.path.isfile(path):
                size = os.path.getsize(path)
                with open(path, "rb") as file:  # of what is larger than any honest file, the beginning is enough
                    content = f"{size} {hashlib.sha256(file.read(min(size, 1 << 26))).hexdigest()}"
            else:
                content = "other"
            found[os.path.join(below, name)] = content
    return found


def _child(action: Callable[[], int], place: Path, out: int, err: int) -> None:
    code = 99
    try:
        resource.setrlimit(resource.RLIMIT_CPU, (SECONDS, SECONDS + 1))
        os.chdir(place)
        os.dup2(out, 1)
        os.dup2(err, 2)
        os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
        sys.stdout = open(1, "w", encoding="utf-8", errors="surrogateescape", closefd=False)  # noqa: SIM115
        sys.stderr = open(2, "w", encoding="utf-8", errors="backslashreplace", closefd=False)  # noqa: SIM115
        try:
            code = action()
        except SystemExit as end:
            code = end.code if isinstance(end.code, int) else 0 if end.code is None else 98
        except BaseException:
            import traceback

            traceback.print_exc()
        for stream in (sys.stdout, sys.stderr):
            with suppress(OSError, ValueError):
                stream.flush()
    finally:
        os._exit(code)
