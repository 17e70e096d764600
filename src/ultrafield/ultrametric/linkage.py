"""From a graph of dissimilarities to a binary merge tree."""

from __future__ import annotations

from typing import Literal

import numpy as np

from ..devices import device_name
from ..errors import check_choice
from .graph import AffinityGraph
from .tree import Tree

# A guess must not outvote what was seen, yet decide where nothing was: edges without evidence weigh this fraction of
# the least evidence there is.
_GUESS = 1e-3


def build_tree(
    graph: AffinityGraph,
    *,
    linkage: Literal["single", "average"] = "average",
    weights: Literal["evidence", "count"] = "evidence",
    device: str = "cpu",
) -> Tree:
    """Merge nodes nearest first until one region is left.

    The result does not depend on the order or direction of the edges. Equal heights are merged in an order that only
    the graph decides: that of the edges' nodes for single linkage, a fixed shuffle of it for average linkage, so that
    plateaus grow evenly. Parallel edges are pieces of evidence of one border.

    Args:
        graph: Nodes, edges and dissimilarities; parallel edges and disconnected parts are allowed.
        linkage: "single" merges along the lightest edge (quasi-flat zones; heights are minimax distances); "average"
            merges regions by the weighted mean dissimilarity along their common border, which resists leaks. Where
            the dissimilarities are an ultrametric already (`graph.ultrametric`) both find it, and "single" is taken.
        weights: Weight of an edge in that mean: its "evidence" (an edge without evidence is a guess and weighs next
            to nothing), or one ("count"). Single linkage ignores it.
        device: Where the spanning forest of single linkage is found, "cpu" or "cuda"; the tree is the same. Average
            linkage runs on the CPU.

    Returns:
        A tree whose merges are numbered in merging order: heights are non-decreasing in the id. Parts that no edge
        joins are joined at `graph.bound`, the smallest first, so that the topmost splits set the largest apart.

    Raises:
        ConfigError: An unknown linkage or weighting.
        ValueError: An unknown device.
        BackendError: CUDA was asked for by name and cannot run here.

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
    device = device_name(device)
    if linkage == "single" or graph.ultrametric:
        parents, heights = _single(graph, device)
    else:
        parents, heights = _average(graph, weights)
    return _close(graph.num_nodes, parents, heights, graph.bound)


def _single(graph: AffinityGraph, device: str) -> tuple[np.ndarray, np.ndarray]:
    """Parents and heights of the merges along the minimum spanning forest."""
    from .kernels.linkage_cpu import single_linkage

    forest = _forest(graph) if device == "cpu" else _forest_on_device(graph, device)
    return single_linkage(graph.num_nodes, *forest)


def _forest(graph: AffinityGraph) -> tuple[np.ndarray, np.ndarray]:
    """Edges of the minimum spanning forest [F, 2] and their dissimilarities [F], in merging order."""
    from .kernels.boruvka_cpu import rounds
    from .kernels.edges_cpu import sort_edges

    (left, right), dissimilarity = _ends(graph), graph.dissimilarity
    _, order = sort_edges(graph.num_nodes, left, right, dissimilarity, dissimilarity)
    _, chosen = rounds(graph.num_nodes, left[order], right[order], dissimilarity[order])
    taken = np.zeros(len(order) + 1, bool)
    for choice in chosen:
        taken[choice] = True  # -1 marks the spare last place
    forest = order[np.flatnonzero(taken[:-1])]
    forest = forest[_ascending(dissimilarity[forest])]
    return np.stack([left[forest], right[forest]], axis=1), dissimilarity[forest]


def _forest_on_device(graph: AffinityGraph, device: str) -> tuple[np.ndarray, np.ndarray]:
    """`_forest` through Triton."""
    import torch

    from .boruvka import rounds_needed
    from .kernels.forest_gpu import sorted_forest_gpu

    edges, weights = torch.tensor(graph.edges, device=device), torch.tensor(graph.dissimilarity, device=device)
    forest, weights = sorted_forest_gpu(graph.num_nodes, edges, weights, rounds_needed(graph.num_nodes))
    return forest.cpu().numpy(), weights.cpu().numpy()


def _average(graph: AffinityGraph, weights: str) -> tuple[np.ndarray, np.ndarray]:
    """Parents and heights of the merges by mean dissimilarity along borders."""
    from .kernels.linkage_cpu import average_linkage
    from .kernels.matching_cpu import Borders, pool

    left, right = _ends(graph)
    weight = np.ones(len(left))
    evidence = np.asarray(graph.evidence, np.float64)
    if weights == "evidence" and (evidence > 0).any():
        weight = np.where(evidence > 0, evidence, _GUESS * evidence[evidence > 0].min())
    means = graph.dissimilarity.astype(np.float64)
    del evidence
    # Pieces of one border are summed in the order of their means and weights, whatever order they came in.
    pieces = Borders(left, right, np.stack([means, means * weight, weight, weight], axis=1))
    del means, weight
    borders = pool(graph.num_nodes, pieces, np.arange(graph.num_nodes, dtype=left.dtype))
    del left, right, pieces
    borders.sums[:, 3] = _shuffled(len(borders))
    return average_linkage(graph.num_nodes, borders)


def _ends(graph: AffinityGraph) -> tuple[np.ndarray, np.ndarray]:
    """The smaller and the larger end of each edge [E]."""
    from .kernels.edges_cpu import canonical_ends

    index = np.int32 if max(graph.num_nodes, len(graph.edges)) < 2**31 else np.int64
    return canonical_ends(graph.edges, np.zeros(0, index))


def _ascending(values: np.ndarray) -> np.ndarray:
    """Stable order of float32 values [K] that are not negative, sorted as integers, which is several times faster."""
    if len(values) >= 2**32:
        return np.argsort(values, kind="stable")
    bits = (values + np.float32(0)).view(np.uint32)  # -0 becomes 0
    packed = (bits.astype(np.uint64) << np.uint64(32)) | np.arange(len(values), dtype=np.uint64)
    packed.sort()
    return (packed & np.uint64(0xFFFFFFFF)).astype(np.int64)


def _shuffled(count: int) -> np.ndarray:
    """A fixed permutation of a power of two, cut to `count` distinct numbers [count], int64.

    In index order, a plateau of equal means would grow from its corner one region at a time; in this one it grows
    everywhere at once.
    """
    bits = max(int(count).bit_length(), 2)
    mask, shift = np.uint64((1 << bits) - 1), np.uint64((bits + 1) // 2)
    mixed = np.arange(count, dtype=np.uint64)
    for factor in (0x9E3779B97F4A7C15, 0xBF58476D1CE4E5B9):  # odd, so that each step is invertible
        mixed = (mixed * np.uint64(factor)) & mask
        mixed ^= mixed >> shift
    return mixed.astype(np.int64)


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
    return Tree._trusted(full, lifted, leaf_counts(full, num_nodes))
