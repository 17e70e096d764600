"""Nodes of a merge tree that stand for given sets of leaves."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

import numpy as np

from ..errors import check_shape

if TYPE_CHECKING:
    from .tree import Tree


def best_nodes(tree: Tree, sets: Iterable[np.ndarray], counted: np.ndarray | None = None) -> list[tuple[int, float]]:
    """The node that fits each set of leaves best, by IoU.

    Args:
        tree: A merge tree over n leaves.
        sets: Which leaves are in each set [n], bool.
        counted: Which leaves count [n], bool; the others are in no set and in no node. All if None.

    Returns:
        For each set a node, the smallest of equally good ones, and its IoU; −1 and 0 for an empty set.

    >>> from ultrafield.ultrametric import Tree
    >>> tree = Tree([3, 3, 4, 4, 4], [0, 0, 0, 0.2, 0.7], [1, 1, 1, 2, 3])
    >>> best_nodes(tree, [np.array([True, True, False])])
    [(3, 1.0)]
    """
    from .kernels.best_cpu import best_node_cpu

    leaves = np.ones(tree.num_leaves, bool) if counted is None else np.asarray(counted, bool)
    check_shape("counted", leaves, (tree.num_leaves,))
    found = []
    for index, member in enumerate(sets):
        check_shape(f"sets[{index}]", member, (tree.num_leaves,))
        node, iou = best_node_cpu(tree.parents, leaves, np.asarray(member, bool))
        found.append((int(node), float(iou)))
    return found
