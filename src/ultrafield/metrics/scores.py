"""Scores of a hierarchical segmentation per view and level, and the published form of them."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np

LEVELS = ("parts", "objects", "foreground")


@dataclass(frozen=True, eq=False, repr=False)
class Scores:
    """One metric over the views and the levels of the ground truth.

    Attributes:
        per_view: [V, 3], float64, columns as `LEVELS`; NaN where a view has no mask that can be scored.
    """

    per_view: np.ndarray

    @property
    def levels(self) -> np.ndarray:
        """Mean over the views that have a score [3], float64; NaN for a level that none has."""
        return np.array([_mean_of_scores(column) for column in self.per_view.T])

    @property
    def mean(self) -> float:
        """Mean over the levels that have a score."""
        return _mean_of_scores(self.levels)

    def __repr__(self) -> str:
        levels = ", ".join(f"{name}={score:.4g}" for name, score in zip(LEVELS, self.levels, strict=True))
        return f"Scores(views={len(self.per_view)}, {levels})"


@dataclass(frozen=True, eq=False, repr=False)
class SegmentationScores:
    """All metrics of one evaluation.

    Attributes:
        names: View names [V].
        nc: Normalized covering.
        nc_dense: The same with the best segment anywhere instead of the best one under each pixel.
        vc: View consistency; None without rotated labels, depth or visibility.
        vc_truth: View consistency of the ground truth itself, the highest score that rounding to pixels permits; None
            without `vc` or without ground truth for the rotated views.
    """

    names: tuple[str, ...]
    nc: Scores
    nc_dense: Scores
    vc: Scores | None
    vc_truth: Scores | None

    def __repr__(self) -> str:
        metrics = {"nc": self.nc, "nc_dense": self.nc_dense, "vc": self.vc, "vc_truth": self.vc_truth}
        means = ", ".join(f"{name}={scores and round(scores.mean, 4)}" for name, scores in metrics.items())
        return f"SegmentationScores(views={len(self.names)}, {means})"


def published_scores(names: Sequence[str], scores: Scores, metric: Literal["nc", "vc"]) -> dict[str, Any]:
    """The content that the published scripts write to `eval_results/NAME/{nc,vc}_score.json`.

    Args:
        names: View names, as many as `scores` has views.
        scores: The metric; NC and NC-dense both use "nc".
        metric: Prefix of the keys.

    Returns:
        For every view name a dictionary of `{metric}_scores_0`, `_1` and `_2` (parts, objects, foreground); beside
        these the same keys for the means over the views, and `{metric}_scores_mean`. None where there is no score.

    Raises:
        ValueError: The numbers of names and views differ.

    >>> published_scores(["r_0"], Scores(np.array([[0.5, 0.75, 1.0]])), "nc")["nc_scores_mean"]
    0.75
    """
    if len(names) != len(scores.per_view):
        raise ValueError(f"names: expected {len(scores.per_view)}, one per view, got {len(names)}")
    keys = [f"{metric}_scores_{level}" for level in range(len(LEVELS))]
    result: dict[str, Any] = {
        name: dict(zip(keys, map(_number_or_none, row), strict=True))
        for name, row in zip(names, scores.per_view, strict=True)
    }
    result.update(zip(keys, map(_number_or_none, scores.levels), strict=True))
    result[f"{metric}_scores_mean"] = _number_or_none(scores.mean)
    return result


def _mean_of_scores(values: np.ndarray) -> float:
    """The mean without NaN; NaN if there is nothing else."""
    scores = values[~np.isnan(values)]
    return float(scores.mean()) if len(scores) else math.nan


def _number_or_none(value: float) -> float | None:
    return None if math.isnan(value) else float(value)
