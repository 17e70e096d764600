"""Inside NC and VC: match segments with ground-truth masks, then take means over pixels, all of them or random ones."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from .correspondence import Correspondence
from .overlap import NONE, best_overlap, number_segments, overlap_iou

MIN_PIXELS = 20  # smaller ground-truth masks are not scored

Seed = int | Sequence[int]


@dataclass(frozen=True)
class Match:
    """How well the segments that hold each pixel fit its ground-truth mask.

    Attributes:
        masks: Flat pixel indices of each mask that is scored.
        best: The best IoU of a segment that holds the pixel, at any cut [P], float64.
        cut: The cut that has it [P], int64.
    """

    masks: list[np.ndarray]
    best: np.ndarray
    cut: np.ndarray


@dataclass(frozen=True)
class Draws:
    """Random points, `count` per mask."""

    count: int
    generator: np.random.Generator

    def choose(self, values: np.ndarray, count: int) -> np.ndarray:
        """`count` of the values, with replacement."""
        return values[self.generator.integers(len(values), size=count)]


class ViewPair:
    """Two views of one segmentation: consistency per pixel, computed for the cuts that are asked for, and kept."""

    def __init__(
        self, segments: np.ndarray, segments_other: np.ndarray, correspondence: Correspondence, *, none_counts: bool
    ) -> None:
        """Take numbered segments [L, P] and [L, P'] of the views; `none_counts`: in the first, none is a segment."""
        self.segments, self.segments_other = segments, segments_other
        self.target, self.seen = correspondence.target.ravel(), np.flatnonzero(correspondence.seen)
        self.mutual = correspondence.mutual.ravel()
        self.none_counts = none_counts
        self._cuts: dict[int, np.ndarray] = {}

    def consistency(self, cut: int) -> np.ndarray:
        """IoU of the two segments that hold each pixel [P], float64; NaN where no point may be drawn."""
        if cut not in self._cuts:
            result = np.full(len(self.target), np.nan)
            here, there = self.segments[cut, self.seen], self.segments_other[cut, self.target[self.seen]]
            iou = overlap_iou(here, there)
            if not self.none_counts:
                iou[here == NONE] = 0.0
            result[self.seen] = np.where(self.mutual[self.seen] & (there != NONE), iou, np.nan)
            self._cuts[cut] = result
        return self._cuts[cut]


def make_draws(sampling: int | None, seed: Seed) -> Draws | None:
    """A fresh stream of random points, or None for exact expectations."""
    if sampling is None:
        return None
    if sampling < 1:
        raise ValueError(f"sampling: expected at least 1 point per mask, got {sampling}")
    return Draws(sampling, np.random.default_rng(seed))


def match_masks(segments: np.ndarray, truth: np.ndarray, *, background: bool, none_counts: bool) -> Match:
    """Match numbered segments [L, P] with the masks of one level [H, W] that are large enough to be scored."""
    ids = number_segments(truth.ravel().astype(np.int64) - 1)  # the background, −1 for a moment, keeps number 0
    best, cut = best_overlap(segments, ids, none_counts=none_counts)
    masks = np.split(np.argsort(ids, kind="stable"), np.cumsum(np.bincount(ids))[:-1])
    scored = masks if background else masks[1:]
    return Match([pixels for pixels in scored if len(pixels) >= MIN_PIXELS], best, cut)


def covering(match: Match, draws: Draws | None) -> float:
    """NC; NaN without masks."""
    return _mean([_choose(match.best[pixels], draws).mean() for pixels in match.masks])


def covering_dense(match: Match) -> float:
    """NC-dense; NaN without masks."""
    # A segment that overlaps a mask holds one of its pixels, so the best segment is the best one at some pixel.
    return _mean([match.best[pixels].max() for pixels in match.masks])


def consistency(match: Match, pair: ViewPair, draws: Draws | None) -> float:
    """VC; NaN without a mask that can be scored."""
    scores = [_mask_consistency(pixels, match.cut, pair, draws) for pixels in match.masks]
    return _mean([score for score in scores if not math.isnan(score)])


def _mask_consistency(pixels: np.ndarray, cut: np.ndarray, pair: ViewPair, draws: Draws | None) -> float:
    """Expected consistency of one mask; NaN if it has no pixel that can be drawn."""
    total, weight = 0.0, 0
    counts = np.bincount(_choose(cut[pixels], draws))
    for index, count in ((index, count) for index, count in enumerate(counts.tolist()) if count > 0):
        values = pair.consistency(index)[pixels]
        values = values[~np.isnan(values)]
        if len(values) == 0:
            continue
        total += count * float((values if draws is None else draws.choose(values, count)).mean())
        weight += count
    return total / weight if weight else math.nan


def _choose(values: np.ndarray, draws: Draws | None) -> np.ndarray:
    return values if draws is None else draws.choose(values, draws.count)


def _mean(scores: Sequence[float]) -> float:
    return float(np.mean(scores)) if scores else math.nan
