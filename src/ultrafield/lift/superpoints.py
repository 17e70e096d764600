"""Evidence between whole regions: small patches of surface, and how they join by all their pairs of points.

The votes of an edge between neighbouring points are few and unsure: both ends are next to the border that they may
cross, which every mask draws a pixel or so elsewhere. Two patches are compared by all pairs of their points instead,
most of which lie far from any border. With A(m) points of patch A in mask m, of weight w(m), and A(v) points seen from
view v, the weights of the masks that hold both points of a pair, and either point, add up to

    both(A, B) = Σ_m w(m) A(m) B(m)        either(A, B) = Σ_v [w·A](v) B(v) + A(v) [w·B](v) − both(A, B)

where [w·A](v) = Σ w(m) A(m) over the masks of view v. Both sums add when patches merge, so average linkage over all
pairs of points costs no more than rows of counts. Only patches that touch are merged.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise

import numpy as np

from ..parallel import in_threads
from ..scene import Scene
from ..surface import Surface
from ..ultrametric import AffinityGraph
from .view_votes import ViewVotes, code_workers, view_votes

# A region that grew by less than this keeps the dissimilarities it has: the mean over its points hardly moved.
_SLACK = 0.02
_COUNTS = 1 << 20  # of points of regions in masks, that are made at once


@dataclass(frozen=True)
class Memberships:
    """How many points of each of R regions every mask of every view holds; rows are sparse.

    Attributes:
        starts: Where each region's row begins [R + 1], int64.
        columns: Masks that hold points of it [nnz], int32, numbered through all views.
        counts: How many [nnz], float64.
        weights: Weight of every mask [K], float64.
        seen: Points of each region that each view sees [R, V], float64.
        weighted: The same points, each with the summed weights of the masks that hold it [R, V], float64.
        sizes: Points of each region [R], float64.
    """

    starts: np.ndarray
    columns: np.ndarray
    counts: np.ndarray
    weights: np.ndarray
    seen: np.ndarray
    weighted: np.ndarray
    sizes: np.ndarray


def superpoints(graph: AffinityGraph, count: int) -> np.ndarray:
    """Divide the surface into many small patches that no border crosses: a low cut of the edges' own tree.

    Args:
        graph: Edges between N points with a dissimilarity each.
        count: How many patches; N if there are fewer points.

    Returns:
        Patch of every point [N], int64, 0 … R − 1.
    """
    from ..ultrametric import build_tree, cut_into

    nodes = cut_into(build_tree(graph, linkage="average"), count)
    patches = np.zeros(2 * graph.num_nodes - 1, np.int64)
    patches[nodes] = 1
    return (np.cumsum(patches) - 1)[nodes]


def join_superpoints(surface: Surface, scene: Scene, graph: AffinityGraph, labels: np.ndarray) -> AffinityGraph:
    """Give every edge the height at which the patches of its ends become one region.

    The heights are an ultrametric: the tree of the graph that is returned is that of the regions, for either linkage.

    Args:
        surface: N points.
        scene: The scene of the surface, with masks.
        graph: Edges between the points with a first dissimilarity each; it decides where no view and mask says
            anything about two regions.
        labels: Patch of every point [N], int64, 0 … R − 1.

    Returns:
        The same edges with the same evidence, and dissimilarity 0 within patches.
    """
    return join_regions(graph, labels, memberships(surface, scene, labels, int(labels.max()) + 1))


def join_regions(graph: AffinityGraph, labels: np.ndarray, rows: Memberships) -> AffinityGraph:
    """Merge patches by what is counted in `rows`, and give every edge the height at which those of its ends meet.

    Args:
        graph: Edges between N points.
        labels: Patch of every point [N], int64, 0 … R − 1.
        rows: What the R patches hold.

    Returns:
        The same edges with the same evidence; dissimilarity 0 within patches, and never more than the graph's bound.
    """
    from .kernels.regions_cpu import join_heights

    ends = np.sort(labels[graph.edges], axis=1)
    across = ends[:, 0] != ends[:, 1]
    regions = len(rows.sizes)
    keys, pair = np.unique(ends[across, 0] * regions + ends[across, 1], return_inverse=True)
    borders = np.bincount(pair, minlength=len(keys)).astype(np.float64)
    guesses = np.bincount(pair, graph.dissimilarity[across].astype(np.float64), len(keys)) / borders
    heights = join_heights(
        np.stack([keys // regions, keys % regions], axis=1),
        guesses,
        borders,
        rows.starts,
        rows.columns,
        rows.counts,
        rows.weights,
        rows.seen,
        rows.weighted,
        rows.sizes,
        _SLACK,
    )
    dissimilarity = np.zeros(len(graph.edges), np.float32)
    dissimilarity[across] = np.minimum(heights, graph.bound)[pair]
    return AffinityGraph(graph.num_nodes, graph.edges, dissimilarity, graph.evidence, graph.bound)


def memberships(surface: Surface, scene: Scene, labels: np.ndarray, regions: int) -> Memberships:
    """Count the points of each region in each mask.

    Args:
        surface: N points.
        scene: The scene of the surface, with masks.
        labels: Region of every point [N], int64.
        regions: Number of regions R.
    """
    order = np.argsort(labels, kind="stable")

    def counted(view: ViewVotes) -> tuple[np.ndarray, ...]:
        row, column, count = _count_members(view, labels, order, regions)
        visible = np.bincount(labels[view.seen], minlength=regions).astype(np.float64)
        return row, column, count, view.weights, visible, np.bincount(row, count * view.weights[column], regions)

    rows, columns, counts, weights, seen, weighted, masks = [], [], [], [], [], [], 0
    workers = code_workers(surface, scene)
    for row, column, count, weight, visible, whole in in_threads(counted, view_votes(surface, scene), workers=workers):
        rows.append(row)
        columns.append((masks + column).astype(np.int32))
        counts.append(count)
        weights.append(weight)
        seen.append(visible)
        weighted.append(whole)
        masks += len(weight)
    if not seen:  # every view has an empty list of masks
        seen, weighted, weights = [np.zeros(regions)], [np.zeros(regions)], [np.zeros(1)]
        rows, columns, counts = [np.zeros(0, np.int64)], [np.zeros(0, np.int32)], [np.zeros(0)]
    row = np.concatenate(rows)
    order = np.argsort(row, kind="stable")
    return Memberships(
        starts=np.concatenate([np.zeros(1, np.int64), np.cumsum(np.bincount(row, minlength=regions))]),
        columns=np.concatenate(columns)[order],
        counts=np.concatenate(counts)[order],
        weights=np.concatenate(weights),
        seen=np.stack(seen, axis=1),
        weighted=np.stack(weighted, axis=1),
        sizes=np.bincount(labels, minlength=regions).astype(np.float64),
    )


def _count_members(
    view: ViewVotes, labels: np.ndarray, order: np.ndarray, regions: int
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """How many points of each region each mask of a view holds, where it holds any.

    Counted for some regions at a time: with thousands of masks the table of all counts, nearly all 0, would be large.

    Args:
        view: The view.
        labels: Region of every point [N], int64.
        order: The points, region by region [N], int64.
        regions: Number of regions R.

    Returns:
        Regions [K], masks [K], int64, and counts [K], float64, ordered by region, then by mask.
    """
    from .kernels.votes_cpu import count_members

    at_once = max(1, _COUNTS // len(view.weights))
    bounds = np.searchsorted(labels[order], np.arange(0, regions + at_once, at_once))
    parts = []
    for block, (first, last) in enumerate(pairwise(bounds)):
        points, start = order[first:last], block * at_once
        members = np.zeros((min(at_once, regions - start), len(view.weights)), np.int64)
        count_members(view.codes[points], view.seen[points], labels[points] - start, members)
        row, column = np.nonzero(members)
        parts.append((start + row, column, members[row, column].astype(np.float64)))
    rows, columns, counts = (np.concatenate(part) for part in zip(*parts, strict=True))
    return rows, columns, counts
