"""`ultrafield run`: from a scene folder to labels, metrics and a contact sheet, skipping what is done already."""

from __future__ import annotations

from dataclasses import dataclass, field
from importlib import import_module
from typing import Annotated, Self

import tyro

from ..parallel import in_background
from ..pipeline.ahead import begin_early
from ..pipeline.console import Report, figure
from ..pipeline.folder import RunFolder
from ..pipeline.run import run_stages
from ..pipeline.stages import STAGES
from ..sharing.gpus import gpu_team
from .evaluate import print_metrics
from .options import (
    Device,
    MemoryLimit,
    MethodOptions,
    RunOption,
    SceneArgument,
    SceneOptions,
    Switch,
    Unprefixed,
    announced_config,
)


@dataclass(frozen=True)
class Run(MemoryLimit):
    """Do all that is not done yet: masks of views that have none, train, segment, and evaluate what can be compared.

    Attributes:
        scene: Folder of pictures and cameras; it is never changed.
        out: Run folder to write; stages that are done in it with the same settings are skipped.
        overwrite: Do every stage again.
        device: Where to compute; auto takes CUDA if there is one.
        gpus: GPUs of this machine that share training and votes.
        no_serve: Do the work in this process even if `ultrafield serve` runs.
        data: How the scene is read.
        method: What is computed.
    """

    scene: SceneArgument
    out: RunOption
    overwrite: Switch = False
    device: Device = "auto"
    gpus: int = 1
    no_serve: Switch = False
    data: Annotated[SceneOptions, Unprefixed] = field(default_factory=SceneOptions)
    method: Annotated[MethodOptions, Unprefixed] = field(default_factory=MethodOptions)

    @classmethod
    def with_defaults(cls, method: MethodOptions) -> Self:
        """Options whose settings default to `method`."""
        return cls(scene=tyro.MISSING, out=tyro.MISSING, method=method)

    def informed(self) -> Self | None:
        """Options with the defaults of the preset that `auto` stands for, where it is not the draft.

        What can be done while PyTorch is imported, which choosing a preset may do, is begun.
        """
        begin_early(self.scene, self.data, device=self.device, memory=self.memory)
        method = self.method.informed(self.device)
        return None if method is None else self.with_defaults(method)

    def carry_out(self) -> None:
        """Do what is not done yet, then print tables and paths."""
        report, run = Report(), RunFolder(self.out)
        config = announced_config(self.method, self.device, report)
        with gpu_team(self.gpus, self.device) as team, in_background() as submit:
            submit(wake, self.device)  # while the scene is read
            metrics = run_stages(
                run,
                self.scene,
                self.data,
                config,
                device=self.device,
                report=report,
                overwrite=self.overwrite,
                team=team,
            )
        if metrics is not None:
            print_metrics(metrics, report)
        print_seconds(run, report)
        print_results(run, report)


def wake(device: Device) -> None:
    """Import what training needs, and start the device."""
    import torch

    from ..training import resolve_device

    target = resolve_device(device)
    torch.zeros(1, device=target)
    import_module("ultrafield.training.trainers")
    if target.type == "cuda":
        import_module("ultrafield.training.cuda.geometry")


def print_seconds(run: RunFolder, report: Report) -> None:
    """Print the seconds of every stage, whenever it was done."""
    seconds = run.records.seconds()
    rows = [[name, figure(seconds[name], 1)] for name in STAGES if name in seconds]
    report.table("Stages", ["", "seconds"], rows)


def print_results(run: RunFolder, report: Report) -> None:
    """Say where to look."""
    for name in ("report.html", "contact_sheet.png", "views", "points.ply", "tree.json", "metrics.json"):
        if (run.root / name).exists():
            report.result(str(run.root / name))
