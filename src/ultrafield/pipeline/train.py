"""The stage that trains fields, and the question whether it is done."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ..config import Engine
from ..errors import RunError, SceneError
from ..scene import Scene
from .job import Job

if TYPE_CHECKING:
    from ..training import Fields

_FIELD_FILE = "field.safetensors"


def train(job: Job, *, initial: Fields | None = None) -> Fields:
    """Train what the engine needs; what the folder holds of the same scene and settings is kept.

    Of later stages' results only renderings outlive training, and these only if the geometry they show is kept.

    Args:
        job: Its settings must be those in the run folder.
        initial: Fields to start from, whatever the folder holds.
    """
    if initial is None and is_trained(job):
        job.report.note(f"train: done before with these settings, kept (delete {job.run.root} to train anew)")
        return job.load_fields()
    check_masks(job.scene, job.config.engine)
    resumes = initial is None and job.run.records.begun("source", job.stages.source)
    _forget_later_stages(job, resumes=resumes)
    job.run.records.begin("source", job.stages.source)
    job.run.records.begin("train", job.stages.train)
    return _fit(job, resumes=resumes, initial=initial)


def _forget_later_stages(job: Job, *, resumes: bool) -> None:
    """Drop the records of results that this training makes stale; say so if it replaces an earlier one."""
    run = job.run
    geometry_stays = resumes and _has_fields(job) and run.records.finished("render", job.stages.geometry)
    run.records.forget("segment", "eval", *(() if geometry_stays else ("render",)))
    if "train" in run.records.seconds():
        job.report.note(
            "train: settings or files of the scene are others than before; training anew what depends on them"
        )
    if not resumes:
        (run.root / "log.jsonl").unlink(missing_ok=True)


def _fit(job: Job, *, resumes: bool, initial: Fields | None) -> Fields:
    """Train in the run folder and record the stage."""
    from ..training import fit

    with job.report.stage("train"):
        fields = fit(job.scene, job.config, device=job.device, out=job.run.root, resume=resumes, initial=initial)
    job.run.records.finish("train", job.stages.train, job.report.seconds["train"])
    return fields


def is_trained(job: Job) -> bool:
    """Whether the folder holds fields of the job's settings, of the scene as it is now.

    The engine `lift` uses the geometry that was trained with features as well.
    """
    stages = job.stages
    return _has_fields(job) and any(
        job.run.records.finished("train", settings) for settings in (stages.train, stages.train_with_features)
    )


def check_trained(job: Job) -> None:
    """Raise `RunError` unless the fields in the folder are those of the job's settings."""
    if not is_trained(job):
        raise RunError(
            f"{job.run.root}: training with its settings on the scene as it is now is not finished; finish it, with "
            f"the same options, by: ultrafield train {job.scene.root} --out {job.run.root}"
        )


def check_masks(scene: Scene, engine: Engine) -> None:
    """Raise `SceneError` if features are to be trained and a training view has no masks, before geometry is trained."""
    lacking = [view.name for view in scene.train if view.masks is None]
    if engine != "lift" and lacking:
        raise SceneError(
            f"{scene.source}: --engine {engine} needs masks of every training view; {len(lacking)} of "
            f"{len(scene.train)} have none (first: {lacking[0]}); `ultrafield run` makes those that are missing"
        )


def keep_fields(job: Job, fields: Fields) -> None:
    """Put fields that were trained elsewhere, with the job's settings, into the run folder."""
    from ..training import FIELD_FILE, save_fields

    job.run.records.forget("render", "segment", "eval")
    job.run.records.begin("source", job.stages.source)
    save_fields(job.run.root / FIELD_FILE, fields, seed=job.config.seed)
    job.run.records.finish("train", job.stages.train, 0.0)


def _has_fields(job: Job) -> bool:
    return (job.run.root / _FIELD_FILE).is_file()
