"""The stage that makes masks where a scene has none."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
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
from .render import is_rendered, render_views
from .stages import Stages, fingerprint
from .train import check_some_masks, train

if TYPE_CHECKING:
    from ..masks import MaskJournal
    from ..masks.relief import ViewDepth

    ReadDepth = Callable[[View], ViewDepth]


def with_masks(job: Job) -> Job:
    """The job on a scene whose training views all have masks; missing ones are made in the run folder.

    Geometry is trained first, since steps and creases of the surface tell things apart that colours do not; only where
    its training needs masks itself (`geometry.depth_smooth`) are they made from the pictures alone. Views that have
    masks keep them: they are copied beside the new ones.

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


def _settings(job: Job) -> str:
    from ..masks.watershed import METHOD, METHOD_WITH_DEPTH

    content = job.source.content
    if job.config.geometry.depth_smooth:
        return fingerprint(content.pictures, content.masks, METHOD)
    return fingerprint(job.stages.geometry, content.masks, METHOD_WITH_DEPTH)


def _depth_reader(job: Job) -> ReadDepth | None:
    """How to get the depth map of a training view, from geometry that is trained now if it is not yet.

    None if the training of geometry needs masks.
    """
    from ..masks.relief import ViewDepth
    from ..training import posed

    if job.config.geometry.depth_smooth:
        return None
    if not is_rendered(job):
        geometry = job.with_config(replace(job.config, engine="lift"))
        fields = train(geometry)
        render_views(replace(geometry, scene=posed(job.scene, fields.geometry)), fields)
    cameras = job.scene.train.normalised_cameras
    intrinsics = {view.name: cameras.intrinsics[index] for index, view in enumerate(job.scene.train)}

    def read(view: View) -> ViewDepth:
        return ViewDepth(job.run.read_depth("train", view.name), intrinsics[view.name])

    return read


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
    make_masks(lacking, run.masks, job.report, depth_of=_depth_reader(job))
    run.finish("masks", settings, job.report.seconds["masks"])


def make_masks(
    views: Sequence[View],
    out: Path,
    report: Report,
    *,
    journal: MaskJournal | None = None,
    depth_of: ReadDepth | None = None,
) -> int:
    """Write watershed masks of training views below `out`; returns how many there are.

    A view's masks appear when all of them are written, so an interrupt leaves whole views only.

    Args:
        views: Training views.
        out: Folder to hold `train_seg` and `train_seg_hierarchy`.
        report: Where progress is printed.
        journal: Notes down what is about to appear.
        depth_of: Gives the depth map of a view; by default the pictures alone decide.
    """
    from ..masks import write_masks
    from ..masks.watershed import NestedMasks, cut_bytes, watershed_cut

    def cut(view: View) -> NestedMasks:
        return watershed_cut(picture_of(view), None if depth_of is None else depth_of(view))

    count = 0
    workers = workers_for(max((cut_bytes(picture_of(view).shape) for view in views), default=0), most=4)
    with report.stage("masks"):
        masks_of_views = in_threads(cut, views, workers=workers)
        for view, masks in report.track(zip(views, masks_of_views, strict=True), len(views), "masks"):
            announce = None if journal is None else journal.announcing(view.name, picture_of(view))
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
    from ..masks.claims import Claims
    from ..masks.watershed import METHOD

    journal = MaskJournal(out, "train", METHOD)
    if not views_to_make(scene.train, journal, overwrite=overwrite) and not journal.has_leftovers():
        report.note("masks: done before, kept")
        return sum(journal.count(view.name) for view in scene.train)
    with owned(out):
        journal = MaskJournal(out, "train", METHOD)  # read again: another process may have written in between
        Claims(out, "train").check_none()
        journal.recover([view.name for view in scene.train])
        views = views_to_make(scene.train, journal, overwrite=overwrite)
        making = {view.name for view in views}
        kept = [view.name for view in scene.train if view.name not in making]
        if kept:
            report.note(f"masks: {len(kept)} of {len(scene.train)} views done before, kept")
        count = sum(journal.count(name) for name in kept)
        return count + (make_masks(views, out, report, journal=journal) if views else 0)


def views_to_make(training: Iterable[View], journal: MaskJournal, *, overwrite: bool) -> list[View]:
    """The training views whose masks are missing, or were made from another picture, or are to be replaced.

    Raises:
        SceneError: Files that may be somebody's work lie where their masks go.
    """
    from ..masks import check_writable

    views = []
    for view in training:
        state = journal.state(view.name, picture_of(view))
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
    from ..scene.views import masks_fit

    folder = MaskFolder(root)
    sizes = [(int(height), int(width)) for width, height in scene.train.normalised_cameras.sizes]
    compressed = not masks_fit(sizes)

    def attached(view: View, size: tuple[int, int]) -> View:
        masks = read_masks(folder, "train", view.name, size)
        return view.changed(masks=masks.compressed() if masks is not None and compressed else masks)

    views = tuple(attached(view, size) for view, size in zip(scene.train, sizes, strict=True))
    return replace(scene, splits=scene.splits | {"train": replace(scene.train, views=views)})


def picture_of(view: View) -> np.ndarray:
    """The picture of a training view [H, W, 3] uint8."""
    image = view.image
    assert image is not None  # a training view
    return image
