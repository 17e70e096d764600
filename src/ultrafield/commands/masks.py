"""`ultrafield masks`: 2D masks of every training view."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Annotated, Literal

import tyro

from ..errors import SceneError
from ..parallel import in_threads
from ..pipeline.console import Report
from ..scene import Scene, View
from .options import SceneArgument, SceneOptions, Switch, Unprefixed
from .train import open_scene

MaskModel = Literal["watershed"]


@dataclass(frozen=True)
class Masks:
    """Cut every training picture into nested masks and write them with their hierarchy.

    Attributes:
        scene: Folder of pictures and cameras.
        model: Where masks come from; watershed needs no downloaded weights.
        out: Folder to hold train_seg/ and train_seg_hierarchy/; the scene folder if not given.
        overwrite: Replace masks (NUMBER.png, and their hierarchy) that are there; no other file is removed.
        data: How the scene is read.
    """

    scene: SceneArgument
    model: MaskModel = "watershed"
    out: Annotated[Path | None, tyro.conf.arg(metavar="DIR", aliases=("-o",))] = None
    overwrite: Switch = False
    data: Annotated[SceneOptions, Unprefixed] = field(default_factory=SceneOptions)

    def informed(self) -> None:
        """Nothing that is parsed changes the defaults."""

    def execute(self) -> None:
        """Write the masks."""
        report = Report()
        scene = open_scene(self.scene, self.data, report)
        out = self.out or self.scene
        _check_target(scene, out, overwrite=self.overwrite)
        count = make_masks(scene.train.views, out, report)
        report.result(f"{out / 'train_seg'}: {count} masks of {len(scene.train)} views")


def _check_target(scene: Scene, out: Path, *, overwrite: bool) -> None:
    """Raise `SceneError`, before anything is written, if the target has files that may be somebody's work."""
    from ..masks import check_writable, find_work

    for view in scene.train:
        found = None if overwrite else find_work(out, "train", view.name)
        if found is not None:
            raise SceneError(
                f"{found}: lies where the masks of training view {view.name} go, and may be your work; choose another "
                "folder with --out, or replace masks with --overwrite"
            )
        check_writable(out, "train", view.name)


def make_masks(views: Sequence[View], out: Path, report: Report) -> int:
    """Write watershed masks of training views below `out`; returns how many there are.

    A view's masks are written when all of them are known, so an interrupt leaves whole views only.
    """
    from ..masks import watershed_masks, write_masks

    count = 0
    with report.stage("masks"):
        found = in_threads(lambda view: watershed_masks(view.image), views)
        for view, masks in report.track(zip(views, found, strict=True), len(views), "masks"):
            write_masks(out, "train", view.name, masks)
            count += len(masks)
    return count


def copy_masks(views: Sequence[View], out: Path) -> None:
    """Write the masks that views have, at working size, below `out`."""
    from ..masks import write_masks

    for view in views:
        if view.masks is not None:
            write_masks(out, "train", view.name, view.masks.masks())


def attach_masks(scene: Scene, root: Path) -> Scene:
    """The scene with the masks of its training views that lie below `root`."""
    from ..masks import read_masks

    sizes = [(int(height), int(width)) for width, height in scene.train.cameras.sizes]
    views = tuple(
        replace(view, masks=read_masks(root, "train", view.name, size))
        for view, size in zip(scene.train, sizes, strict=True)
    )
    return replace(scene, splits=scene.splits | {"train": replace(scene.train, views=views)})
