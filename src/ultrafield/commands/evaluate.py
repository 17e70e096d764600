"""`ultrafield eval`: picture quality, covering and view consistency of a run."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Any

import tyro

from ..config.ranges import SEED, Range, check_settings
from ..errors import RunError, in_shell
from ..pipeline.console import Report, figure
from ..pipeline.evaluate import evaluate, evaluate_once
from ..pipeline.folder import RunFolder
from ..pipeline.job import Job, reopen_job
from ..pipeline.segment import is_segmented, why_not_segmented
from .options import MEMORY, MemoryLimit, RunArgument, Switch

_LIMITS = MEMORY | {"sampling": Range(1, 1_000_000), "seed": SEED}


@dataclass(frozen=True)
class Evaluate(MemoryLimit):
    """Compare a segmented run with held-out pictures and with ground truth, where there are any.

    Attributes:
        run: Run folder that `ultrafield segment` wrote.
        sampling: Random points per ground-truth mask (published: 100); exact expectations if not given.
        seed: Seed of the sampling.
        published: Compute view consistency as the published script does: half-pixel offset, 8-bit depth.
    """

    run: RunArgument
    sampling: Annotated[int | None, tyro.conf.arg(metavar="INT")] = None
    seed: int = 0
    published: Switch = False

    def __post_init__(self) -> None:
        super().__post_init__()
        check_settings(self, _LIMITS)

    def informed(self) -> None:
        """Nothing that is parsed changes the defaults."""

    def carry_out(self) -> None:
        """Write metrics.json and print the table."""
        report, run = Report(), RunFolder(self.run)
        job = reopen_job(run, device="cpu", report=report)
        if not is_segmented(job):
            raise RunError(f"{why_not_segmented(job)}; next: ultrafield segment {in_shell(run.root)}")
        metrics = self._metrics(job)
        if metrics is not None:
            print_metrics(metrics, report)
            report.result(f"{run.root / 'metrics.json'}")

    def _metrics(self, job: Job) -> dict[str, Any] | None:
        if (self.sampling, self.seed, self.published) == (None, 0, False):
            return evaluate_once(job)
        with job.run.owned():
            return evaluate(job, sampling=self.sampling, seed=self.seed, published=self.published)


def print_metrics(metrics: dict[str, Any], report: Report) -> None:
    """Print the means as tables, and why something is missing."""
    pictures = [[name.upper(), figure(_mean(metrics[name]), digits)] for name, digits in (("psnr", 2), ("ssim", 4))]
    if metrics["psnr"] is not None:
        if metrics.get("psnr_exposure") is not None:
            pictures.insert(1, ["PSNR at their exposure", figure(_mean(metrics["psnr_exposure"]), 2)])
        report.table("Held-out pictures", ["", "mean"], pictures)
    depth = metrics.get("depth")
    if depth is not None:
        off = [[f"off by more than {limit} footprints", figure(share, 4)] for limit, share in depth["off"].items()]
        others = [
            ["median error, footprints", figure(depth["median"])],
            ["transparent", figure(depth["transparent"], 4)],
        ]
        report.table("Depth of the foreground", ["", "share of pixels"], off + others)
    names = {"nc": "NC", "nc_dense": "NC-dense", "vc": "VC", "vc_truth": "VC of the ground truth"}
    rows = [
        [title, *(figure(value) for value in metrics[name]["levels"].values()), figure(metrics[name]["mean"])]
        for name, title in names.items()
        if metrics[name] is not None
    ]
    if rows:
        report.table("Segmentation", ["", "parts", "objects", "foreground", "mean"], rows)
    for reason in dict.fromkeys(metrics["missing"].values()):
        absent = [name for name, why in metrics["missing"].items() if why == reason]
        report.note(f"not computed: {', '.join(absent)} ({reason})")


def _mean(metric: dict[str, Any] | None) -> float | None:
    return None if metric is None else metric["mean"]
