"""The stage that makes masks where a scene has none."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from ..errors import SceneError
from ..owner import owned
from ..parallel import in_threads, workers_for
from ..scene import Scene, View
from .console import Report
from .job import Job
from .stages import Stages, fingerprint

if TYPE_CHECKING:
    from ..masks import MaskJournal


def with_masks(job: Job) -> Job:
    """The job on a scene whose training views all have masks; missing ones are made in the run folder.

    Views that have masks keep them: they are copied beside the new ones.

    Raises:
        SceneError: There are files or folders for masks, but no training view has a mask.
    """
    check_some_masks(job.scene)
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


def check_some_masks(scene: Scene) -> None:
    """Raise `SceneError` if there are files or folders for masks, but no training view has a mask."""
    counts = [len(view.masks) for view in scene.train if view.masks is not None]
    if counts and not any(counts):
        raise SceneError(
            f"{scene.source}: {len(counts)} of {len(scene.train)} training views have a folder or an id map for masks, "
            "but none of them holds a mask; remove them and `ultrafield run` makes masks, or name others with --masks"
        )


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


def make_masks(views: Sequence[View], out: Path, report: Report, *, journal: MaskJournal | None = None) -> int:
    """Write watershed masks of training views below `out`; returns how many there are.

    A view's masks appear when all of them are written, so an interrupt leaves whole views only.

    Args:
        views: Training views.
        out: Folder to hold `train_seg` and `train_seg_hierarchy`.
        report: Where progress is printed.
        journal: Notes down what is about to appear.
    """
    from ..masks import write_masks
    from ..masks.watershed import NestedMasks, cut_bytes, watershed_cut

    def cut(view: View) -> NestedMasks:
        return watershed_cut(_picture(view))

    count = 0
    workers = workers_for(max((cut_bytes(_picture(view)) for view in views), default=0), most=4)
    with report.stage("masks"):
        masks_of_views = in_threads(cut, views, workers=workers)
        for view, masks in report.track(zip(views, masks_of_views, strict=True), len(views), "masks"):
            announce = None if journal is None else journal.announcing(view.name, _picture(view))
            write_masks(out, "train", view.name, masks, announce=announce)
            count += len(masks)
    return count


def complete_masks(scene: Scene, out: Path, report: Report, *, overwrite: bool) -> int:
    """Make the masks of training views that are not done yet; returns how many masks there are then.

    Args:
        scene: The scene.
        out: Folder to hold `train_seg` and `train_seg_hierarchy`.
        report: Where progress is printed.
        overwrite: Whether to replace masks that the program did not make.

    Raises:
        SceneError: Files that may be somebody's work lie where masks go; no view's masks were changed.
        BusyError: Another process works there.
    """
    from ..masks import MaskJournal
    from ..masks.watershed import METHOD

    journal = MaskJournal(out, "train", METHOD)
    if not views_to_make(scene, journal, overwrite=overwrite) and not journal.has_leftovers():
        report.note("masks: done before, kept")
        return sum(journal.count(view.name) for view in scene.train)
    with owned(out):
        journal = MaskJournal(out, "train", METHOD)  # read again: another process may have written in between
        journal.recover([view.name for view in scene.train])
        views = views_to_make(scene, journal, overwrite=overwrite)
        making = {view.name for view in views}
        kept = [view.name for view in scene.train if view.name not in making]
        if kept:
            report.note(f"masks: {len(kept)} of {len(scene.train)} views done before, kept")
        count = sum(journal.count(name) for name in kept)
        return count + (make_masks(views, out, report, journal=journal) if views else 0)


def views_to_make(scene: Scene, journal: MaskJournal, *, overwrite: bool) -> list[View]:
    """The training views whose masks are missing, or were made from another picture, or are to be replaced.

    Raises:
        SceneError: Files that may be somebody's work lie where their masks go.
    """
    from ..masks import check_writable

    views = []
    for view in scene.train:
        state = journal.state(view.name, _picture(view))
        if state == "foreign" and not overwrite:
            raise SceneError(
                f"{journal.find_work(view.name)}: lies where the masks of training view {view.name} go, and may be "
                "your work; choose another folder with --out, or replace masks with --overwrite"
            )
        if state != "done":
            check_writable(journal.root, journal.split, view.name)
            views.append(view)
    return views


def copy_masks(views: Sequence[View], out: Path) -> None:
    """Write the masks that views have, at working size, below `out`."""
    from ..masks import write_masks

    for view in views:
        if view.masks is not None:
            write_masks(out, "train", view.name, view.masks)


def attach_masks(scene: Scene, root: Path) -> Scene:
    """The scene with the masks of its training views that lie below `root`."""
    from ..masks import MaskFolder, read_masks

    folder = MaskFolder(root)
    sizes = [(int(height), int(width)) for width, height in scene.train.normalised_cameras.sizes]
    views = tuple(
        replace(view, masks=read_masks(folder, "train", view.name, size))
        for view, size in zip(scene.train, sizes, strict=True)
    )
    return replace(scene, splits=scene.splits | {"train": replace(scene.train, views=views)})


def _picture(view: View) -> np.ndarray:
    assert view.image is not None  # a training view
    return view.image
