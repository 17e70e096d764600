"""Heights at which to cut a tree: the few that persist, and many that miss nothing."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from .condense import CondensedTree, condense
from .nodes import children, subtree
from .substantial import cluster_of_nodes, substantial_size

if TYPE_CHECKING:
    from .tree import Tree

_FEWEST, _MOST = 3, 6
_GAIN = 0.005  # least gain in expected covering of a further level
_COVERED = 0.5  # part of the leaves that must lie in substantial segments before a cut is worth showing
_BINS = 128  # most candidates, evenly along the logarithm of the number of segments
_NEIGHBORHOOD = 0.35  # of that logarithm: a factor of √2 either way
_TRANSIENCE = 0.01  # expected covering that a level may lose by lying in the widest gap of its neighbourhood


def levels(tree: Tree, *, min_size: int | None = None) -> NDArray[np.float32]:
    """The three to six heights that together show the tree best, so that nobody has to guess a threshold.

    Only merges of two *substantial* regions change what one sees; between two such merges the segmentation persists.
    Suppose that the user looks for a segment of an unknown one of those segmentations, where all orders of magnitude
    of the number of segments are equally likely. The levels are the heights with the best expected covering
    (`metrics.normalized_covering`) of that segment, found exactly by dynamic programming, and as few as come close to
    the best; where others do nearly as well, those that persist longest. So a level is far from the next one in what
    it shows, however close in height. Only the order of heights matters, and which of neighbouring gaps is the wider:
    levels show much the same segments where all heights of a tree are squeezed or stretched.

    Segmentations in which leaves are still crumbs count less, and not at all where more than half of them are. The
    coarsest level is the whole tree, which tells the foreground from the background. Where surroundings are set apart,
    the levels are those of the rest, and the coarsest one shows the two.

    Args:
        tree: A merge tree.
        min_size: Leaves that make a region substantial; None takes a thousandth of all, but at least 2.

    Returns:
        Heights, ascending, float32 [L]; fewer than three only if the tree has no more distinct cuts.
    """
    least = substantial_size(tree, min_size)
    if tree.surroundings is not None:
        return _levels_beside(tree, tree.surroundings, least)
    clusters = condense(tree, least)
    gaps = _gaps(tree, clusters, least)
    candidates = _candidates(gaps)
    heights = gaps.middle[candidates]
    if len(heights) <= _FEWEST:
        return heights
    coverings = _coverings(tree, clusters, heights)
    return heights[_best(*coverings, _weights(clusters, gaps), _persistence(gaps, candidates))]


def _levels_beside(tree: Tree, surroundings: int, min_size: int) -> NDArray[np.float32]:
    """Levels of what is left of a tree beside one of the root's children, the coarsest of which shows that child whole.

    A child that an edit has split right below the root has no such level.
    """
    (rest,) = set(children(tree, len(tree.parents) - 1).tolist()) - {surroundings}
    heights = levels(subtree(tree, rest)[0], min_size=min_size)
    if tree.heights[surroundings] < tree.heights[-1]:
        heights[-1] = max(heights[-1], tree.heights[surroundings])
    return heights


def spread_cuts(tree: Tree, count: int, levels: np.ndarray, *, min_size: int | None = None) -> np.ndarray:
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
        weights = 1.0 + np.log(smaller / substantial_size(tree, min_size))
        chosen = np.union1d(chosen, _weighted_quantiles(merges, weights, missing))
    while len(chosen) < count:  # quantiles coincided
        edges = np.concatenate([np.zeros(1, np.float32), chosen])
        widest = int(np.argmax(np.diff(edges)))
        chosen = np.union1d(chosen, np.float32(0.5) * (edges[widest] + edges[widest + 1]))
    return chosen.astype(np.float32)


def substantial_merges(tree: Tree, min_size: int | None = None) -> tuple[np.ndarray, np.ndarray]:
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
    merges = n + np.flatnonzero(smaller[n:] >= substantial_size(tree, min_size))
    merges = merges[np.argsort(tree.heights[merges], kind="stable")]
    return tree.heights[merges], smaller[merges]


@dataclass(frozen=True, eq=False)
class _Gaps:
    """Intervals of heights in which no two substantial regions merge, the last one being the root alone.

    Attributes:
        below, above: Ends of each interval [G], float64, ascending; for the last one both are the tree's height.
        middle: The height to cut at [G], float32.
        segments: Number of substantial segments that take part in merges from here on [G], int64, falling to 1.
        covered: Part of the leaves that lie in substantial segments at `middle` [G], float64.
    """

    below: np.ndarray
    above: np.ndarray
    middle: np.ndarray
    segments: np.ndarray
    covered: np.ndarray

    @property
    def likelihood(self) -> np.ndarray:
        """Each gap's share of the logarithmic axis of numbers of segments, less where there are crumbs [G], float64."""
        between = 0.5 * (self.segments[1:] + self.segments[:-1])
        ends = np.concatenate([self.segments[:1] + 0.5, between, [0.5]])
        return np.log(ends[:-1] / ends[1:]) * self.covered


def _gaps(tree: Tree, clusters: CondensedTree, min_size: int) -> _Gaps:
    top = float(tree.heights[-1])
    merges = np.sort(clusters.death[1:])[::2].astype(np.float64)  # every merge ends two clusters
    joined, share = _joining(tree, min_size)
    half = np.searchsorted(share, _COVERED)
    lowest = float(joined[half]) if half < len(joined) else 0.0
    below, above = np.concatenate([[0.0], merges]), np.append(merges, top)
    below = np.maximum(below, lowest)
    below[-1] = top
    middle = (0.5 * (below + above)).astype(np.float32)
    real = (middle >= below) & (middle < above)  # else no float32 lies between the two
    real[-1] = True
    alone = float(min_size <= 1)  # part of the leaves that are substantial by themselves
    covered = np.concatenate([[alone], share])[np.searchsorted(joined, middle, side="right")]
    segments = len(merges) + 1 - np.arange(len(merges) + 1)
    return _Gaps(below[real], above[real], middle[real], segments[real], covered[real])


