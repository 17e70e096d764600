"""Which cuts of a tree to show: the few that persist, and many that miss nothing."""

from __future__ import annotations

import numpy as np

from ..types import Tree

_FEWEST, _MOST = 3, 6
_COVERED = 0.9  # part of the leaves that must lie in substantial segments before a cut is worth showing


def levels(tree: Tree, *, min_size: int = 0) -> np.ndarray:
    """The three to six heights whose segmentations persist longest, so that nobody has to guess a threshold.

    Only merges of two *substantial* regions change what one sees. Between two such merges the segmentation stands
    still; a level is the middle of a wide gap. To cover the range from few to many segments, their number is divided
    evenly on a logarithmic scale, and each division gives the widest gap in it. Heights at which a tenth of the leaves
    are still crumbs are left out.

    Args:
        tree: A merge tree.
        min_size: Leaves that make a region substantial; 0 takes a thousandth of all, but at least 2.

    Returns:
        Heights, ascending, float32 [L]; fewer than three only if the tree has no more distinct cuts.
    """
    below, above = _gaps(substantial_merges(tree, min_size)[0])
    covered = _covering_height(tree, _min_size(tree, min_size))
    worth = (above > covered) & (below < above)
    below, above = np.maximum(below, covered), above
    middle = (0.5 * (below.astype(np.float64) + above)).astype(np.float32)
    worth &= (middle >= below) & (middle < above)  # else no float32 lies between the two
    if not worth.any():
        return tree.heights[-1:].copy()
    counts = len(above) + 1 - np.arange(len(above))  # substantial segments in each gap: one more than merges above it
    return np.sort(_pick(middle[worth], (above - below)[worth], counts[worth]))


def spread_cuts(tree: Tree, count: int, levels: np.ndarray, *, min_size: int = 0) -> np.ndarray:
    """Heights spread over the tree's range, so that every substantial segment appears at one of them.

    They are quantiles of the heights at which substantial regions merge, larger ones counting more, together with the
    automatic levels and the root.

    Args:
        tree: A merge tree.
        count: How many heights.
        levels: Heights to include [L], float32; they all stay even if there are more than `count`.
        min_size: As for `levels`.

    Returns:
        Heights, ascending and distinct, float32 [max(count, L)]; a single one if all leaves merge at height 0.

    Raises:
        ValueError: `count` is below 1.
    """
    if count < 1:
        raise ValueError(f"count: expected at least 1, got {count}")
    top = tree.heights[-1]
    if top == 0:
        return np.zeros(1, np.float32)
    chosen = np.unique(np.asarray(levels, np.float32))
    if len(chosen) < count:
        chosen = np.union1d(chosen, top)
    missing = count - len(chosen)
    if missing > 0:
        merges, smaller = substantial_merges(tree, min_size)
        weights = 1.0 + np.log(smaller / _min_size(tree, min_size))
        chosen = np.union1d(chosen, _weighted_quantiles(merges, weights, missing))
    while len(chosen) < count:  # quantiles coincided
        edges = np.concatenate([np.zeros(1, np.float32), chosen])
        widest = int(np.argmax(np.diff(edges)))
        chosen = np.union1d(chosen, np.float32(0.5) * (edges[widest] + edges[widest + 1]))
    return chosen.astype(np.float32)


def substantial_merges(tree: Tree, min_size: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Merges of two regions that are both substantial.

    Args:
        tree: A merge tree over n leaves.
        min_size: As for `levels`.

    Returns:
        Heights [K] float32, ascending, and the size of the smaller region [K] int64.
    """
    n = tree.num_leaves
    smaller = np.full(len(tree.parents), np.iinfo(np.int64).max)
    np.minimum.at(smaller, tree.parents[:-1], tree.sizes[:-1])
    merges = n + np.flatnonzero(smaller[n:] >= _min_size(tree, min_size))
    merges = merges[np.argsort(tree.heights[merges], kind="stable")]
    return tree.heights[merges], smaller[merges]


def _min_size(tree: Tree, min_size: int) -> int:
    return min_size or max(2, tree.num_leaves // 1000)


def _gaps(heights: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Lower and upper end of the intervals between consecutive heights [K], the first beginning at 0."""
    return np.concatenate([np.zeros(1, np.float32), heights[:-1]])[: len(heights)], heights


def _covering_height(tree: Tree, min_size: int) -> np.float32:
    """Lowest height at which substantial segments hold `_COVERED` of the leaves."""
    inner = tree.parents[:-1]
    joining = (tree.sizes[:-1] < min_size) & (tree.sizes[inner] >= min_size)  # a crumb joins a substantial segment
    heights, leaves = tree.heights[inner[joining]], tree.sizes[:-1][joining]
    order = np.argsort(heights, kind="stable")
    held = np.cumsum(leaves[order])
    enough = np.searchsorted(held, _COVERED * tree.num_leaves)
    return heights[order][enough] if enough < len(held) else np.float32(0)


def _pick(heights: np.ndarray, widths: np.ndarray, counts: np.ndarray) -> np.ndarray:
    """The widest gap of each division of the logarithmic range of counts, then the widest others up to `_FEWEST`."""
    divisions = int(np.clip(np.log2(counts.max()), _FEWEST, _MOST))
    low, high = np.log(counts.min()), np.log(counts.max())
    position = (np.log(counts) - low) / max(high - low, 1e-12)
    division = np.minimum((position * divisions).astype(np.int64), divisions - 1)
    by_width = np.argsort(-widths, kind="stable")
    _, first = np.unique(division[by_width], return_index=True)
    chosen = by_width[first]
    if len(chosen) < _FEWEST:
        others = by_width[~np.isin(by_width, chosen)]
        chosen = np.concatenate([chosen, others[: _FEWEST - len(chosen)]])
    return heights[chosen]


def _weighted_quantiles(values: np.ndarray, weights: np.ndarray, count: int) -> np.ndarray:
    """`count` evenly spaced quantiles of ascending values [K], as float32; none for no values."""
    if len(values) == 0:
        return np.zeros(0, np.float32)
    position = (np.cumsum(weights) - 0.5 * weights) / weights.sum()
    return np.interp((np.arange(count) + 0.5) / count, position, values).astype(np.float32)
