"""The stage that trains fields, and the question whether it is done."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ..config import Engine
from ..errors import RunError, SceneError, in_shell
from ..scene import Scene
from .ahead import loading_ahead
from .job import Job

if TYPE_CHECKING:
    from ..training import Fields


def train(job: Job, *, initial: Fields | None = None) -> Fields:
    """Train what the engine needs; what the folder holds of the same scene and settings is kept.

    Args:
        job: Its settings must be those in the run folder, which the caller owns.
        initial: Fields to start from; the digest of the job's source must then tell which they are.
    """
    if is_trained(job):
        say_kept(job)
        return job.load_fields()
    check_masks(job.scene, job.config.engine)
    _say_why(job)
    others = () if job.run.records.settings("render") == job.stages.geometry else ("render",)
    job.run.records.forget("train", "tree", "segment", "eval", "report", *others)
    return _fit(job, initial=initial)


def say_kept(job: Job) -> None:
    """Say that the folder holds trained fields, unless it was this command that trained them."""
    if "train" in job.report.seconds:
        return
    job.report.note(f"train: done before with these settings, kept (delete {job.run.root} to train anew)")


def _say_why(job: Job) -> None:
    """Say why what was trained before is not kept."""
    records, stages = job.run.records, job.stages
    known = (stages.train_geometry, stages.train, stages.train_with_features)
    matches = any(records.matches("train", settings) for settings in known)
    damage = records.damage("train")
    if damage is not None:
        job.report.note(f"train: {damage}; made again")
    elif records.ended("train") and not matches:
        job.report.note(
            "train: settings or content of the scene are others than before; training anew what depends on them"
        )


def _fit(job: Job, *, initial: Fields | None) -> Fields:
    """Train in the run folder and record the stage."""
    from ..training import fit

    with job.report.stage("train"), loading_ahead() as begin:
        fields = fit(
            job.scene,
            job.config,
            device=job.device,
            out=job.run.root,
            initial=initial,
            source=job.source.content,
            note=job.report.note,
            team=job.team,
            under_way=begin,
        )
    job.run.finish("train", job.stages.train, job.report.seconds["train"])
    return fields


def is_trained(job: Job) -> bool:
    """Whether the folder holds fields of the job's settings, of the scene as it is now.

    The engine `lift` uses the geometry that was trained with features as well.
    """
    stages = job.stages
    return any(job.run.records.finished("train", settings) for settings in (stages.train, stages.train_with_features))


def check_trained(job: Job) -> None:
    """Raise `RunError` unless the fields in the folder are those of the job's settings."""
    if not is_trained(job):
        damage = job.run.records.damage("train")
        unfinished = f"{job.run.root}: training with its settings on the scene as it is now is not finished"
        raise RunError(
            f"{damage or unfinished}; finish it, with the same options, by: "
            f"ultrafield train {in_shell(job.scene.root)} --out {in_shell(job.run.root)}"
        )


def check_masks(scene: Scene, engine: Engine) -> None:
    """Raise `SceneError` if features are to be trained and a training view has no masks, before geometry is trained."""
    lacking = [view.name for view in scene.train if view.masks is None]
    if engine != "lift":
        check_some_masks(scene)
    if engine != "lift" and lacking:
        raise SceneError(
            f"{scene.source}: --engine {engine} needs masks of every training view; {len(lacking)} of "
            f"{len(scene.train)} have none (first: {lacking[0]}); `ultrafield run` makes those that are missing"
        )


def check_some_masks(scene: Scene) -> None:
    """Raise `SceneError` if there are files or folders for masks, but no training view has a mask."""
    counts = [len(view.masks) for view in scene.train if view.masks is not None]
    if counts and not any(counts):
        raise SceneError(
            f"{scene.source}: {len(counts)} of {len(scene.train)} training views have a folder or an id map for masks, "
            "but none of them holds a mask; remove them and `ultrafield run` makes masks, or name others with --masks"
        )


def keep_fields(job: Job, fields: Fields) -> None:
    """Put fields that were trained elsewhere, with the job's settings, into the run folder, which the caller owns."""
    from ..training import FIELD_FILE, geometry_source, save_fields

    job.run.records.forget("train", "render", "tree", "segment", "eval", "report")
    content = job.source.content
    save_fields(
        job.run.root / FIELD_FILE,
        fields,
        seed=job.config.seed,
        source=geometry_source(content, job.config),
        masks=content.masks,
    )
    job.run.finish("train", job.stages.train, 0.0)


def trained_digests(job: Job) -> dict[str, str]:
    """Digests of the parameters that the folder's field file holds: "geometry" and, if there are any, "features"."""
    from ..training import FIELD_FILE
    from ..training.checkpoint import stored_settings

    return stored_settings(job.run.root / FIELD_FILE).digests


def made_from_geometry(job: Job) -> dict[str, str]:
    """What rendered views are made from."""
    return {"geometry": trained_digests(job)["geometry"]}


def made_from_fields(job: Job) -> dict[str, str]:
    """What a segmentation is made from, once the views are rendered."""
    digests = trained_digests(job)
    used = ("geometry",) if job.config.engine == "lift" else ("geometry", "features")
    return {name: digests.get(name, "") for name in used} | {"render": job.run.records.content("render")}
