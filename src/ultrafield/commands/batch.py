"""`ultrafield batch`: many scenes on a Ray cluster, or on all of this machine."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Any, Self

import tyro

from ..batch.cluster import alive_nodes, choose_device, connect, share_out
from ..batch.dispatch import Dispatcher, Plan
from ..batch.entries import Entry, read_entries
from ..batch.outcome import Outcome
from ..batch.page import PAGE
from ..batch.results import Results
from ..batch.storage import check_reachable, joined, local_path
from ..batch.table import TABLE
from ..batch.worker import Setup, Task, versions_here
from ..config import Preset, check_memory
from ..config.ranges import Range, Ranges, check_number
from ..errors import UltrafieldError
from ..interruption import delayed
from ..pipeline.console import Report
from ..progress import progress_bar
from .batch_options import settings_of
from .options import MEMORY, Device, MemoryLimit, MethodOptions, SceneOptions, Switch, Unprefixed, check_place

_LIMITS: Ranges = {"cores": Range(1, 1024), "per_gpu": Range(1, 64), "retries": Range(0, 100)}
_SHOWN = 3  # failed scenes that the last line names


@dataclass(frozen=True)
class Batch(MemoryLimit):
    """Do what `run` does for many scenes: on a Ray cluster, or on all GPUs or CPUs of this machine.

    Attributes:
        scenes: Scene folders, URLs, patterns in quotes, or CSV tables with the columns scene, perhaps name, and options
            of `run` for single scenes.
        out: Folder or URL that gets a run folder for each scene, results.parquet and batch.html; scenes that are done
            in it with the same settings are skipped.
        address: Ray cluster, HOST:PORT or auto; without it and RAY_ADDRESS, one that listens on this host alone.
        per_gpu: Scenes that share a GPU; two if not given.
        cores: CPUs for each worker; without GPUs four if not given.
        retries: How often a scene is begun again after its worker or node has died.
        cache: Folder on each node for copies of what lies at URLs; in the user's cache if not given.
        overwrite: Do every stage of all scenes again.
        device: Where to compute; auto takes CUDA if the cluster has a GPU.
        data: How scenes are read.
        method: What is computed.
    """

    scenes: Annotated[tuple[str, ...], tyro.conf.Positional, tyro.conf.arg(metavar="SCENES")]
    out: Annotated[str, tyro.conf.arg(metavar="RUNS", aliases=("-o",))]
    address: Annotated[str | None, tyro.conf.arg(metavar="HOST:PORT")] = None
    per_gpu: Annotated[int | None, tyro.conf.arg(metavar="INT")] = None
    cores: Annotated[int | None, tyro.conf.arg(metavar="INT")] = None
    retries: int = 2
    cache: Annotated[Path | None, tyro.conf.arg(metavar="DIR")] = None
    overwrite: Switch = False
    device: Device = "auto"
    data: Annotated[SceneOptions, Unprefixed] = field(default_factory=SceneOptions)
    method: Annotated[MethodOptions, Unprefixed] = field(default_factory=MethodOptions)

    @classmethod
    def with_defaults(cls, method: MethodOptions) -> Self:
        """Options whose settings default to `method`."""
        return cls(scenes=tyro.MISSING, out=tyro.MISSING, method=method)

    def __post_init__(self) -> None:
        super().__post_init__()
        check_number("memory", self.memory, float, MEMORY["memory"], optional=True)
        for name, limits in _LIMITS.items():
            check_number(name, getattr(self, name), int, limits, optional=name != "retries")
        for place in (*self.scenes, self.out) if isinstance(self.scenes, tuple) else ():
            local = local_path(place)
            if local is not None:
                check_place(local)
        if isinstance(self.out, str):
            check_reachable(self.out, "--out")

    def informed(self) -> Self | None:
        """Options with the defaults of the preset that `auto` stands for, where the cluster has GPUs."""
        if self.method.preset != "auto" or self._preset() == "draft":
            return None
        return self.with_defaults(MethodOptions.of_preset("standard"))

    def _preset(self) -> Preset:
        """The preset that is meant: for `auto`, standard where there are GPUs and draft elsewhere."""
        if self.method.preset != "auto":
            return self.method.preset
        if self.device != "auto":
            return "standard" if self.device == "cuda" else "draft"
        read_entries(self.scenes)  # what is wrong with them is said before anything is started
        nodes = alive_nodes(connect(self.address))
        return "standard" if choose_device(nodes, self.device) == "cuda" else "draft"

    def carry_out(self) -> None:
        """Do what is not done yet, then print what came of it.

        Raises:
            UltrafieldError: Some scenes failed.
        """
        report, entries = Report(), read_entries(self.scenes)
        settings = [settings_of(entry, self.data, self.method) for entry in entries]
        results = Results(self.out)
        ray = connect(self.address)
        try:
            nodes = alive_nodes(ray)
            device, preset = choose_device(nodes, self.device), self._preset()
            tasks = [self._task(entry, one, device, preset) for entry, one in zip(entries, settings, strict=True)]
            plan = self._plan(nodes, device)
            report.note(_announcement(len(tasks), nodes, plan, device))
            with results.owned(), delayed() as interrupted:
                outcomes = _dispatched(ray, tasks, plan, results, report, interrupted)
                if interrupted():
                    results.write()
                    ray.shutdown()
        finally:
            ray.shutdown()
        self._conclude(outcomes, report)

    def _task(self, entry: Entry, settings: Any, device: str, preset: Preset) -> Task:
        method: MethodOptions = settings.method
        config = method.config(preset if method.preset == "auto" else method.preset)
        check_memory(config)
        place = local_path(entry.scene)
        return Task(
            entry.name,
            entry.scene if place is None else str(place.absolute()),
            joined(
                self.out if local_path(self.out) is None else str(Path(joined(self.out, "")).absolute()), entry.name
            ),
            settings.data.resolved(),
            config,
            device,
            self.overwrite,
        )

    def _plan(self, nodes: list[Any], device: str) -> Plan:
        shares = share_out(nodes, device, per_gpu=self.per_gpu, cores=self.cores)
        cache = None if self.cache is None else self.cache.absolute()
        return Plan(shares, Setup(shares.threads, self.memory, shares.most, cache, versions_here()), self.retries)

    def _conclude(self, outcomes: list[Outcome], report: Report) -> None:
        """Print counts and paths; raise `UltrafieldError` if scenes failed."""
        counts = Counter(outcome.state for outcome in outcomes)
        report.result(
            f"{len(outcomes)} scenes: {counts['done']} done, {counts['kept']} done before, {counts['failed']} failed"
        )
        for name in (PAGE, TABLE):
            report.result(joined(self.out, name))
        failed = [outcome for outcome in outcomes if outcome.state == "failed"]
        if failed:
            named = "; ".join(f"{outcome.name}: {outcome.reason}" for outcome in failed[:_SHOWN])
            more = f"; and {len(failed) - _SHOWN} more" if len(failed) > _SHOWN else ""
            raise UltrafieldError(f"{len(failed)} of {len(outcomes)} scenes failed ({named}{more})")


def _announcement(count: int, nodes: list[Any], plan: Plan, device: str) -> str:
    workers = sum(map(plan.shares.slots, nodes))
    where = "this machine" if len(nodes) == 1 else f"{len(nodes)} nodes"
    each = f"{plan.shares.threads} threads" + (f" and {plan.shares.gpu:.2g} GPU" if device == "cuda" else "")
    return f"{count} scenes, {where}, room for {workers} workers with {each} each"


def _dispatched(
    ray: Any, tasks: list[Task], plan: Plan, results: Results, report: Report, interrupted: Callable[[], bool]
) -> list[Outcome]:
    """Do all scenes, with a bar over them on a terminal and a line for each elsewhere."""
    outcomes: list[Outcome] = []
    with progress_bar("batch", len(tasks), console=report.notes) as advance:

        def finished(outcome: Outcome) -> None:
            outcomes.append(outcome)
            results.add(outcome)
            advance(len(outcomes))
            said = outcome.reason if outcome.state == "failed" else f"{outcome.seconds:.1f} s"
            report.note(f"[{len(outcomes)}/{len(tasks)}] {outcome.name}: {outcome.state}, {said}")

        Dispatcher(ray, tasks, plan, finished=finished, note=report.note, interrupted=interrupted).run()
    return outcomes
