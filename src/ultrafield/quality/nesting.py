"""Whether every cut refines the next coarser one, and which pixels have labels."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from itertools import pairwise

import numpy as np

from ..parallel import in_threads
from .views import ViewMaps, chosen_views


@dataclass(frozen=True)
class Nesting:
    """Whether every cut refines the next coarser one.

    Attributes:
        cuts: How many cuts were checked.
        broken: Segments of a finer cut that do not lie in one segment of the next; 0 in any sound tree.
        pixels: Part of the labelled pixels whose label at a level does not lie in that at the next one. A pixel takes
            the majority of the points around it at each cut by itself, which along borders need not be nested.
    """

    cuts: int
    broken: int
    pixels: float


def broken_segments(partitions: Iterable[np.ndarray], *, workers: int = 1) -> int:
    """Segments of a partition that do not lie in one segment of the next coarser one, counted over all of them.

    Args:
        partitions: Segment of each of N points, [N] each, non-negative and without large gaps, finest first.
        workers: Threads that compare two of them each.

    >>> broken_segments([np.array([0, 1, 1]), np.array([2, 2, 3])])
    1
    """
    return sum(in_threads(lambda pair: _broken(*pair), pairwise(partitions), workers=workers))


def _broken(fine: np.ndarray, coarse: np.ndarray) -> int:
    """Segments of a partition [N] that do not lie in one segment of another one [N]."""
    segments = int(fine.max(initial=-1)) + 1
    member, divided = np.zeros(segments, np.int64), np.zeros(segments, bool)
    member[fine] = np.arange(len(fine))  # a point of each segment
    divided[fine[coarse[member[fine]] != coarse]] = True
    return int(divided.sum())


@dataclass(frozen=True)
class PixelCounts:
    """Pixels of the views of one split that were looked at.

    Attributes:
        solid: Those that show a surface.
        unlabelled: Those among them without a label.
        steps: Labelled pixels times steps from a level to the next coarser one.
        broken: Steps at which the finer label is no part of the coarser one.
    """

    solid: int
    unlabelled: int
    steps: int
    broken: int


def count_pixels(table: list[np.ndarray], maps: ViewMaps, split: str) -> PixelCounts:
    """Count missing labels and broken steps in a few views of a split; `table` as for `mask_agreement`."""
    solid, unlabelled, steps, broken, kept = 0, 0, 0, 0, []
    for index in chosen_views(maps.scene, split):
        labels, shows = maps.labels[split, index], maps.depth[split, index] > 0
        labelled = labels.columns[:, 0] >= 0
        pixels = np.bincount(labels.index.ravel(), minlength=len(labels.columns))[labelled]  # of each column
        kept.append((labels.columns[labelled], pixels))
        solid += int(shows.sum())
        unlabelled += int((shows & ~labelled[labels.index]).sum())
        steps += int(pixels.sum()) * (labels.columns.shape[1] - 1)
    member = np.zeros(2 * len(table[0]), np.int64)
    for level in range(len(table) - 1):
        member[table[level]] = np.arange(len(table[level]))  # a point of each segment
        for columns, pixels in kept:
            expected = table[level + 1][member[columns[:, level]]]
            broken += int(pixels[expected != columns[:, level + 1]].sum())
    return PixelCounts(solid, unlabelled, steps, broken)
