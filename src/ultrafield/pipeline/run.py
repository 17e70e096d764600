"""All stages of a run in order, each skipped if it is done."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

from ..config import Config
from ..scene import Scene
from ..scene.options import SceneOptions
from ..sharing import Team
from .console import Report
from .edits import structure_of
from .evaluate import evaluate_once
from .folder import RunFolder
from .job import Job, open_job
from .masks import with_masks
from .memory import peak_memory
from .render import render_views
from .report import report_once
from .segment import is_segmented, segment
from .train import made_from_fields, train


def run_stages(
    run: RunFolder,
    scene: Path | Scene,
    data: SceneOptions,
    config: Config,
    *,
    device: str,
    report: Report,
    overwrite: bool = False,
    team: Team | None = None,
) -> dict[str, Any] | None:
    """Bring a run folder up to date; returns its metrics, or None if there is nothing to compare with.

    The folder is owned from the first write on; nothing is written where nothing is to do.

    Args:
        run: The run folder.
        scene: A scene folder, or a scene in memory.
        data: How a scene folder is read.
        config: Every setting.
        device: Where to compute.
        report: Where progress is printed.
        overwrite: Whether to do every stage again.
        team: Processes with a GPU each that share training and votes; None for this one alone.
    """
    with report.stage("load"):
        job = open_job(scene, data, run, config, device=device, report=report, team=team)
    if overwrite:
        with run.owned():
            start_afresh(job)
    if run.records.fault is not None:
        report.note(run.records.fault)
    job = with_masks(job)
    if is_segmented(job):
        report.note("train: done before, kept")
        report.note("segment: done before, kept")
    else:
        with run.owned():
            job.write_config()
            _train_and_segment(job)
    metrics = evaluate_once(job)
    if set(report.seconds) - {"load"}:  # something was done
        seconds = {name: round(value, 3) for name, value in report.seconds.items()}
        with run.owned():
            job.write_config()
            run.log({"stage": "run", "seconds": seconds, "peak_bytes": peak_memory(), "peaks": report.peaks})
    report_once(job)
    return metrics


def _train_and_segment(job: Job) -> None:
    """Do both stages, in a folder that is owned; what another process did before it was is seen now."""
    from ..training import posed

    fields = train(job)
    if job.run.records.damaged("render"):
        render_views(replace(job, scene=posed(job.scene, fields.geometry)), fields)
    if is_segmented(job):
        job.report.note("segment: done before, kept")
        return
    damage = job.run.records.damage("segment")
    made_from = {**made_from_fields(job), **structure_of(job.run)}
    if damage is not None and job.run.records.matches("segment", job.stages.segment, made_from):
        job.report.note(f"segment: {damage}; made again")
    segment(job, fields)


def start_afresh(job: Job) -> None:
    """Forget earlier stages, and remove the masks and the fields that this run made; the folder is owned."""
    job.run.records.forget_all()
    job.run.clear_masks(job.source.data.masks)
    for name in ("field.safetensors", "state.pt"):
        (job.run.root / name).unlink(missing_ok=True)
