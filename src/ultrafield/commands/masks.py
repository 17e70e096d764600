"""`ultrafield masks`: 2D masks of every training view."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Annotated, Literal

import tyro

from ..types import Scene
from .console import Report
from .options import SceneArgument, SceneOptions, Unprefixed
from .parallel import in_threads
from .train import open_scene

MaskModel = Literal["watershed"]


@dataclass(frozen=True)
class Masks:
    """Cut every training picture into nested masks and write them with their hierarchy.

    Attributes:
        scene: Folder of pictures and cameras.
        model: Where masks come from; watershed needs no downloaded weights.
        out: Folder to hold train_seg/ and train_seg_hierarchy/; the scene folder if not given.
        data: How the scene is read.
    """

    scene: SceneArgument
    model: MaskModel = "watershed"
    out: Annotated[Path | None, tyro.conf.arg(metavar="DIR", aliases=("-o",))] = None
    data: Annotated[SceneOptions, Unprefixed] = field(default_factory=SceneOptions)

    def informed(self) -> None:
        """Nothing that is parsed changes the defaults."""

    def execute(self) -> None:
        """Write the masks."""
        report = Report()
        scene = open_scene(self.scene, self.data, report)
        out = self.out or self.scene
        count = make_masks(scene, out, report)
        report.result(f"{out / 'train_seg'}: {count} masks of {len(scene.train)} views")


def make_masks(scene: Scene, out: Path, report: Report) -> int:
    """Write watershed masks of every training view below `out`; returns how many there are.

    A view's masks are written when all of them are known, so an interrupt leaves whole views only.
    """
    from ..masks import watershed_masks, write_masks

    count = 0
    with report.stage("masks"):
        found = in_threads(lambda view: watershed_masks(view.image), scene.train)
        for view, masks in report.track(zip(scene.train, found, strict=True), len(scene.train), "masks"):
            write_masks(out, "train", view.name, masks)
            count += len(masks)
    return count


def attach_masks(scene: Scene, root: Path) -> Scene:
    """The scene with the masks of its training views that lie below `root`."""
    from ..masks import read_masks

    sizes = [(int(height), int(width)) for width, height in scene.train.cameras.sizes]
    views = tuple(
        replace(view, masks=read_masks(root, "train", view.name, size))
        for view, size in zip(scene.train, sizes, strict=True)
    )
    return replace(scene, splits=scene.splits | {"train": replace(scene.train, views=views)})
