"""What came of one scene of a batch: read from its run folder, or the reason why there is none."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any, Literal

import numpy as np

from .. import __version__
from ..pipeline.folder import RunFolder
from ..pipeline.memory import peak_memory
from ..pipeline.report import stored_json, training_curves

State = Literal["done", "kept", "failed"]
# Why a scene failed: its own fault; the node's (its disk is full), so that others may do it; memory, which may suffice
# once fewer scenes share the device; the death of its worker; another version of the program than the command's; or
# anything else.
Fault = Literal["", "scene", "disk", "memory", "death", "version", "other"]

_POINTS = 60  # of a sparkline


@dataclass(frozen=True)
class Outcome:
    """What came of a scene.

    Attributes:
        name: Name of the run folder.
        scene: Folder or URL of the scene.
        state: "done" now, "kept" as it was done before, or "failed".
        reason: One line if it failed, otherwise empty.
        fault: What it failed by.
        node: Host name of the worker's machine; empty where no worker answered.
        node_id: Ray's identifier of it.
        seconds: Wall time in the worker.
        finished: When, ISO 8601 in UTC.
        version: That of ultrafield.
        stages: Seconds of every stage, whenever it was done.
        figures: Numbers of the result, by the names in `FIGURES`; those that cannot be told are missing.
        losses: Colour error along the training of geometry, thinned.
    """

    name: str
    scene: str
    state: State
    reason: str = ""
    fault: Fault = ""
    node: str = ""
    node_id: str = ""
    seconds: float = 0.0
    finished: str = ""
    version: str = __version__
    stages: Mapping[str, float] = field(default_factory=dict)
    figures: Mapping[str, float] = field(default_factory=dict)
    losses: tuple[float, ...] = ()


FIGURES = ("points", "levels", "mask_iou", "psnr", "nc", "nc_dense", "vc", "host_bytes", "device_bytes")


def now() -> str:
    """The present time, ISO 8601 in UTC."""
    return datetime.now(UTC).isoformat(timespec="seconds")


def read_outcome(run: RunFolder, *, name: str, scene: str, state: State, node: str, seconds: float) -> Outcome:
    """What came of a scene whose run folder is finished."""
    curves = training_curves(run)
    color = next((curve.values for curve in curves if curve.title.startswith("Colour")), np.zeros(0))
    chosen = np.unique(np.linspace(0, max(0, len(color) - 1), min(_POINTS, len(color))).round().astype(int))
    return Outcome(
        name=name,
        scene=scene,
        state=state,
        node=node,
        seconds=round(seconds, 3),
        finished=now(),
        stages=run.records.seconds(),
        figures=_figures(run),
        losses=tuple(float(f"{value:.4g}") for value in color[chosen]),
    )


def _figures(run: RunFolder) -> dict[str, float]:
    quality, metrics, tree = (stored_json(run, name) for name in ("quality.json", "metrics.json", "tree.json"))
    means = {name: _at(metrics, name, "mean") for name in ("psnr", "nc", "nc_dense", "vc")}
    peaks = {f"{name}_bytes": value for name, value in peak_memory().items()}
    levels = tree.get("levels")
    counts = {"points": tree.get("points"), "levels": len(levels) if isinstance(levels, list) else None}
    found: dict[str, Any] = counts | {"mask_iou": _at(quality, "masks", "mean_iou")} | means | peaks
    return {name: float(value) for name, value in found.items() if isinstance(value, int | float)}


def _at(values: Any, *keys: str) -> Any:
    """A value in dictionaries within dictionaries, None where one of them lacks it."""
    for key in keys:
        values = values.get(key) if isinstance(values, dict) else None
    return values
