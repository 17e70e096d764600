"""A warm worker: an actor on the cluster that does one scene after another in one process."""

from __future__ import annotations

import errno
import os
import platform
import time
from dataclasses import dataclass, replace
from pathlib import Path

from .. import __version__
from ..budget import limit_memory
from ..config import Config
from ..errors import RunError, UltrafieldError
from ..interruption import Interrupted, ask
from ..io import write_json
from ..owner import BusyError
from ..pipeline.console import Report
from ..pipeline.folder import RunFolder
from ..pipeline.guard import explain
from ..pipeline.memory import give_back_memory
from ..pipeline.run import run_stages
from ..reading import read_json
from ..scene.options import SceneOptions
from .outcome import Fault, Outcome, State, now, read_outcome
from .storage import default_cache, fetched_run, fetched_scene, is_same_copy, local_path, send_run

_DYING = 30.0  # seconds
_DISK = (errno.ENOSPC, errno.EDQUOT, errno.EROFS)


@dataclass(frozen=True)
class Task:
    """All that a worker must know of a scene.

    Attributes:
        name: Name of the run folder.
        scene: Folder or URL.
        run: Run folder, a path or a URL.
        data: How the scene is read.
        config: Every setting.
        device: Where to compute: "cpu" or "cuda".
        overwrite: Whether to do every stage again.
    """

    name: str
    scene: str
    run: str
    data: SceneOptions
    config: Config
    device: str
    overwrite: bool = False


@dataclass(frozen=True)
class Setup:
    """What all workers are started with.

    Attributes:
        threads: Threads of the CPU kernels.
        memory: GiB that a worker may take; what its machine has, shared out among its workers, if None.
        share: Workers on one machine.
        cache: Folder for copies of what lies at URLs; one of the node's own user if None.
        versions: Versions that the command runs with; a worker with others does nothing.
    """

    threads: int
    memory: float | None
    share: int
    cache: Path | None
    versions: tuple[tuple[str, str], ...]


def versions_here() -> tuple[tuple[str, str], ...]:
    """Versions of all that must be the same on every node."""
    import ray

    return (
        ("ultrafield", __version__),
        ("Python", ".".join(platform.python_version_tuple()[:2])),
        ("ray", ray.__version__),
    )


class Worker:
    """Does scenes; what it imports and compiles is there for the next one.

    Args:
        setup: What it may take.
    """

    def __init__(self, setup: Setup) -> None:
        self._setup = setup
        for name in ("NUMBA_NUM_THREADS", "OMP_NUM_THREADS"):  # before they are imported
            os.environ[name] = str(setup.threads)
        os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
        limit_memory(_memory(setup))

    def run(self, task: Task) -> Outcome:
        """Do a scene; whatever goes wrong with it is told in the outcome."""
        node, begin = platform.node(), time.perf_counter()
        other = version_fault(self._setup.versions, versions_here(), node)
        if other is not None:
            return _failed(task, other, "version", node, 0.0)
        try:
            outcome = self._run(task, node, begin)
        except Interrupted:
            outcome = _failed(task, "interrupted", "other", node, time.perf_counter() - begin)
        except Exception as error:
            outcome = _failed(task, explain(error)[0], fault_of(error), node, time.perf_counter() - begin)
        give_back_memory()
        return replace(outcome, node_id=_node_id())

    def stop(self) -> bool:
        """Let a training save its state and end; returns whether there is one."""
        return ask()

    def _run(self, task: Task, node: str, begin: float) -> Outcome:
        cache = self._setup.cache or default_cache()
        scene = fetched_scene(task.scene, cache)
        run = RunFolder(fetched_run(task.run, cache))
        report = Report.silent()
        self._stages(run, scene, task, report)
        send_run(run.root, task.run)
        state: State = "done" if set(report.seconds) - {"load"} else "kept"
        seconds = time.perf_counter() - begin
        return read_outcome(run, name=task.name, scene=task.scene, state=state, node=node, seconds=seconds)

    def _stages(self, run: RunFolder, scene: Path, task: Task, report: Report) -> None:
        """Do all stages; a worker that lost its node may own the folder for some seconds yet."""
        ends = time.monotonic() + _DYING
        while True:
            try:
                if local_path(task.scene) is None:
                    follow_copy(run, scene)
                run_stages(
                    run,
                    scene,
                    task.data,
                    task.config,
                    device=task.device,
                    report=report,
                    overwrite=task.overwrite,
                )
                return
            except BusyError:
                if time.monotonic() > ends:
                    raise
                time.sleep(1.0)


def follow_copy(run: RunFolder, scene: Path) -> None:
    """Let a run name this node's copy of its scene, where it was made from the copy in another cache.

    Args:
        run: The run folder.
        scene: The copy.

    Raises:
        BusyError: Another process owns the run folder.
    """
    if not run.config_file.is_file():
        return
    stored, copy = run.read_config().scene, scene.resolve()
    if stored is None or stored == copy or not is_same_copy(stored, copy):
        return
    with run.owned():
        write_json(run.config_file, read_json(run.config_file, error=RunError) | {"scene": str(copy)})


def version_fault(asked: tuple[tuple[str, str], ...], found: tuple[tuple[str, str], ...], node: str) -> str | None:
    """How the versions of a node differ from those of the command, None if they do not."""
    differing = [
        f"{name} {theirs} instead of {ours}"
        for (name, ours), (_, theirs) in zip(asked, found, strict=True)
        if ours != theirs
    ]
    return f"node {node} has {', '.join(differing)}; install the same on every node" if differing else None


def fault_of(error: Exception) -> Fault:
    """What a scene failed by."""
    if isinstance(error, OSError) and error.errno in _DISK:
        return "disk"
    if isinstance(error, MemoryError) or (isinstance(error, RuntimeError) and "out of memory" in str(error).lower()):
        return "memory"
    return "scene" if isinstance(error, UltrafieldError) and error.exit_code == 2 else "other"


def _node_id() -> str:
    import ray

    return str(ray.get_runtime_context().get_node_id())


def _failed(task: Task, reason: str, fault: Fault, node: str, seconds: float) -> Outcome:
    return Outcome(task.name, task.scene, "failed", reason, fault, node, seconds=round(seconds, 3), finished=now())


def _memory(setup: Setup) -> float:
    """GiB that a worker may take: what was asked for, else its part of half of the machine's."""
    from ..budget import machine_memory

    return setup.memory or max(0.5, machine_memory() / 2 / setup.share / (1 << 30))
