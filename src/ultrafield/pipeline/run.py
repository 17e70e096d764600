"""All stages of a run in order, each skipped if it is done."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from ..config import Config
from ..scene import Scene
from ..scene.options import SceneOptions
from .console import Report
from .evaluate import evaluate_once
from .folder import RunFolder
from .job import Job, open_job
from .masks import with_masks
from .memory import peak_memory
from .segment import segment
from .train import is_trained, train


def run_stages(
    run: RunFolder, scene: Path | Scene, data: SceneOptions, config: Config, *, device: str, report: Report
) -> dict[str, Any] | None:
    """Bring a run folder up to date; returns its metrics, or None if there is nothing to compare with."""
    with report.stage("load"):
        job = open_job(scene, data, run, config, device=device, report=report)
    job = with_masks(job)
    job.write_config()
    _train_and_segment(job)
    metrics = evaluate_once(job)
    if set(report.seconds) - {"load"}:  # something was done
        seconds = {name: round(value, 3) for name, value in report.seconds.items()}
        run.log({"stage": "run", "seconds": seconds, "peak_bytes": peak_memory()})
    return metrics


def _train_and_segment(job: Job) -> None:
    fields = None
    if is_trained(job):
        job.report.note("train: done before, kept")
    else:
        fields = train(job)
    if job.run.records.finished("segment", job.stages.segment):
        job.report.note("segment: done before, kept")
        return
    segment(job, fields or job.load_fields())


def start_afresh(run: RunFolder, scene: Path | None, data: SceneOptions) -> None:
    """Forget earlier stages and the masks that this run made, if the folder is a run on this scene."""
    run.claim(scene)
    run.clear_masks(data.masks)
    run.records.forget_all()
