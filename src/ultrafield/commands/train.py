"""`ultrafield train`: geometry, and features with the engines that need them."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Self

import tyro

from ..config import Config, Engine, to_dict
from ..errors import RunError, SceneError
from ..pipeline.console import Report
from ..pipeline.folder import RunFolder, fingerprint
from ..pipeline.inputs import digest_inputs
from ..scene import Scene
from .options import Device, MethodOptions, RunOption, SceneArgument, SceneOptions, Unprefixed, choose_preset

if TYPE_CHECKING:
    from ..training import Fields


@dataclass(frozen=True)
class Train:
    """Train density and colour on a scene, and features if the engine is `field` or `both`.

    Attributes:
        scene: Folder of pictures and cameras.
        out: Run folder to write; an interrupted training in it goes on.
        device: Where to compute; auto takes CUDA if there is one.
        data: How the scene is read.
        method: What is computed.
    """

    scene: SceneArgument
    out: RunOption
    device: Device = "auto"
    data: Annotated[SceneOptions, Unprefixed] = field(default_factory=SceneOptions)
    method: Annotated[MethodOptions, Unprefixed] = field(default_factory=MethodOptions)

    @classmethod
    def with_defaults(cls, method: MethodOptions) -> Self:
        """Options whose settings default to `method`."""
        return cls(scene=tyro.MISSING, out=tyro.MISSING, method=method)

    def informed(self) -> Self | None:
        """Options with the defaults of the preset that `auto` stands for, where it is not the draft."""
        name, _ = choose_preset(self.method.preset, self.device)
        return None if name in (self.method.preset, "draft") else self.with_defaults(MethodOptions.of_preset(name))

    def execute(self) -> None:
        """Train and write the run folder."""
        report, run = Report(), RunFolder(self.out)
        config = announced_config(self.method, self.device, report)
        scene = open_scene(self.scene, self.data, report)
        check_masks(scene, config.engine)
        run.write_config(self.scene, self.data, config)
        train(run, scene, config, device=self.device, report=report)
        report.result(f"{run.root}: trained; next: ultrafield segment {run.root}")


def announced_config(method: MethodOptions, device: Device, report: Report) -> Config:
    """The settings of the run; says which preset they start from, and why."""
    if device == "cuda":
        from ..training import resolve_device

        resolve_device(device)  # before anything is written for a device that is not there
    name, reason = choose_preset(method.preset, device)
    report.note(f"preset {name} ({reason}), engine {method.engine}")
    return method.config(name)


def open_scene(path: Path, data: SceneOptions, report: Report) -> Scene:
    """Read a scene folder and say what it holds."""
    from ..scene import load_scene

    scene = load_scene(path, **data.arguments())
    sizes = scene.train.cameras.sizes
    counts = ", ".join(f"{len(split)} {name}" for name, split in scene.splits.items())
    masks = "with masks" if scene.has_masks else "no masks"
    report.note(f"{scene.name}: {scene.layout}, {counts} views of {sizes[0][0]}x{sizes[0][1]} pixels, {masks}")
    return scene


def check_masks(scene: Scene, engine: Engine) -> None:
    """Raise `SceneError` if features are to be trained and a training view has no masks, before geometry is trained."""
    lacking = [view.name for view in scene.train if view.masks is None]
    if engine != "lift" and lacking:
        raise SceneError(
            f"{scene.root}: --engine {engine} needs masks of every training view; {len(lacking)} of {len(scene.train)} "
            f"have none (first: {lacking[0]}); `ultrafield run` makes those that are missing"
        )


def train(
    run: RunFolder, scene: Scene, config: Config, *, device: Device, report: Report, initial: Fields | None = None
) -> Fields:
    """Train what the engine needs; what the folder already holds of the same scene and settings is kept.

    With `initial`, training starts from these fields, whatever the folder holds. Of the later stages' results only
    renderings outlive training, and these only where it keeps the geometry that they show.
    """
    from ..training import fit, load_fields, resolve_device

    source, settings = source_fingerprint(run), train_fingerprint(run)
    if initial is None and is_trained(run):
        report.note(f"train: done before with these settings, kept (delete {run.root} to train anew)")
        return load_fields(run.root, device=resolve_device(device))
    check_masks(scene, config.engine)
    keep = run.begun("source", source) and initial is None
    geometry_stays = keep and _has_fields(run) and run.finished("render", geometry_fingerprint(run))
    run.forget("segment", "eval", *(() if geometry_stays else ("render",)))
    if "train" in run.seconds():
        report.note("train: settings or files of the scene are others than before; training anew what depends on them")
    if not keep:
        (run.root / "log.jsonl").unlink(missing_ok=True)
    run.begin("source", source)
    run.begin("train", settings)
    with report.stage("train"):
        fields = fit(scene, config, device=device, out=run.root, resume=keep, initial=initial)
    run.finish("train", settings, report.seconds["train"])
    return fields


def is_trained(run: RunFolder) -> bool:
    """Whether the folder holds fields of the settings in its config.json, of the scene as it is now.

    The engine `lift` uses the geometry that was trained with features as well.
    """
    engines: tuple[Engine, ...] = (run.read_config().config.engine, "field")
    return _has_fields(run) and any(run.finished("train", train_fingerprint(run, engine)) for engine in engines)


def check_trained(run: RunFolder) -> None:
    """Raise `RunError` unless the fields in the folder are those of its settings."""
    if not is_trained(run):
        raise RunError(
            f"{run.root}: training with its settings on the scene as it is now is not finished; finish it, with the "
            f"same options, by: ultrafield train {run.read_config().scene} --out {run.root}"
        )


def _has_fields(run: RunFolder) -> bool:
    return (run.root / "field.safetensors").is_file()


def keep_fields(run: RunFolder, config: Config, fields: Fields) -> None:
    """Put fields that were trained elsewhere into the run folder."""
    from ..training import FIELD_FILE, save_fields

    run.forget("render", "segment", "eval")
    run.begin("source", source_fingerprint(run))
    save_fields(run.root / FIELD_FILE, fields, seed=config.seed)
    run.finish("train", train_fingerprint(run), 0.0)


def source_fingerprint(run: RunFolder) -> str:
    """The scene's files and how they are read: fields trained on other ones are of no use."""
    stored = run.read_config()
    return scene_fingerprint(run, stored.scene, stored.data)


def scene_fingerprint(run: RunFolder, path: Path, data: SceneOptions) -> str:
    """A digest of a scene's files and of how they are read."""
    folders = [folder for folder in (path, data.masks) if folder is not None and folder.is_dir()]
    return fingerprint(str(path.resolve()), data.to_json(), digest_inputs(*folders, run=run.root))


def geometry_fingerprint(run: RunFolder) -> str:
    """What the radiance field depends on."""
    config = run.read_config().config
    return fingerprint(source_fingerprint(run), config.seed, to_dict(config.geometry))


def train_fingerprint(run: RunFolder, engine: Engine | None = None) -> str:
    """What all of training depends on, for the stored engine or another one."""
    config = run.read_config().config
    features = to_dict(config.features) if (engine or config.engine) != "lift" else None
    return fingerprint(geometry_fingerprint(run), features)
