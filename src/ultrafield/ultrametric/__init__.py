"""Ultrametrics on graphs: minimum spanning forests, bottleneck queries, merge trees, and losses that shape them.

An ultrametric is a distance with d(a, c) ≤ max(d(a, b), d(b, c)): the distance of a tree in which two leaves are as
far apart as their lowest common ancestor is high. Any graph with a dissimilarity per edge gives one, and cutting its
tree at a height gives a partition; all those partitions are nested. This package is usable on its own with arrays.

**Trees** (NumPy in, NumPy out; PyTorch is never imported):

>>> import numpy as np
>>> from ultrafield.types import AffinityGraph
>>> from ultrafield.ultrametric import EditedTree, build_tree, condense, cut, cut_into, flat
>>> from ultrafield.ultrametric import lowest_common_ancestor, mixed_cut, open_node
>>> edges = np.array([[0, 1], [1, 2], [2, 3], [3, 4], [4, 5]])
>>> dissimilarity = np.array([0.1, 0.125, 0.75, 0.25, 0.1875], np.float32)
>>> graph = AffinityGraph(6, edges, dissimilarity, evidence=np.ones(5, np.float32), bound=1.0)
>>> tree = build_tree(graph, linkage="average")
>>> cut(tree, 0.5).tolist()  # node ids: two segments
[7, 7, 7, 9, 9, 9]
>>> cut_into(tree, 3).tolist()  # the first segment keeps its id
[7, 7, 7, 3, 8, 8]
>>> ancestor = lowest_common_ancestor(tree, np.array([[0, 2], [0, 5]]))
>>> tree.heights[ancestor].tolist()
[0.125, 0.75]
>>> condense(tree, min_size=3).nodes.tolist()  # the clusters with at least three leaves
[10, 7, 9]
>>> flat(tree, min_size=3).tolist()  # the most stable of them, each at its own height
[7, 7, 7, 9, 9, 9]
>>> mixed_cut(tree, open_node(tree, np.array([7, 9]), 9)).tolist()  # one segment open, its sibling closed
[7, 7, 7, 3, 8, 8]
>>> edited = EditedTree(tree)
>>> edited.merge([7, 3])  # leaf 3 moves to the first segment, a new node
11
>>> edited.cut(0.5).tolist()
[11, 11, 11, 11, 8, 8]

**Bottlenecks** (PyTorch; CPU tensors run through numba, CUDA tensors stay on their device): `boruvka` finds the
minimum spanning forest, `minimax` the edge that limits the best path of every pair in one batch.
`bottlenecks` is both in one, without the forest.

>>> import torch
>>> from ultrafield.ultrametric import boruvka, minimax
>>> forest = boruvka(6, torch.from_numpy(edges), torch.from_numpy(dissimilarity))
>>> minimax(forest, torch.tensor([[0, 2], [0, 5]])).tolist()  # edge indices
[1, 2]

**Losses**: `pixel_graph` joins neighbouring sampled pixels, `border_crossings` marks edges across mask borders,
`sample_pairs` draws comparisons from masks and their chains; `euclidean_loss` and `ultrametric_loss` turn them into
gradients. See `pairs`, `neighbors` and `losses` for the rules.
"""

from __future__ import annotations

from typing import Any

from .boruvka import BoruvkaTree, boruvka
from .bottlenecks import bottlenecks
from .condense import CondensedTree, condense
from .edits import EditedTree, Operation, load_edits, save_edits
from .evidence import MergeEvidence, merge_evidence
from .flat import cluster_labels, flat, select_clusters
from .linkage import build_tree
from .minimax import minimax
from .neighbors import border_crossings, border_shares, pixel_graph, pixel_neighbors
from .pairs import Pairs, sample_pairs, unpack_membership
from .partition import close_node, mixed_cut, open_node
from .tree import (
    ancestors,
    check_tree,
    child_nodes,
    cut,
    cut_into,
    leaves,
    load_tree,
    lowest_common_ancestor,
    save_tree,
    subtree,
)

_LOSSES = ("contrastive_loss", "euclidean_loss", "ultrametric_loss")

__all__ = [
    "BoruvkaTree",
    "CondensedTree",
    "EditedTree",
    "MergeEvidence",
    "Operation",
    "Pairs",
    "ancestors",
    "border_crossings",
    "border_shares",
    "boruvka",
    "bottlenecks",
    "build_tree",
    "check_tree",
    "child_nodes",
    "close_node",
    "cluster_labels",
    "condense",
    "contrastive_loss",
    "cut",
    "cut_into",
    "euclidean_loss",
    "flat",
    "leaves",
    "load_edits",
    "load_tree",
    "lowest_common_ancestor",
    "merge_evidence",
    "minimax",
    "mixed_cut",
    "open_node",
    "pixel_graph",
    "pixel_neighbors",
    "sample_pairs",
    "save_edits",
    "save_tree",
    "select_clusters",
    "subtree",
    "ultrametric_loss",
    "unpack_membership",
]


def __getattr__(name: str) -> Any:
    """Import the losses on first use: they need PyTorch, the trees do not."""
    if name in _LOSSES:
        from . import losses

        return getattr(losses, name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
