"""`ultrafield render`: pictures of colour, depth and features, and an orbit video."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from ..config.ranges import Range, check_settings
from ..pipeline.console import Report
from ..pipeline.folder import RunFolder
from ..pipeline.job import Job, reopen_job
from ..pipeline.render import render_views, write_orbit, write_pictures
from ..pipeline.train import check_trained
from .options import MEMORY, Device, MemoryLimit, RunArgument

_LIMITS = MEMORY | {"frames": Range(0, 10_000)}

if TYPE_CHECKING:
    from ..training import Fields


@dataclass(frozen=True)
class Render(MemoryLimit):
    """Write colour, depth and feature pictures of every view, and a video around the scene.

    Attributes:
        run: Run folder that `ultrafield train` wrote.
        frames: Frames of the video; 0 for no video.
        device: Where to compute; auto takes CUDA if there is one.
    """

    run: RunArgument
    frames: int = 90
    device: Device = "auto"

    def __post_init__(self) -> None:
        super().__post_init__()
        check_settings(self, _LIMITS)

    def informed(self) -> None:
        """Nothing that is parsed changes the defaults."""

    def carry_out(self) -> None:
        """Write RUN/renders."""
        from ..training import posed

        report = Report()
        job = reopen_job(RunFolder(self.run), device=self.device, report=report)
        check_trained(job)
        fields = job.load_fields()
        job = replace(job, scene=posed(job.scene, fields.geometry))
        with job.run.owned():
            self._render(job, fields)

    def _render(self, job: Job, fields: Fields) -> None:
        report = job.report
        render_views(job, fields)
        with report.stage("pictures"):
            write_pictures(job, fields)
        report.result(f"{job.run.root / 'renders'}: pictures of {', '.join(job.scene.splits)}")
        if self.frames > 0:
            with report.stage("orbit"):
                video = write_orbit(job, fields.geometry, self.frames)
            report.result(f"{video}: {self.frames} frames")
