"""From a graph of dissimilarities to a binary merge tree."""

from __future__ import annotations

from typing import Literal

import numpy as np

from ..errors import check_choice, check_shape
from ..types import AffinityGraph, Tree

# A guess must not outvote what was seen, yet decide where nothing was: edges without evidence weigh this fraction of
# the least evidence there is.
_GUESS = 1e-3


def build_tree(
    graph: AffinityGraph,
    *,
    linkage: Literal["single", "average"] = "average",
    weights: Literal["evidence", "count"] = "evidence",
) -> Tree:
    """Merge nodes nearest first until one region is left.

    The result does not depend on the order or direction of the edges; where heights are equal, merges follow the
    node indices. Parallel edges are pieces of evidence of one border.

    Args:
        graph: Nodes, edges and dissimilarities; parallel edges and disconnected parts are allowed.
        linkage: "single" merges along the lightest edge (quasi-flat zones; heights are minimax distances); "average"
            merges regions by the weighted mean dissimilarity along their common border, which resists leaks.
        weights: What an edge weighs in that mean: its "evidence" (an edge without evidence is a guess and weighs next
            to nothing), or one ("count"). Single linkage ignores it.

    Returns:
        A tree whose merges are numbered in merging order: heights are non-decreasing in the id. Parts that no edge
        joins are joined at `graph.bound`, the smallest first, so that the topmost splits set the largest apart.

    Raises:
        ValueError: The graph has no node, or an edge is out of range, a self-loop, or has a dissimilarity outside
            [0, bound] (NaN included) or an evidence that is negative or not finite.
        ConfigError: An unknown linkage or weighting.

    >>> import numpy as np
    >>> edges = np.array([[0, 1], [1, 2], [2, 3]])
    >>> near = np.array([0.1, 0.8, 0.2], np.float32)
    >>> graph = AffinityGraph(num_nodes=4, edges=edges, dissimilarity=near, evidence=np.ones(3, np.float32), bound=1.0)
    >>> tree = build_tree(graph, linkage="single")
    >>> tree.parents.tolist(), tree.heights[4:].round(1).tolist()
    ([4, 4, 5, 5, 6, 6, 6], [0.10000000149011612, 0.20000000298023224, 0.800000011920929])
    """
    check_choice("linkage", linkage, ("single", "average"))
    check_choice("weights", weights, ("evidence", "count"))
    edges, dissimilarity, weight = _canonical_edges(graph, weights)
    if linkage == "single":
        from .kernels.linkage_cpu import single_linkage

        order = np.argsort(dissimilarity, kind="stable")
        parents, heights = single_linkage(graph.num_nodes, edges, dissimilarity, order)
    else:
        from .kernels.linkage_cpu import average_linkage

        pairs, totals, pooled = _pool_parallel(edges, dissimilarity, weight)
        parents, heights = average_linkage(graph.num_nodes, pairs, totals, pooled)
    return _close(graph.num_nodes, parents, heights, graph.bound)


def _canonical_edges(graph: AffinityGraph, weights: str) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Checked edges [E, 2], dissimilarity and weight [E] float64, in an order that only their contents decide."""
    _check_graph(graph)
    edges = np.sort(np.asarray(graph.edges, np.int64).reshape(-1, 2), axis=1)
    # Distances of unit vectors overshoot their bound by rounding.
    dissimilarity = np.minimum(np.asarray(graph.dissimilarity, np.float64), graph.bound)
    weight = np.ones(len(edges))
    evidence = np.asarray(graph.evidence, np.float64)
    if weights == "evidence" and (evidence > 0).any():
        weight = np.where(evidence > 0, evidence, _GUESS * evidence[evidence > 0].min())
    order = np.lexsort((weight, dissimilarity, edges[:, 1], edges[:, 0]))
    return edges[order], dissimilarity[order], weight[order]


def _check_graph(graph: AffinityGraph) -> None:
    if graph.num_nodes < 1:
        raise ValueError(f"graph: expected at least one node, got {graph.num_nodes}")
    check_shape("edges", graph.edges, (None, 2))
    count = len(graph.edges)
    check_shape("dissimilarity", graph.dissimilarity, (count,))
    check_shape("evidence", graph.evidence, (count,))
    limit = graph.bound * (1 + 1e-5)
    _refuse("node indices", ((graph.edges < 0) | (graph.edges >= graph.num_nodes)).any(1), graph.edges)
    _refuse("two different nodes", graph.edges[:, 0] == graph.edges[:, 1], graph.edges)
    inside = (graph.dissimilarity >= 0) & (graph.dissimilarity <= limit)  # false for NaN
    _refuse(f"a dissimilarity in [0, {graph.bound:g}]", ~inside, graph.dissimilarity)
    _refuse("a finite evidence of at least 0", ~((graph.evidence >= 0) & (graph.evidence < np.inf)), graph.evidence)


def _refuse(expected: str, broken: np.ndarray, values: np.ndarray) -> None:
    """Raise `ValueError` about the first edge that is broken."""
    if broken.any():
        edge = int(np.argmax(broken))
        raise ValueError(f"graph: edge {edge}: expected {expected}, got {values[edge].tolist()}")


def _pool_parallel(
    edges: np.ndarray, dissimilarity: np.ndarray, weight: np.ndarray
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Distinct pairs [E', 2] of sorted edges with the weighted sum and the weight of each."""
    if len(edges) == 0:
        return edges, dissimilarity, weight
    first = np.flatnonzero(np.r_[True, (edges[1:] != edges[:-1]).any(1)])
    return edges[first], np.add.reduceat(dissimilarity * weight, first), np.add.reduceat(weight, first)


def _close(num_nodes: int, parents: np.ndarray, heights: np.ndarray, bound: float) -> Tree:
    """Count leaves, join what is still apart at `bound`, and make it a `Tree`."""
    from .kernels.tree_cpu import leaf_counts

    full = np.full(2 * num_nodes - 1, -1, np.int64)
    full[: len(parents)] = parents
    lifted = np.full(2 * num_nodes - 1, bound, np.float32)
    lifted[: len(heights)] = heights
    roots = np.flatnonzero(parents < 0)
    roots = roots[np.argsort(leaf_counts(parents, num_nodes)[roots], kind="stable")]
    # The first join takes two parts, every later one the join before it and one more part.
    full[roots] = len(parents) + np.maximum(np.arange(len(roots)) - 1, 0)
    full[len(parents) :] = np.arange(len(parents) + 1, 2 * num_nodes)
    full[-1] = 2 * num_nodes - 2
    return Tree(full, lifted, leaf_counts(full, num_nodes))
