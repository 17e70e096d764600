"""The stage that makes masks where a scene has none."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np

from ..errors import SceneError
from ..parallel import in_threads
from ..scene import Scene, View
from .console import Report
from .job import Job
from .stages import Stages, fingerprint


def with_masks(job: Job) -> Job:
    """The job on a scene whose training views all have masks; missing ones are made in the run folder.

    Views that have masks keep them: they are copied beside the new ones.
    """
    if job.scene.has_masks:
        return job
    settings = _settings(job)
    if job.run.records.finished("masks", settings):
        job.report.note("masks: done before, kept")
    else:
        with job.run.owned():
            _make_missing(job, settings)
    scene = attach_masks(job.scene, job.run.masks)
    source = job.source.with_masks(job.run.masks, scene)
    return replace(job, scene=scene, source=source, stages=Stages.of(source, job.config))


def _settings(job: Job) -> str:
    return fingerprint(job.stages.source, "watershed")


def _make_missing(job: Job, settings: str) -> None:
    run, views = job.run, job.scene.train.views
    if not run.config_file.is_file():
        job.write_config()  # from here on the folder is known as a run, even if this is cut short
    damage = run.records.damage("masks")
    if damage is not None and run.records.matches("masks", settings):
        job.report.note(f"masks: {damage}; made again")
    run.records.forget("masks")
    run.clear_masks(job.source.data.masks)
    lacking = [view for view in views if view.masks is None]
    if len(lacking) < len(views):
        job.report.note(
            f"masks: {len(views) - len(lacking)} views have masks, copied to {run.masks}; "
            f"making those of the other {len(lacking)}"
        )
        copy_masks(views, run.masks)
    make_masks(lacking, run.masks, job.report)
    run.finish("masks", settings, job.report.seconds["masks"])


def make_masks(views: Sequence[View], out: Path, report: Report) -> int:
    """Write watershed masks of training views below `out`; returns how many there are.

    A view's masks are written when all of them are known, so an interrupt leaves whole views only.
    """
    from ..masks import watershed_masks, write_masks

    def cut(view: View) -> np.ndarray:
        assert view.image is not None  # a training view
        return watershed_masks(view.image)

    count = 0
    with report.stage("masks"):
        masks_of_views = in_threads(cut, views)
        for view, masks in report.track(zip(views, masks_of_views, strict=True), len(views), "masks"):
            write_masks(out, "train", view.name, masks)
            count += len(masks)
    return count


def check_target(scene: Scene, out: Path, *, overwrite: bool) -> None:
    """Raise `SceneError`, before anything is written, if files that may be somebody's work lie where masks go."""
    from ..masks import check_writable, find_work

    for view in scene.train:
        file = None if overwrite else find_work(out, "train", view.name)
        if file is not None:
            raise SceneError(
                f"{file}: lies where the masks of training view {view.name} go, and may be your work; choose another "
                "folder with --out, or replace masks with --overwrite"
            )
        check_writable(out, "train", view.name)


def copy_masks(views: Sequence[View], out: Path) -> None:
    """Write the masks that views have, at working size, below `out`."""
    from ..masks import write_masks

    for view in views:
        if view.masks is not None:
            write_masks(out, "train", view.name, view.masks.masks())


def attach_masks(scene: Scene, root: Path) -> Scene:
    """The scene with the masks of its training views that lie below `root`."""
    from ..masks import read_masks

    sizes = [(int(height), int(width)) for width, height in scene.train.normalised_cameras.sizes]
    views = tuple(
        replace(view, masks=read_masks(root, "train", view.name, size))
        for view, size in zip(scene.train, sizes, strict=True)
    )
    return replace(scene, splits=scene.splits | {"train": replace(scene.train, views=views)})
