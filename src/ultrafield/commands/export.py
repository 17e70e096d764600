"""`ultrafield export`: segments for other programs."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Literal

import tyro

from ..config.ranges import check_number
from ..errors import ConfigError
from ..pipeline.console import Report
from .options import MEMORY, MemoryLimit, RunArgument, Switch, check_place

FormatChoice = Literal["ply", "glb", "usd", "coco", "panoptic", "png", "laz", "scannet", "splats"]


@dataclass(frozen=True)
class Export(MemoryLimit):
    """Write the segments for other programs: points, meshes, pictures, or labels for a file of yours.

    Everything is in your frame and units; labels.json beside it says what each id means. See docs/export.md.

    Attributes:
        run: Run folder that `ultrafield segment` wrote.
        to: The format; not needed with --onto.
        onto: Point cloud, mesh or (with --to splats) Gaussians of yours that get labels.
        level: Levels by number (0 is the coarsest), name, or height (with a point); the automatic ones if not given.
        node: The only node to export; of png, masks that show it alone.
        split: Level whose segments get a file each.
        distance: How far from the surface a point of --onto has a label, in your units; three spacings if not given.
        faces: Triangles of all meshes together, about.
        features: Give GLB meshes a feature id for each level (EXT_mesh_features).
        colors: Colours of meshes: those of the photographs or of the segments.
        y_up: Turn GLB files from z up to the y up that viewers of glTF expect.
        out: Folder to write, or a .ply, .glb, .usdc or .laz file; RUN/exports/FORMAT if not given.
        overwrite: Replace an earlier export.
    """

    run: RunArgument
    to: Annotated[FormatChoice | None, tyro.conf.arg(metavar="FORMAT")] = None
    onto: Annotated[Path | None, tyro.conf.arg(metavar="FILE")] = None
    level: Annotated[tuple[str, ...], tyro.conf.arg(metavar="LEVEL…")] = ()
    node: Annotated[int | None, tyro.conf.arg(metavar="ID")] = None
    split: Annotated[str | None, tyro.conf.arg(metavar="LEVEL")] = None
    distance: Annotated[float | None, tyro.conf.arg(metavar="FLOAT")] = None
    faces: int = 200_000
    features: Switch = False
    colors: Literal["photo", "segments"] = "photo"
    y_up: Switch = False
    out: Annotated[Path | None, tyro.conf.arg(metavar="PATH", aliases=("-o",))] = None
    overwrite: Switch = False

    def __post_init__(self) -> None:
        check_number("memory", self.memory, float, MEMORY["memory"], optional=True)
        for place in (self.run, self.onto, self.out):
            if place is not None:
                check_place(place)
        if self.to is None and self.onto is None:
            raise ConfigError("expected a format, or a file of yours with --onto", setting="to")

    def informed(self) -> None:
        """Nothing that is parsed changes the defaults."""

    def carry_out(self) -> None:
        """Write the export and say where it is."""
        from ..pipeline.export import ExportOptions, export_segmentation
        from ..pipeline.segmentation import open_run

        options = ExportOptions(
            to=self.to or "onto",
            level=self.level,
            node=self.node,
            split=self.split,
            onto=self.onto,
            distance=self.distance,
            faces=self.faces,
            features=self.features,
            colors=self.colors,
            y_up=self.y_up,
            overwrite=self.overwrite,
        )
        report, segmentation = Report(), open_run(self.run)
        with report.stage("export"):
            out = export_segmentation(segmentation, self.out or self._place(options.to), options, report=report)
        report.result(str(out))

    def _place(self, to: str) -> Path:
        """Where an export goes that has no place of its own."""
        return self.run / "exports" / (to if self.node is None else f"{to}_{self.node}")
