"""Evidence between whole regions: small patches of surface, and how they join by all their pairs of points.

The votes of an edge between neighbouring points are few and unsure: both ends are next to the border that they may
cross, which every mask draws a pixel or so elsewhere. Two patches are compared by all pairs of their points instead,
most of which lie far from any border. With A(m) points of patch A in mask m, of weight w(m), and A(v) points seen from
view v, the weights of the masks that hold both points of a pair, and either point, add up to

    both(A, B) = Σ_m w(m) A(m) B(m)        either(A, B) = Σ_v [w·A](v) B(v) + A(v) [w·B](v) − both(A, B)

where [w·A](v) = Σ w(m) A(m) over the masks of view v. Both sums add when patches merge, so average linkage over all
pairs of points costs no more than rows of counts. Only patches that touch are merged, in rounds: all that are each
other's nearest at once.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from ..scene import Scene
from ..surface import Surface
from ..ultrametric import AffinityGraph
from .memberships import memberships

if TYPE_CHECKING:
    from .kernels.rows_cpu import Rows

# Neighbours that together make a region larger by no more than this are taken up at once, and where regions join one
# after the other one that grew by no more keeps its dissimilarities: its means hardly move.
_SLACK = 0.02


def superpoints(graph: AffinityGraph, count: int) -> np.ndarray:
    """Divide the surface into many small patches that no border crosses: a low cut of the edges' own tree.

    Args:
        graph: Edges between N points with a dissimilarity each.
        count: How many patches; N if there are fewer points.

    Returns:
        Patch of every point [N], int64, 0 … R − 1, in the order of their first points: neighbours have near numbers.
    """
    from ..ultrametric import build_tree, cut_into

    nodes, points = cut_into(build_tree(graph, linkage="average"), count), np.arange(graph.num_nodes)
    first = np.empty(2 * graph.num_nodes - 1, np.int64)
    first[nodes[::-1]] = points[::-1]  # of several points the last one written stays
    return (np.cumsum(first[nodes] == points) - 1)[first[nodes]]


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


def join_regions(graph: AffinityGraph, labels: np.ndarray, rows: Rows) -> AffinityGraph:
    """Merge patches by what is counted in `rows`, and give every edge the height at which those of its ends meet.

    Args:
        graph: Edges between N points.
        labels: Patch of every point [N], int64, 0 … R − 1.
        rows: What the R patches hold; used up.

    Returns:
        The same edges with the same evidence; dissimilarity 0 within patches, and never more than the graph's bound.
    """
    from .kernels.regions_cpu import join_heights

    ends = np.sort(labels[graph.edges], axis=1)
    across = ends[:, 0] != ends[:, 1]
    regions = len(rows)
    keys, pair = np.unique(ends[across, 0] * regions + ends[across, 1], return_inverse=True)
    borders = np.bincount(pair, minlength=len(keys)).astype(np.float64)
    guesses = np.bincount(pair, graph.dissimilarity[across].astype(np.float64), len(keys)) / borders
    pairs = np.stack([keys // regions, keys % regions], axis=1)
    heights = join_heights(pairs, guesses, borders, rows, _SLACK)
    dissimilarity = np.zeros(len(graph.edges), np.float32)
    dissimilarity[across] = np.minimum(heights, graph.bound)[pair]
    return AffinityGraph(graph.num_nodes, graph.edges, dissimilarity, graph.evidence, graph.bound, ultrametric=True)