def _joining(tree: Tree, min_size: int) -> tuple[np.ndarray, np.ndarray]:
    """Heights at which crumbs join substantial segments, ascending [J], and part of the leaves in them by then [J]."""
    inner = tree.parents[:-1]
    joining = (tree.sizes[:-1] < min_size) & (tree.sizes[inner] >= min_size)
    heights, leaves = tree.heights[inner[joining]], tree.sizes[:-1][joining]
    order = np.argsort(heights, kind="stable")
    return heights[order], np.cumsum(leaves[order]) / tree.num_leaves


def _candidates(gaps: _Gaps) -> np.ndarray:
    """The widest gap in each bin of the logarithm of the number of segments, and the root; ascending [T], int64."""
    root = len(gaps.segments) - 1
    bins = (np.log(gaps.segments[:root]) / np.log(gaps.segments[0] + 1.0) * _BINS).astype(np.int64)
    widest_first = np.lexsort((gaps.below[:root] - gaps.above[:root], bins))
    _, first = np.unique(bins[widest_first], return_index=True)
    return np.append(np.sort(widest_first[first]), root)


def _persistence(gaps: _Gaps, candidates: np.ndarray) -> np.ndarray:
    """Width of each candidate as a part of the widest gap around it [T], float64; 1 for the root."""
    width, logarithm = gaps.above - gaps.below, np.log(gaps.segments)
    around = np.abs(logarithm[candidates[:-1], None] - logarithm[:-1]) <= _NEIGHBORHOOD  # [T - 1, G - 1]
    widest = np.where(around, width[:-1], 0.0).max(axis=1, initial=0.0)
    return np.append(width[candidates[:-1]] / widest, 1.0)


def _weights(clusters: CondensedTree, gaps: _Gaps) -> np.ndarray:
    """Probability that each cluster is the segment looked for [C], float64; equal for all segments of a gap."""
    likely = np.concatenate([[0.0], np.cumsum(gaps.likelihood / gaps.segments)])
    first = np.searchsorted(gaps.middle, clusters.birth)
    beyond = np.searchsorted(gaps.middle, clusters.death)
    first[0], beyond[0] = len(gaps.segments) - 1, len(gaps.segments)  # the root has a gap of its own
    return likely[np.maximum(beyond, first)] - likely[first]


def _coverings(tree: Tree, clusters: CondensedTree, heights: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Covering of the clusters by cuts: the mean over a cluster's leaves of their segment's IoU with it.

    Args:
        tree: A merge tree over n leaves.
        clusters: C clusters of it.
        heights: Where to cut it, ascending [T], float32.

    Returns:
        Covering by the segments inside the cluster, and by the segment that holds it [C, T], float64; and the first
        cut at which it is part of a larger segment [C], int64, T for the root.
    """
    count, cuts = len(clusters), len(heights)
    first = np.searchsorted(heights, tree.heights)  # a node is a segment from its own height to its parent's
    beyond = np.searchsorted(heights, tree.heights[tree.parents])
    beyond[-1] = cuts
    visible = np.flatnonzero(beyond > first)  # nodes that are a segment of some cut
    square = tree.sizes[visible].astype(np.float64) ** 2
    row = cluster_of_nodes(tree, clusters)[visible] * (cuts + 1)
    change = np.bincount(row + first[visible], square, count * (cuts + 1))
    change -= np.bincount(row + beyond[visible], square, count * (cuts + 1))
    pieces = np.cumsum(change.reshape(count, cuts + 1), axis=1)[:, :cuts]
    for cluster in range(count - 1, 0, -1):  # children after their parents, so each is complete by its turn
        pieces[clusters.parents[cluster]] += pieces[cluster]
    sizes = clusters.sizes.astype(np.float64)
    inside = pieces / sizes[:, None] ** 2

    death = np.searchsorted(heights, clusters.death)
    death[0] = cuts
    holder = np.repeat(sizes[:, None], cuts, axis=1)  # size of the segment that holds the cluster at each cut
    for cluster in range(1, count):
        holder[cluster, death[cluster] :] = holder[clusters.parents[cluster], death[cluster] :]
    return inside, sizes[:, None] / holder, death


def _best(
    pieces: np.ndarray, whole: np.ndarray, death: np.ndarray, weights: np.ndarray, persistence: np.ndarray
) -> np.ndarray:
    """The fewest candidates, from `_FEWEST` to `_MOST`, to which another one would not add `_GAIN`; [L], int64."""
    from .kernels.levels_cpu import best_paths_cpu, uncovered_cpu

    loss = uncovered_cpu(pieces, whole, death, weights / weights.sum())
    loss[:, 1:-1] += _TRANSIENCE * (1.0 - persistence)
    totals, chosen = best_paths_cpu(loss, min(_MOST, len(persistence)))
    count = _FEWEST
    while count < len(totals) and totals[count - 1] - totals[count] >= _GAIN:
        count += 1
    return chosen[count - 1, :count]


def _weighted_quantiles(values: np.ndarray, weights: np.ndarray, count: int) -> np.ndarray:
    """`count` evenly spaced quantiles of ascending values [K], as float32; none for no values."""
    if len(values) == 0:
        return np.zeros(0, np.float32)
    position = (np.cumsum(weights) - 0.5 * weights) / weights.sum()
    return np.interp((np.arange(count) + 0.5) / count, position, values).astype(np.float32)
