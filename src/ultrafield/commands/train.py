"""`ultrafield train`: geometry, and features with the engines that need them."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Annotated, Self

import tyro

from ..errors import in_shell
from ..pipeline.ahead import begin_early
from ..pipeline.console import Report
from ..pipeline.folder import RunFolder
from ..pipeline.job import open_job
from ..pipeline.train import check_masks, is_trained, say_kept, train
from ..sharing.gpus import gpu_team
from .options import (
    Device,
    MemoryLimit,
    MethodOptions,
    RunOption,
    SceneArgument,
    SceneOptions,
    Unprefixed,
    announced_config,
)


@dataclass(frozen=True)
class Train(MemoryLimit):
    """Train density and colour on a scene, and features if the engine is `field` or `both`.

    Attributes:
        scene: Folder of pictures and cameras.
        out: Run folder to write; an interrupted training in it goes on.
        device: Where to compute; auto takes CUDA if there is one.
        gpus: GPUs of this machine that share the training.
        data: How the scene is read.
        method: What is computed.
    """

    scene: SceneArgument
    out: RunOption
    device: Device = "auto"
    gpus: int = 1
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
        """Train and write the run folder."""
        report, run = Report(), RunFolder(self.out)
        config = announced_config(self.method, self.device, report)
        with gpu_team(self.gpus, self.device) as team:
            job = open_job(self.scene, self.data, run, config, device=self.device, report=report, team=team)
            check_masks(job.scene, config.engine)
            if is_trained(job):
                say_kept(job)
            else:
                with run.owned():
                    job.write_config()
                    train(job)
        report.result(f"{run.root}: trained; next: ultrafield segment {in_shell(run.root)}")
