"""Steps of NC and VC: match segments with ground-truth masks, then take means over all pixels or random ones."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from ..labels.stack import LabelStack, distinct_pairs
from .correspondence import Correspondence
from .overlap import NONE, best_overlap, number_segments, overlap_iou

MIN_PIXELS = 20  # smaller ground-truth masks are not scored

Seed = int | Sequence[int]


@dataclass(frozen=True, eq=False, repr=False)
class Match:
    """The best fit of any segment that holds a pixel with the pixel's ground-truth mask.

    Attributes:
        masks: Flat pixel indices of each mask that is scored.
        best: The best IoU of a segment that holds the pixel, at any cut [P], float64.
        cut: The cut that has it [P], int64.
    """

    masks: list[np.ndarray]
    best: np.ndarray
    cut: np.ndarray

    def __repr__(self) -> str:
        return f"Match(masks={len(self.masks)}, pixels={len(self.best)})"


@dataclass(frozen=True, eq=False)
class Draws:
    """Random points, `count` per mask."""

    count: int
    generator: np.random.Generator

    def choose(self, values: np.ndarray, count: int) -> np.ndarray:
        """`count` of the values, with replacement."""
        return values[self.generator.integers(len(values), size=count)]


class ViewPair:
    """Two views of one segmentation: consistency per pixel, computed once for each cut that is requested."""

    def __init__(
        self, segments: LabelStack, segments_other: LabelStack, correspondence: Correspondence, *, none_counts: bool
    ) -> None:
        """Take numbered segments of the views; `none_counts`: in the first, none is a segment."""
        seen = np.flatnonzero(correspondence.seen)
        target = correspondence.target.ravel()[seen]
        pairs = distinct_pairs(segments.index.ravel()[seen], segments_other.index.ravel()[target])
        self.here, self.there = segments.columns[pairs.first], segments_other.columns[pairs.second]  # [Q, L]
        self.counts, self.none_counts = pairs.counts, none_counts
        mutual = correspondence.mutual.ravel()[seen]
        self.pair = np.full(segments.index.size, -1)  # of each pixel that may be drawn
        self.pair[seen[mutual]] = pairs.inverse[mutual]
        self._cuts: dict[int, np.ndarray] = {}

    def consistency(self, cut: int, pixels: np.ndarray) -> np.ndarray:
        """IoU of the two segments that hold each of the pixels [P], float64; NaN where no point may be drawn."""
        if cut not in self._cuts:
            here, there = self.here[:, cut], self.there[:, cut]
            iou = overlap_iou(here, there, self.counts)
            if not self.none_counts:
                iou[here == NONE] = 0.0
            iou[there == NONE] = np.nan
            self._cuts[cut] = np.append(iou, np.nan)  # which index −1 takes
        return self._cuts[cut][self.pair[pixels]]


def make_draws(sampling: int | None, seed: Seed) -> Draws | None:
    """A fresh stream of random points, or None for exact expectations."""
    if sampling is None:
        return None
    if sampling < 1:
        raise ValueError(f"sampling: expected at least 1 point per mask, got {sampling}")
    return Draws(sampling, np.random.default_rng(seed))


def match_masks(segments: LabelStack, truth: np.ndarray, *, background: bool, none_counts: bool) -> Match:
    """Match numbered segments with the masks of one level [H, W] that are large enough to be scored."""
    from ..labels.kernels.rows_cpu import group_cpu

    ids = number_segments(truth.ravel().astype(np.int64) - 1)  # the background, −1 for a moment, keeps number 0
    # Pixels of one column and one mask have the same scores.
    pairs = distinct_pairs(segments.index.ravel(), ids)
    numbers = np.ascontiguousarray(segments.columns[pairs.first].T)
    best, cut = best_overlap(numbers, pairs.second, pairs.counts, none_counts=none_counts)
    order, bounds = group_cpu(ids, int(ids.max(initial=-1)) + 1)
    masks = np.split(order, bounds[1:-1])
    scored = masks if background else masks[1:]
    return Match([mask for mask in scored if len(mask) >= MIN_PIXELS], best[pairs.inverse], cut[pairs.inverse])


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
        values = pair.consistency(index, pixels)
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
