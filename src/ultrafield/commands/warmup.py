"""`ultrafield warmup`: compile every kernel once, so that the first run of a scene does not pay for it."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

from rich.console import Console

from ..config import Config, Engine, preset
from ..interruption import cleaned_up
from ..pipeline.console import Report, figure
from ..pipeline.folder import RunFolder
from ..pipeline.run import run_stages
from .options import Device, MemoryLimit, PresetChoice, SceneOptions, choose_preset

_ROUNDS = ("first", "again")
_STEPS = {"cpu": (24, 8), "cuda": (128, 32)}  # of geometry and features; enough to have a surface to segment
# Width of the pictures and training views: on CUDA as many pixels as a step of the largest preset's features takes.
_SCENE = {"cpu": (32, 6), "cuda": (64, 10)}


@dataclass(frozen=True)
class Warmup(MemoryLimit):
    """Compile all kernels by running the whole pipeline on a tiny scene, in a folder that is removed afterwards.

    What was compiled is kept on disk, by numba beside the package and by Triton in its cache; later processes load it.

    Attributes:
        device: Where to compute; auto takes CUDA if there is one.
        preset: Whose sizes to compile for; auto takes standard with CUDA and draft without.
    """

    device: Device = "auto"
    preset: PresetChoice = "auto"

    def informed(self) -> None:
        """Nothing that is parsed changes the defaults."""

    def carry_out(self) -> None:
        """Run everything twice, then print the seconds of both times."""
        from ..training import resolve_device

        report, kind = Report(), resolve_device(self.device).type
        name, reason = choose_preset(self.preset, self.device)
        report.note(f"preset {name} ({reason})")
        config = warmup_config(preset(name), kind)
        seconds: dict[str, dict[str, float]] = {}
        with _temporary_folder() as folder:
            scene = _make_scene(folder / "scene", kind)
            for time in _ROUNDS:
                with report.stage(time):
                    seconds[time] = run_all(
                        scene, folder / time, config, self.device, lambda: Report(notes=Console(quiet=True))
                    )
        rows = [[stage, *(figure(seconds[time][stage], 2) for time in _ROUNDS)] for stage in seconds["first"]]
        rows.append(["all", *(figure(report.seconds[time], 2) for time in _ROUNDS)])
        report.table("Seconds", ["", *_ROUNDS], rows)


def load_kernels(device: Device) -> None:
    """Compile or load all kernels of the preset that `auto` stands for, for the rest of the process."""
    from ..training import resolve_device

    kind = resolve_device(device).type
    config = warmup_config(preset(choose_preset("auto", device)[0]), kind)
    with _temporary_folder() as folder:
        run_all(_make_scene(folder / "scene", kind), folder / "run", config, device, Report.silent)


def run_all(
    scene: Path, out: Path, config: Config, device: Device, new_report: Callable[[], Report]
) -> dict[str, float]:
    """Seconds of every stage of both engines, the second one on the geometry of the first."""
    lift, field = RunFolder(out / "lift"), RunFolder(out / "field")
    seconds: dict[str, float] = {}
    runs: dict[Engine, RunFolder] = {"lift": lift, "field": field}
    for engine, run in runs.items():
        if run is field:
            with run.owned():
                run.adopt_geometry(lift)
        report = new_report()
        run_stages(run, scene, SceneOptions(), replace(config, engine=engine), device=device, report=report)
        whole = {stage: value for stage, value in report.seconds.items() if "/" not in stage}
        seconds |= {f"{engine}: {stage}": value for stage, value in whole.items()}
    return seconds


@contextmanager
def _temporary_folder() -> Iterator[Path]:
    """A folder that is removed afterwards, by a signal too."""
    with tempfile.TemporaryDirectory(prefix="ultrafield-") as name:
        folder = Path(name)
        with cleaned_up(partial(shutil.rmtree, folder, ignore_errors=True)):
            yield folder


def warmup_config(config: Config, kind: str) -> Config:
    """A preset's settings with few steps; numba, on the CPU, compiles for all sizes, Triton for those of the preset.

    Kernels are the same for a density, which shows something after few steps already; a surface does not.
    """
    geometry_steps, feature_steps = _STEPS[kind]
    geometry = replace(config.geometry, steps=geometry_steps, representation="density")
    features = replace(config.features, steps=feature_steps)
    if kind == "cpu":
        geometry = replace(geometry, rays=256, samples=4096)
        features = replace(features, pixels=256, images=1, pairs_per_mask=8)
    return replace(config, geometry=geometry, features=features)


def _make_scene(folder: Path, kind: str) -> Path:
    """The built-in scene, small and with little light, but with all that a scene may have."""
    from ..synth import SynthConfig, synthesize

    size, views = _SCENE[kind]
    options = SynthConfig(size=size, train_views=views, val_views=2, supersampling=1, light_samples=1, sky_samples=1)
    synthesize(None, folder, options, progress=False)
    return folder
