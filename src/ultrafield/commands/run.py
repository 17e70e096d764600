"""`ultrafield run`: from a scene folder to labels, metrics and a contact sheet, skipping what is done already."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Annotated, Any, Self

import tyro

from ..config import Config
from ..io import read_json
from ..parallel import in_background
from ..pipeline.console import Report, figure
from ..pipeline.folder import RunFolder, fingerprint
from ..pipeline.memory import peak_memory
from ..scene import Scene
from .evaluate import can_evaluate, evaluate, is_exact, print_metrics
from .masks import attach_masks, copy_masks, make_masks
from .options import Device, MethodOptions, RunOption, SceneArgument, SceneOptions, Switch, Unprefixed, choose_preset
from .segment import segment, segment_fingerprint
from .train import announced_config, is_trained, open_scene, scene_fingerprint, train

STAGES = ("masks", "train", "render", "segment", "eval")  # as recorded in the run folder


@dataclass(frozen=True)
class Run:
    """Do all that is not done yet: masks of views that have none, train, segment, and evaluate what can be compared.

    Attributes:
        scene: Folder of pictures and cameras; it is never changed.
        out: Run folder to write; stages that are done in it with the same settings are skipped.
        overwrite: Do every stage again.
        device: Where to compute; auto takes CUDA if there is one.
        data: How the scene is read.
        method: What is computed.
    """

    scene: SceneArgument
    out: RunOption
    overwrite: Switch = False
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
        """Do what is not done yet, then print tables and paths."""
        report, run = Report(), RunFolder(self.out)
        config = announced_config(self.method, self.device, report)
        if self.overwrite:
            start_afresh(run, self.scene, self.data)
        with in_background() as submit:
            submit(wake, self.device)  # while the scene is read
            metrics = run_stages(run, self.scene, self.data, config, device=self.device, report=report)
        if metrics is not None:
            print_metrics(metrics, report)
        print_seconds(run, report)
        print_results(run, report)


def wake(device: Device) -> None:
    """Import what training needs, and start the device."""
    import torch

    from ..training import resolve_device

    torch.zeros(1, device=resolve_device(device))


def run_stages(
    run: RunFolder, path: Path, data: SceneOptions, config: Config, *, device: Device, report: Report
) -> dict[str, Any] | None:
    """Bring a run folder up to date; returns its metrics, or None if there is nothing to compare with."""
    run.claim(path)
    scene, data = _with_masks(run, path, data, config, report)
    run.write_config(path, data, config)
    _train_and_segment(run, scene, config, device=device, report=report)
    metrics = _evaluate(run, scene, report)
    if set(report.seconds) - {"load"}:  # something was done
        run.log({"stage": "run", "seconds": _rounded(report.seconds), "peak_bytes": peak_memory()})
    return metrics


def _rounded(seconds: dict[str, float]) -> dict[str, float]:
    return {name: round(value, 3) for name, value in seconds.items()}


def _evaluate(run: RunFolder, scene: Scene, report: Report) -> dict[str, Any] | None:
    """Metrics, computed unless they are there already; None if there is nothing to compare with."""
    if not can_evaluate(scene):
        report.note("eval: there are no held-out views to compare with")
        return None
    settings = fingerprint(segment_fingerprint(run), "eval")
    if run.finished("eval", settings) and (run.root / "metrics.json").is_file():
        metrics = read_json(run.root / "metrics.json")
        if is_exact(metrics):  # not what `ultrafield eval --sampling` or `--published` left
            report.note("eval: done before, kept")
            return metrics
    run.begin("eval", settings)
    metrics = evaluate(run, scene, report)
    run.finish("eval", settings, report.seconds["eval"])
    return metrics


def start_afresh(run: RunFolder, scene: Path, data: SceneOptions) -> None:
    """Forget earlier stages and the masks that this run made, if the folder is a run on this scene."""
    run.claim(scene)
    run.clear_masks(data.masks)
    (run.root / "stages.json").unlink(missing_ok=True)


def _with_masks(
    run: RunFolder, path: Path, data: SceneOptions, config: Config, report: Report
) -> tuple[Scene, SceneOptions]:
    """The scene with masks, made into the run folder where it has none, and how to read it so again."""
    with report.stage("load"):
        scene = open_scene(path, data, report)
    if scene.has_masks:
        return scene, data
    settings = fingerprint(scene_fingerprint(run, path, data), "watershed")
    written = all((run.masks / "train_seg" / view.name).is_dir() for view in scene.train)
    if run.finished("masks", settings) and written:
        report.note("masks: done before, kept")
    else:
        if not run.config_file.is_file():
            run.write_config(path, data, config)  # from here on the folder is known as a run, even if this is cut short
        run.clear_masks(data.masks)
        run.begin("masks", settings)
        lacking = [view for view in scene.train if view.masks is None]
        if len(lacking) < len(scene.train):
            others = len(scene.train) - len(lacking)
            report.note(
                f"masks: {others} views have masks, copied to {run.masks}; making those of the other {len(lacking)}"
            )
            copy_masks(scene.train.views, run.masks)
        make_masks(lacking, run.masks, report)
        run.finish("masks", settings, report.seconds["masks"])
    return attach_masks(scene, run.masks), replace(data, masks=run.masks)


def _train_and_segment(run: RunFolder, scene: Scene, config: Config, *, device: Device, report: Report) -> None:
    from ..training import load_fields, resolve_device

    fields = None
    if is_trained(run):
        report.note("train: done before, kept")
    else:
        fields = train(run, scene, config, device=device, report=report)
    if run.finished("segment", segment_fingerprint(run)):
        report.note("segment: done before, kept")
        return
    fields = fields or load_fields(run.root, device=resolve_device(device))
    segment(run, scene, fields, config, report)


def print_seconds(run: RunFolder, report: Report) -> None:
    """Print the seconds of every stage, whenever it was done."""
    seconds = run.seconds()
    rows = [[name, figure(seconds[name], 1)] for name in STAGES if name in seconds]
    report.table("Stages", ["", "seconds"], rows)


def print_results(run: RunFolder, report: Report) -> None:
    """Say where to look."""
    for name in ("contact_sheet.png", "views", "points.ply", "tree.json", "metrics.json"):
        if (run.root / name).exists():
            report.result(str(run.root / name))
