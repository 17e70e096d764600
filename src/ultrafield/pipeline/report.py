"""report.html of a run: gathered from the run folder and the scene, at the end of `run`."""

from __future__ import annotations

import hashlib
import json
import platform
from contextlib import suppress
from importlib.metadata import PackageNotFoundError, version
from typing import Any

import numpy as np

from .. import __version__
from ..config import to_dict
from ..errors import RunError
from ..export.levels import automatic_levels
from ..export.report import Curve, Period, ReportContent, ViewMaps, report_html
from ..export.report.pictures import EDGE
from ..export.segments import make_segments
from ..io import atomic_write
from ..labels.stack import LabelStack
from ..parallel import in_background, in_threads
from ..reading import read_bytes, read_json
from .edits import read_edits
from .figures import headline, trust_figures
from .folder import RunFolder
from .job import Job
from .stages import STAGES, fingerprint

_VIEWS = 12  # that thumbnails are cut out of
_SHOWN = 6  # that are shown large
_FORMAT = 1  # of the page; another one is made anew
_POINTS = 200  # of a training curve
_PACKAGES = ("torch", "numba", "numpy", "scipy", "opencv-python-headless")
_CURVES = {
    "color": "Colour error of geometry",
    "euclidean": "Contrast of features, Euclidean",
    "ultrametric": "Contrast of features, ultrametric",
}


def report_once(job: Job) -> None:
    """Write report.html unless it shows all that the folder holds; the owner of the folder is taken for it."""
    run = job.run
    made_from = {stage: run.records.content(stage) for stage in ("segment", "eval")}
    if run.edits_file.is_file():
        made_from["edits"] = hashlib.sha256(read_bytes(run.edits_file, error=RunError)).hexdigest()[:32]
    settings = fingerprint(job.stages.segment, _FORMAT)
    if run.records.finished("report", settings, made_from):
        return
    with run.owned(), job.report.stage("report"):
        page = report_html(report_content(job))
        with atomic_write(run.root / "report.html") as file:
            file.write(page.encode("utf-8", "replace"))
    run.finish("report", settings, job.report.seconds["report"], made_from)


def report_content(job: Job) -> ReportContent:
    """What the report of a run shows."""
    from ..ultrametric import levels

    run, scene = job.run, job.scene
    with in_background() as submit:
        views = submit(_views, job)
        surface, edits = run.read_surface(), read_edits(run, run.read_tree())
        segments = make_segments(
            surface, edits.tree, automatic_levels(levels(edits.tree)), ids=edits.ids, names=edits.names
        )
    quality = stored_json(run, "quality.json")
    metrics = stored_json(run, "metrics.json")
    counts = ", ".join(f"{len(split)} {name}" for name, split in scene.splits.items())
    return ReportContent(
        title=scene.name,
        subtitle=f"engine {job.config.engine}, preset {job.config.preset}, {counts} views, {len(surface):,} points",
        headline=headline(quality, metrics, segments),
        summary=f"{quality['summary'][:1].upper()}{quality['summary'][1:]}." if "summary" in quality else "",
        segments=segments,
        views=views.result(),
        shown=_SHOWN,
        figures=trust_figures(quality, metrics),
        curves=training_curves(run),
        periods=_periods(run),
        settings={"scene": str(job.source.scene or "in memory")} | job.source.data.to_json() | to_dict(job.config),
        versions=_versions(job),
    )


def _views(job: Job) -> tuple[ViewMaps, ...]:
    """Views with their label maps, those that are shown large first: evenly spread, of validation if there are any."""
    run, scene = job.run, job.scene
    split = "val" if len(scene.splits.get("val", ())) > 0 else "train"
    chosen = [(split, index) for index in _spread(len(scene.splits[split]), _SHOWN)]
    chosen += [("train", index) for index in _spread(len(scene.train), _VIEWS) if ("train", index) not in chosen]

    def read(place: tuple[str, int]) -> ViewMaps:
        view = scene.splits[place[0]].views[place[1]]
        stored = run.read_labels(place[0], view.name)
        photo = view.image
        if photo is None:
            photo = run.read_render(place[0], view.name).picture()
        step = max(1, -(-max(stored.labels.index.shape) // EDGE))
        small = LabelStack(stored.levels.index[step // 2 :: step, step // 2 :: step], stored.levels.columns)
        return ViewMaps(f"{place[0]} {view.name}", photo, small.expand()[::-1])

    return tuple(in_threads(read, chosen))


def _spread(count: int, most: int) -> list[int]:
    return np.unique(np.linspace(0, count - 1, min(most, count)).round().astype(int)).tolist()


def stored_json(run: RunFolder, name: str) -> dict[str, Any]:
    """The content of a JSON file of the run; empty if it is missing."""
    file = run.root / name
    content = read_json(file, error=RunError) if file.is_file() else {}
    return content if isinstance(content, dict) else {}


def _lines(run: RunFolder) -> list[dict[str, Any]]:
    """Lines of log.jsonl; those that cannot be read are left out."""
    file, lines = run.root / "log.jsonl", []
    if file.is_file():
        for line in read_bytes(file, error=RunError).decode("utf-8", "replace").splitlines():
            with suppress(ValueError):
                lines.append(json.loads(line))
    return [line for line in lines if isinstance(line, dict)]


def training_curves(run: RunFolder) -> tuple[Curve, ...]:
    """Training curves of the last training of each kind, thinned."""
    found: dict[tuple[str, str], list[tuple[int, float]]] = {}
    for line in _lines(run):
        stage, step = line.get("stage"), line.get("step")
        if stage not in ("geometry", "features") or not isinstance(step, int):
            continue
        for key in _CURVES.keys() & line.keys():
            values = found.setdefault((stage, key), [])
            if values and step <= values[-1][0]:
                values.clear()  # a training that began anew
            if isinstance(line[key], int | float) and line[key] > 0:
                values.append((step, float(line[key])))
    curves = []
    for (_, key), values in sorted(found.items()):
        if len(values) >= 2:
            rows = np.array(values)[_spread(len(values), _POINTS)]
            curves.append(Curve(_CURVES[key], rows[:, 0].astype(np.int64), rows[:, 1]))
    return tuple(curves)


def _periods(run: RunFolder) -> tuple[Period, ...]:
    """Seconds of every stage as recorded, with its parts and the memory from the log of the run that did it."""
    inner: dict[str, float] = {}
    peaks: dict[str, int] = {}
    for line in _lines(run):
        if line.get("stage") == "run" and isinstance(line.get("seconds"), dict):
            inner |= line["seconds"]
            peaks |= line["peaks"] if isinstance(line.get("peaks"), dict) else {}
    periods = []
    recorded = run.records.seconds()
    for stage in STAGES:
        if stage in recorded:
            periods.append(Period(stage, recorded[stage], peaks.get(stage)))
            parts = [name for name in inner if name.startswith(f"{stage}/")]
            periods += [Period(name.partition("/")[2], inner[name], peaks.get(name), inner=True) for name in parts]
    return tuple(periods)


def _versions(job: Job) -> dict[str, str]:
    versions = {"ultrafield": __version__, "Python": platform.python_version(), "system": platform.system()}
    for name in _PACKAGES:
        with suppress(PackageNotFoundError):
            versions[name] = version(name)
    return versions | {"device": job.device, "seed": str(job.config.seed)}
