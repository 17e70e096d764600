"""Regions of a tree that are large enough to be worth a name."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from .condense import CondensedTree

if TYPE_CHECKING:
    from .tree import Tree

_PART, _FEWEST = 1000, 2  # a substantial region has a thousandth of the leaves, and at least two


def substantial_size(tree: Tree, min_size: int | None = None) -> int:
    """Leaves that make a region substantial: `min_size`, or by default a thousandth of all, but at least 2.

    >>> from ultrafield.ultrametric import Tree
    >>> pair = Tree([2, 2, 2], [0, 0, 0.5], [1, 1, 2])
    >>> substantial_size(pair), substantial_size(pair, 7)
    (2, 7)
    """
    return min_size or max(_FEWEST, tree.num_leaves // _PART)


def cluster_of_nodes(tree: Tree, condensed: CondensedTree) -> np.ndarray:
    """The smallest cluster that contains each node of the tree, or is that node.

    Args:
        tree: A merge tree over n leaves.
        condensed: Its clusters, from `condense`.

    Returns:
        Indices into the condensed tree [2n − 1], int64.
    """
    # Pointers climb to the next cluster's node; each round doubles how far they reach.
    above = tree.parents.copy()
    above[condensed.nodes] = condensed.nodes
    while True:
        further = above[above]
        if np.array_equal(further, above):
            break
        above = further
    cluster = np.empty(len(above), np.int64)
    cluster[condensed.nodes] = np.arange(len(condensed))
    return cluster[above]
