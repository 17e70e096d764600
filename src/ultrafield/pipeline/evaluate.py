"""The stage that compares a segmented run with held-out pictures and ground truth."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import numpy as np

from ..errors import ConfigError, RunError
from ..io import write_json
from ..parallel import in_threads, workers_for
from ..reading import read_json
from ..scene import GroundTruth, Scene
from .folder import RunFolder
from .held_out import HeldOutViews
from .job import Job

if TYPE_CHECKING:
    from ..metrics import Scores, SegmentationScores

# Renderings are rounded to 8 bits, which alone makes a mean squared error of 1/12 of a squared step; what is closer to
# a photograph than that cannot be told from equal to it.
PSNR_LIMIT = 10.0 * math.log10(12 * 255**2)

_BYTES_PER_VALUE = 150  # working memory of SSIM
_EXACT = {"sampling": None, "seed": 0, "published": False}


def evaluate_once(job: Job) -> dict[str, Any] | None:
    """Metrics with the default settings, computed unless they are stored; None if there is nothing to compare with."""
    if not can_evaluate(job.scene):
        job.report.note("eval: there are no held-out views to compare with")
        return None
    if is_evaluated(job):
        job.report.note("eval: done before, kept")
        metrics: dict[str, Any] = read_json(job.run.root / "metrics.json", error=RunError)
        return metrics
    with job.run.owned():
        return evaluate(job)


def is_evaluated(job: Job) -> bool:
    """Whether the folder holds metrics with the default settings of the segmentation that it holds."""
    return job.run.records.finished("eval", job.stages.evaluate, _made_from(job))


def _made_from(job: Job) -> dict[str, str]:
    return {stage: job.run.records.content(stage) for stage in ("render", "segment")}


def evaluate(job: Job, *, sampling: int | None = None, seed: int = 0, published: bool = False) -> dict[str, Any]:
    """Compute whatever the scene allows, and write metrics.json; the caller owns the run folder.

    Returns:
        What metrics.json holds: `psnr` (mean, per view, and which views are capped at the limit that 8 bits set),
        `psnr_exposure` (the same after one factor for each picture and channel; only with `geometry.exposure`),
        `ssim` (mean, per view), `depth` (share of the foreground pixels off by more than 1, 2 and 5 footprints, median
        signed error in footprints, share that is transparent), `nc`, `nc_dense`, `vc` and `vc_truth` (mean,
        levels, per view), each None where it cannot be computed, and `missing` with the reasons.
    """
    from ..scene import load_ground_truth

    if sampling is not None and sampling < 1:
        raise ConfigError(f"--sampling: expected at least 1 point, got {sampling}")
    run, scene = job.run, job.scene
    metrics: dict[str, Any] = {"settings": {"sampling": sampling, "seed": seed, "published": published}, "missing": {}}
    with job.report.stage("eval"):
        metrics |= _pictures(run, scene, metrics["missing"], exposure=job.config.geometry.exposure)
        truth = load_ground_truth(scene, "val") if can_evaluate(scene) else None
        rotated = load_ground_truth(scene, "val_rotate") if truth is not None else None
        views = HeldOutViews(job, {} if published else _sizes(scene, truth, rotated))
        metrics |= _depth(job, views, truth, metrics["missing"])
        how = {"sampling": sampling, "seed": seed, "published": published}
        metrics |= _segmentation(job, views, (truth, rotated), metrics["missing"], **how)
        run.records.forget("eval")
        write_json(run.root / "metrics.json", metrics)
    if metrics["settings"] == _EXACT:
        run.finish("eval", job.stages.evaluate, job.report.seconds["eval"], _made_from(job))
    return metrics


def can_evaluate(scene: Scene) -> bool:
    """Whether there is anything to compare with: views that were not trained on."""
    return "val" in scene.splits and len(scene.splits["val"]) > 0


def _pictures(run: RunFolder, scene: Scene, missing: dict[str, str], *, exposure: bool) -> dict[str, Any]:
    from ..metrics import psnr, ssim

    views = scene.splits["val"] if can_evaluate(scene) else ()
    photographs = {view.name: view for view in views if view.shape is not None}
    if not photographs:
        missing["psnr"] = missing["ssim"] = "the scene has no held-out pictures"
        return {"psnr": None, "ssim": None} | ({"psnr_exposure": None} if exposure else {})

    def measure(name: str) -> dict[str, float]:
        picture, view = run.read_render("val", name).color, photographs[name]
        image = view.image
        assert image is not None
        used = slice(None) if view.valid is None else view.valid
        equal = picture
        if view.valid is not None:
            equal = np.where(view.valid[..., None], picture, image.astype(np.float32) / 255.0)
        seen, wanted = picture[used], image[used]
        found = {"psnr": psnr(seen, wanted), "ssim": ssim(equal, image)}
        if exposure:
            found["psnr_exposure"] = min(psnr(_exposed_like(seen, wanted), wanted), PSNR_LIMIT)
        return found

    pixels = max(3 * view.shape[0] * view.shape[1] for view in photographs.values() if view.shape is not None)
    found = list(in_threads(measure, photographs, workers=workers_for(_BYTES_PER_VALUE * pixels)))
    measured = {
        metric: {name: values[metric] for name, values in zip(photographs, found, strict=True)} for metric in found[0]
    }
    capped = [name for name, value in measured["psnr"].items() if value > PSNR_LIMIT]
    measured["psnr"] |= dict.fromkeys(capped, PSNR_LIMIT)
    metrics = {metric: _mean_and_views(values) for metric, values in measured.items()}
    metrics["psnr"] |= {"limit": PSNR_LIMIT, "capped": capped}
    return metrics


def _exposed_like(picture: np.ndarray, photograph: np.ndarray) -> np.ndarray:
    """A rendered picture [..., 3] times the factor of each channel that brings it nearest to a photograph, clipped."""
    seen, wanted = picture.reshape(-1, 3).astype(np.float64), photograph.reshape(-1, 3) / 255.0
    factors = (seen * wanted).sum(0) / np.maximum((seen * seen).sum(0), 1e-12)
    return np.asarray((picture * factors).clip(0.0, 1.0))


def _mean_and_views(values: dict[str, float]) -> dict[str, Any]:
    per_view = {name: _number(value) for name, value in values.items()}
    return {"mean": _number(float(np.mean(list(values.values())))), "per_view": per_view}


def _sizes(scene: Scene, truth: GroundTruth | None, rotated: GroundTruth | None) -> dict[str, tuple[int, ...]]:
    """Height and width of the ground truth with which the views of each split are compared."""
    if truth is None:
        return {}
    truths = {"val": truth, "val_rotate": truth if rotated is None else rotated}
    return {split: item.parts.shape[1:3] for split, item in truths.items() if split in scene.splits}


def _depth(job: Job, views: HeldOutViews, truth: GroundTruth | None, missing: dict[str, str]) -> dict[str, Any]:
    from ..metrics import FOOTPRINTS, evaluate_depth

    if truth is None or truth.depth is None or not truth.depth_exact:
        missing["depth"] = "the scene has no exact depth of validation views"
        return {"depth": None}
    scores = evaluate_depth(views.depths("val"), truth.depth, job.scene.splits["val"].normalised_cameras)
    off = {f"{limit:g}": _number(share) for limit, share in zip(FOOTPRINTS, scores.off, strict=True)}
    figures = {"off": off, "median": _number(scores.median), "transparent": _number(scores.transparent)}
    return {"depth": figures | {"pixels": scores.pixels}}


def _segmentation(
    job: Job,
    views: HeldOutViews,
    truths: tuple[GroundTruth | None, GroundTruth | None],
    missing: dict[str, str],
    **how: Any,
) -> dict[str, Any]:
    from ..metrics import evaluate_segmentation

    nothing = {"nc": None, "nc_dense": None, "vc": None, "vc_truth": None}
    truth, truth_rotated = truths
    if truth is None:
        missing |= dict.fromkeys(nothing, "the scene has no ground-truth segmentation of validation views")
        return nothing
    splits = job.scene.splits
    rotated = splits.get("val_rotate")
    scores = evaluate_segmentation(
        views.labels("val"),
        None if rotated is None else views.labels("val_rotate"),
        truth,
        truth_rotated,
        splits["val"].normalised_cameras,
        None if rotated is None else rotated.normalised_cameras,
        **how,
    )
    if scores.vc is None:
        lacking = "rotated validation views" if rotated is None else "ground-truth depth and visibility"
        missing["vc"] = f"the scene has no {lacking}"
    if scores.vc_truth is None:
        missing["vc_truth"] = missing.get("vc", "the scene has no ground truth of the rotated views")
    return {name: _scores_to_json(scores, name) for name in nothing}


def _scores_to_json(all_scores: SegmentationScores, name: str) -> dict[str, Any] | None:
    from ..metrics import LEVELS

    scores: Scores | None = getattr(all_scores, name)
    if scores is None:
        return None
    rows = zip(all_scores.names, scores.per_view, strict=True)
    return {
        "mean": _number(scores.mean),
        "levels": dict(zip(LEVELS, map(_number, scores.levels), strict=True)),
        "per_view": {view: dict(zip(LEVELS, map(_number, row), strict=True)) for view, row in rows},
    }


def _number(value: float) -> float | None:
    """A JSON number; null for one that could not be computed (NaN)."""
    return float(value) if math.isfinite(value) else None
