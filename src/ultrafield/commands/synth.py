"""`ultrafield synth`: a dataset with exact ground truth from a scene graph."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated

import tyro

from ..errors import in_shell
from ..pipeline.console import Report
from ..synth.dataset import SynthConfig
from .options import MemoryLimit, Switch, Unprefixed


@dataclass(frozen=True)
class Synth(MemoryLimit):
    """Ray-cast a scene graph (GLB, OBJ, …) into a Blender-HS dataset with exact ground truth and masks like SAM's.

    Attributes:
        source: Scene graph that trimesh can read, or `still-life` for the built-in one.
        out: Folder to write.
        overwrite: Replace a dataset that was made here before.
        options: What is rendered.
    """

    source: Annotated[str, tyro.conf.Positional, tyro.conf.arg(metavar="SRC")]
    out: Annotated[Path, tyro.conf.Positional, tyro.conf.arg(metavar="OUT")]
    overwrite: Switch = False
    options: Annotated[SynthConfig, Unprefixed] = field(default_factory=SynthConfig)

    def informed(self) -> None:
        """Nothing that is parsed changes the defaults."""

    def carry_out(self) -> None:
        """Write the dataset."""
        from ..synth import synthesize

        report = Report()
        with report.stage("synthesize"):
            source = None if self.source == "still-life" else Path(self.source)
            synthesize(source, self.out, self.options, overwrite=self.overwrite)
        report.result(f"{self.out}: ready; next: ultrafield run {in_shell(self.out)} --out RUN")
