"""`ultrafield masks`: 2D masks of every training view."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Literal

import tyro

from ..pipeline.console import Report
from ..pipeline.job import open_scene
from ..pipeline.masks import complete_masks
from .options import MemoryLimit, SceneArgument, SceneOptions, Switch, Unprefixed

MaskModel = Literal["watershed"]


@dataclass(frozen=True)
class Masks(MemoryLimit):
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

    def carry_out(self) -> None:
        """Write the masks."""
        report = Report()
        scene = open_scene(self.scene, self.data, report, with_masks=False)
        out = self.out or scene.root or self.scene
        count = complete_masks(scene, out, report, overwrite=self.overwrite)
        report.result(f"{out / 'train_seg'}: {count} masks of {len(scene.train)} views")
