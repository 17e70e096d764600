"""`ultrafield import`: a scene folder from photographs, a video, or another program's model."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated

import tyro

from ..capture.settings import ImportConfig
from ..errors import in_shell
from ..pipeline.console import Report
from .options import MemoryLimit, Switch, Unprefixed


@dataclass(frozen=True)
class ImportOptions(ImportConfig):
    __doc__ = ImportConfig.__doc__

    frames: Annotated[int | None, tyro.conf.arg(metavar="INT")] = None
    rate: Annotated[float | None, tyro.conf.arg(metavar="FLOAT")] = None
    undistort: Switch = False
    keep_all: Switch = False
    keep_frame: Switch = False
    threads: Annotated[int | None, tyro.conf.arg(metavar="INT")] = None


@dataclass(frozen=True)
class Import(MemoryLimit):
    """Make a scene folder (transforms.json, images) from photographs, a video, or a model of another program.

    Attributes:
        source: Folder of photographs; video; or a model: COLMAP, LLFF, 3D Gaussian splatting, Metashape,
            RealityCapture, Polycam, Record3D, nerfstudio.
        out: Folder to write.
        overwrite: Replace a folder that was imported here before.
        images: Folder of a model's pictures, where they do not lie beside it.
        allow_missing: Continue however many of a model's pictures are not on disk; up to a third is accepted anyway.
        options: How cameras are found.
    """

    source: Annotated[Path, tyro.conf.Positional, tyro.conf.arg(metavar="SRC")]
    out: Annotated[Path, tyro.conf.Positional, tyro.conf.arg(metavar="OUT")]
    overwrite: Switch = False
    images: Annotated[Path | None, tyro.conf.arg(metavar="DIR")] = None
    allow_missing: Switch = False
    options: Annotated[ImportOptions, Unprefixed] = field(default_factory=ImportOptions)

    def informed(self) -> None:
        """Nothing that is parsed changes the defaults."""

    def carry_out(self) -> None:
        """Write the scene folder."""
        from ..capture import import_scene

        report = Report()
        with report.stage("import"):
            import_scene(
                self.source,
                self.out,
                self.options,
                images=self.images,
                allow_missing=True if self.allow_missing else None,
                overwrite=self.overwrite,
                say=report.note,
            )
        report.result(f"{self.out}: ready; next: ultrafield run {in_shell(self.out)} --out RUN")
