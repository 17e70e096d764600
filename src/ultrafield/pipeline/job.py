"""A job: the run folder, scene and settings that one command works on, read once and then held."""

from __future__ import annotations

from dataclasses import dataclass, replace
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Self

from ..config import Config
from ..errors import RunError
from ..scene import Scene, scene_root
from ..scene.apart import read_begun
from ..scene.options import SceneOptions
from ..sharing import Team
from .console import Report
from .folder import RunFolder
from .stages import Source, Stages

if TYPE_CHECKING:
    from ..training import Fields


@dataclass(frozen=True)
class Job:
    """The inputs that every stage of a run shares.

    Attributes:
        run: The run folder.
        scene: The scene, as read by this command.
        source: Where it was read from, and digests of it.
        config: Every setting.
        stages: Fingerprints of everything that each stage depends on.
        device: Where to compute: "auto", "cpu" or "cuda".
        report: Where progress is printed and seconds are kept.
        team: Processes with a GPU each that share training and votes; None for this one alone.
    """

    run: RunFolder
    scene: Scene
    source: Source
    config: Config
    stages: Stages
    device: str
    report: Report
    team: Team | None = None

    def with_config(self, config: Config) -> Self:
        """The same job with other settings."""
        return replace(self, config=config, stages=Stages.of(self.source, config))

    def write_config(self, *, takeover: bool = False) -> None:
        """Store scene and settings in the run folder; arguments and errors are those of `RunFolder.claim`."""
        self.run.write_config(self.source.scene, self.source.data, self.config, takeover=takeover)

    def load_fields(self) -> Fields:
        """The fields that the run folder holds."""
        from ..training import load_fields, resolve_device

        return load_fields(self.run.root, device=resolve_device(self.device))


def open_job(
    scene: Path | Scene,
    data: SceneOptions,
    run: RunFolder,
    config: Config,
    *,
    device: str,
    report: Report,
    team: Team | None = None,
) -> Job:
    """A job on a scene folder, or on a scene in memory; nothing is written yet."""
    if isinstance(scene, Scene):
        run.claim(None)
        source, config = Source.in_memory(scene), _suited(config, scene, report)
        return Job(run, scene, source, config, Stages.of(source, config), device, report, team)
    root = scene_root(scene, data.layout)
    run.claim(root)
    run.tidy()
    loaded = open_scene(root, data, report)
    source, config = Source.of(root, data, loaded, run=run.root), _suited(config, loaded, report)
    return Job(run, loaded, source, config, Stages.of(source, config), device, report, team)


def reopen_job(run: RunFolder, *, device: str, report: Report, config: Config | None = None) -> Job:
    """The job that a run folder stores, perhaps with other settings."""
    stored = run.read_config()
    if stored.scene is None:
        raise RunError(f"{run.root}: a run on a scene in memory, which only Python can go on with (ultrafield.run)")
    return open_job(stored.scene, stored.data, run, config or stored.config, device=device, report=report)


def _suited(config: Config, scene: Scene, report: Report) -> Config:
    """The settings without a part for masks where training views lack them, as a run makes these from its geometry.

    Regions of pictures are flat as things are, but their outlines are those of colours.
    """
    if scene.has_masks:
        return config
    geometry = replace(config.geometry, outline_share=0.0)
    if geometry.planar_weight > 0 and find_spec("higra") is None:
        report.note(
            "geometry: depth is not made planar, as views lack masks and higra, which finds regions of their pictures "
            'instead, is not installed (pip install "ultrafield[masks]")'
        )
        geometry = replace(geometry, planar_weight=0.0)
    elif geometry.planar_weight > 0:
        geometry = replace(geometry, regions="pictures")
    return replace(config, geometry=geometry)


def stored_scene(run: RunFolder, report: Report) -> Scene:
    """The scene that a run folder names, without masks."""
    stored = run.read_config() if run.config_file.is_file() else None
    if stored is None or stored.scene is None:
        raise RunError(f"{run.root}: the segmentation of a scene in memory, which is not stored")
    return open_scene(scene_root(stored.scene, stored.data.layout), stored.data, report, with_masks=False)


def open_scene(path: Path, data: SceneOptions, report: Report, *, with_masks: bool = True) -> Scene:
    """Read a scene folder, with its masks unless they are to be made, and say what it holds."""
    from ..scene import load_scene

    scene = read_begun(path, data.arguments()) if with_masks else None
    if scene is None:
        scene = load_scene(path, with_masks=with_masks, **data.arguments())
    sizes = scene.train.normalised_cameras.sizes
    counts = ", ".join(f"{len(split)} {name}" for name, split in scene.splits.items())
    masks = (", with masks" if scene.has_masks else ", no masks") if with_masks else ""
    report.note(f"{scene.name}: {scene.layout}, {counts} views of {sizes[0][0]}x{sizes[0][1]} pixels{masks}")
    return scene
