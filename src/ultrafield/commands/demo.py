"""`ultrafield demo`: the whole pipeline on the built-in scene, with both engines on one geometry."""

from __future__ import annotations

from dataclasses import asdict, dataclass, fields, replace
from pathlib import Path
from typing import Any

from ..config import Config, Engine, preset
from ..config.ranges import check_settings
from ..errors import RunError, in_shell
from ..io import write_json
from ..owner import owned
from ..pipeline.console import Report, figure
from ..pipeline.folder import RunFolder
from ..pipeline.run import run_stages
from ..pipeline.stages import STAGES
from ..reading import read_json
from ..synth.dataset import LIMITS
from .options import MEMORY, Device, MemoryLimit, SceneOptions, Switch

ENGINES: tuple[Engine, ...] = ("lift", "field")  # the first one trains the geometry that both use

_GEOMETRY_STEPS, _SAMPLES, _RAYS = 600, 7 << 12, 2048
_FEATURE_STEPS = 300
_CUTS = 30


@dataclass(frozen=True)
class Demo(MemoryLimit):
    """Build a small scene, turn it into a tree of 3D segments with both engines, and show numbers and pictures.

    Attributes:
        out: Folder to write; scene, run folders and pictures go there.
        seed: Seed of every random draw.
        overwrite: Do everything again, scene included.
        device: Where to compute; auto takes CUDA if there is one.
        size: Width and height of the pictures, pixels.
        train_views: Training views.
        val_views: Validation views, and as many rotated ones.
    """

    out: Path = Path("demo")
    seed: int = 0
    overwrite: Switch = False
    device: Device = "auto"
    size: int = 128
    train_views: int = 40
    val_views: int = 4

    def __post_init__(self) -> None:
        super().__post_init__()
        check_settings(self, MEMORY | LIMITS)

    def informed(self) -> None:
        """Nothing that is parsed changes the defaults."""

    def carry_out(self) -> None:
        """Run everything, then print the tables."""
        for engine in ENGINES:
            RunFolder(self.out / engine).claim(self.out / "scene")
        self._read_record(self.out / "scene.json")
        with owned(self.out):
            self._run()

    def _run(self) -> None:
        report = Report()
        scene, built = self._scene(report)
        metrics: dict[str, dict[str, Any] | None] = {}
        for engine in ENGINES:
            run = RunFolder(self.out / engine)
            config = replace(demo_config(), engine=engine, seed=self.seed)
            report.note(f"engine {engine}")
            if engine != ENGINES[0] and (built or not (run.root / "stages.json").is_file()):
                with run.owned():
                    run.adopt_geometry(RunFolder(self.out / ENGINES[0]))
            metrics[engine] = run_stages(
                run,
                scene,
                SceneOptions(),
                config,
                device=self.device,
                report=Report(),
                overwrite=built and engine == ENGINES[0],
            )
        self._print(metrics, report)

    def _scene(self, report: Report) -> tuple[Path, bool]:
        """The folder of the built-in scene, and whether it had to be made: it was not there, or of other options."""
        from ..synth import SynthConfig, synthesize

        folder, record = self.out / "scene", self.out / "scene.json"
        earlier = self._read_record(record)
        options = SynthConfig(size=self.size, train_views=self.train_views, val_views=self.val_views, seed=self.seed)
        made = (folder / "transforms_train.json").is_file()
        if made and not self.overwrite and earlier == asdict(options):
            report.note("scene: done before, kept")
            return folder, False
        if made and earlier is not None and not self.overwrite:
            report.note("scene: there is one of other options; it is built anew, and all that follows done again")
        with report.stage("scene"):
            synthesize(None, folder, options, overwrite=self.overwrite or earlier is not None)
        write_json(record, asdict(options))
        return folder, True

    def _read_record(self, file: Path) -> dict[str, Any] | None:
        """The options of the scene that an earlier demo made, None if there was none; `RunError` for another file."""
        from ..synth import SynthConfig

        if not file.is_file():
            return None
        record = read_json(file)
        if not isinstance(record, dict) or set(record) != {item.name for item in fields(SynthConfig)}:
            raise RunError(f"{file}: not written by the demo; give it a folder of its own with --out")
        return record

    def _print(self, metrics: dict[str, dict[str, Any] | None], report: Report) -> None:
        quality = [["", "PSNR", "SSIM", "NC", "NC-dense", "VC", "VC of the truth"]]
        for engine, values in metrics.items():
            names = ("psnr", "ssim", "nc", "nc_dense", "vc", "vc_truth")
            means = [None if values is None or values[name] is None else values[name]["mean"] for name in names]
            digits = (2, 4, 3, 3, 3, 3)
            quality.append([engine, *(figure(mean, count) for mean, count in zip(means, digits, strict=True))])
        report.table("Quality", quality[0], quality[1:])
        seconds = {engine: RunFolder(self.out / engine).records.seconds() for engine in metrics}
        done = [stage for stage in STAGES if any(stage in spent for spent in seconds.values())]
        rows = [[stage, *(figure(spent.get(stage), 1) for spent in seconds.values())] for stage in done]
        report.table("Seconds", ["", *seconds], rows)
        report.result("\nPictures: photograph, rendering, and the automatic levels from fine to coarse")
        for engine in metrics:
            report.result(f"  {self.out / engine / 'contact_sheet.png'}")
        report.result(f"""
Next steps
  ultrafield render {in_shell(self.out / ENGINES[-1])}          pictures of colour, depth and features, and a video
  ultrafield segment {in_shell(self.out / ENGINES[-1])} --linkage single    the same features, another tree
  ultrafield run SCENE --out RUN        your own photographs""")


def demo_config() -> Config:
    """The draft preset, shortened to what the small scene needs."""
    base = preset("draft")
    return replace(
        base,
        geometry=replace(
            base.geometry,
            steps=_GEOMETRY_STEPS,
            samples=_SAMPLES,
            rays=_RAYS,
            occupancy_resolution=64,
            planar_weight=0.0,  # so few steps gain nothing by planes and finer cells, which take a seventh of the time
        ),
        features=replace(base.features, steps=_FEATURE_STEPS),
        segment=replace(base.segment, cuts=_CUTS),
    )
