"""`ultrafield segment`: rendered views, surface, graph, tree, levels, and label maps of every view."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import Annotated, Self

import tyro

from ..config import Engine, SegmentConfig
from ..pipeline.console import Report
from ..pipeline.folder import RunFolder
from ..pipeline.job import reopen_job
from ..pipeline.segment import check_evidence, is_segmented, segment
from ..pipeline.train import check_trained
from .options import CutsOption, Device, LinkageOption, MemoryLimit, RunArgument, with_shorthands


@dataclass(frozen=True)
class Segment(MemoryLimit):
    """Turn a trained run into a tree of 3D segments and label every view with it.

    Attributes:
        run: Run folder that `ultrafield train` wrote.
        engine: Where dissimilarity comes from; as trained if not given.
        linkage: Shorthand for --segment.linkage.
        cuts: Shorthand for --segment.cuts.
        device: Where to compute; auto takes CUDA if there is one.
        segment: From field to tree and labels; defaults are those of the run.
    """

    run: RunArgument
    engine: Annotated[Engine | None, tyro.conf.arg(metavar="{field,lift,both}")] = None
    linkage: LinkageOption = None
    cuts: CutsOption = None
    device: Device = "auto"
    segment: SegmentConfig = field(default_factory=SegmentConfig)

    def informed(self) -> Self:
        """Options with the settings stored in the run folder as defaults."""
        return type(self)(run=tyro.MISSING, segment=RunFolder(self.run).read_config().config.segment)

    def carry_out(self) -> None:
        """Write surface, tree and labels into the run folder."""
        report, run = Report(), RunFolder(self.run)
        stored = run.read_config().config
        settings = with_shorthands(self.segment, self.linkage, self.cuts)
        job = reopen_job(run, device=self.device, report=report)
        check_trained(job)
        fields = job.load_fields()
        job = job.with_config(replace(stored, engine=self.engine or stored.engine, segment=settings))
        check_evidence(job.scene, fields, job.config.engine)  # before these settings become the run's
        if is_segmented(job):
            report.note("segment: done before with these settings, kept")
        else:
            with run.owned():
                job.write_config()
                segment(job, fields)
        report.result(
            f"{run.root}: segmented; look at {run.root / 'contact_sheet.png'}, load {run.root / 'points.ply'}"
        )
