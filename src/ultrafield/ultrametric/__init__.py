"""Ultrametrics on graphs: minimum spanning forests, bottleneck queries and merge trees.

An ultrametric is a distance with d(a, c) ≤ max(d(a, b), d(b, c)): the distance of a tree in which two leaves are as
far apart as their lowest common ancestor is high. Any graph with a dissimilarity per edge gives one, and cutting its
tree at a height gives a partition; all those partitions are nested. This package is usable on its own with arrays.

**Trees** (NumPy in, NumPy out; PyTorch is never imported). Most functions of a tree are methods of `Tree` too:

>>> import numpy as np
>>> from ultrafield.ultrametric import AffinityGraph, EditedTree, build_tree, condense, cut, cut_into, flat
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
>>> tree.leaves(7).tolist(), tree.to_linkage()[-1].tolist()
([0, 1, 2], [7.0, 9.0, 0.75, 6.0])
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

"""

from __future__ import annotations

from .apart import set_apart
from .boruvka import BoruvkaTree, boruvka
from .bottlenecks import bottlenecks
from .condense import CondensedTree, condense
from .cuts import cut, cut_into
from .edits import EditedTree, Operation
from .evidence import MergeEvidence, merge_evidence
from .file import load_edits, load_tree, save_edits, save_tree
from .flat import cluster_labels, flat, select_clusters
from .graph import AffinityGraph
from .levels import levels, spread_cuts
from .linkage import build_tree
from .minimax import minimax
from .nodes import ancestors, child_nodes, children, leaves, lowest_common_ancestor, subtree
from .partition import close_node, mixed_cut, open_node
from .tree import Tree, check_tree

__all__ = [
    "AffinityGraph",
    "BoruvkaTree",
    "CondensedTree",
    "EditedTree",
    "MergeEvidence",
    "Operation",
    "Tree",
    "ancestors",
    "boruvka",
    "bottlenecks",
    "build_tree",
    "check_tree",
    "child_nodes",
    "children",
    "close_node",
    "cluster_labels",
    "condense",
    "cut",
    "cut_into",
    "flat",
    "leaves",
    "levels",
    "load_edits",
    "load_tree",
    "lowest_common_ancestor",
    "merge_evidence",
    "minimax",
    "mixed_cut",
    "open_node",
    "save_edits",
    "save_tree",
    "select_clusters",
    "set_apart",
    "spread_cuts",
    "subtree",
]
