"""Mixed cuts: partitions in which one node is open and its sibling closed.

A partition is the ascending array of its segments, nodes of the tree that are disjoint and together hold every leaf;
`np.unique(cut(tree, height))` is one, and so is what `open_node` and `close_node` make of it.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike

from .checks import own_integers
from .cuts import cut
from .nodes import ancestors, check_node, leaves
from .tree import Tree


def mixed_cut(tree: Tree, nodes: ArrayLike) -> np.ndarray:
    """The segment of every leaf in a partition.

    Args:
        tree: A merge tree over n leaves.
        nodes: Node ids [K] that are disjoint and together hold every leaf, in any order.

    Returns:
        Per leaf the node that holds it [n], int64.

    Raises:
        ValueError: An id is out of range, two nodes overlap, or a leaf is in none of them.

    >>> mixed_cut(Tree([3, 3, 4, 4, 4], [0, 0, 0, 0.2, 0.7], [1, 1, 1, 2, 3]), [3, 2]).tolist()
    [3, 3, 2]
    """
    from .kernels.tree_cpu import highest_marked

    nodes = own_integers("nodes", nodes).ravel()
    for node in (nodes.min(), nodes.max()) if nodes.size else ():
        check_node(tree, node, "nodes")
    marked = np.zeros(len(tree.parents), bool)
    marked[nodes] = True
    label = highest_marked(tree.parents, marked)
    nested = nodes[label[nodes] != nodes]
    if len(nested):
        raise ValueError(f"nodes: node {nested[0]} lies inside node {label[nested[0]]}")
    missing = np.flatnonzero(label[: tree.num_leaves] < 0)
    if len(missing):
        raise ValueError(f"nodes: leaf {missing[0]} is in none of them")
    return label[: tree.num_leaves].astype(np.int64)


def open_node(tree: Tree, nodes: np.ndarray, node: int, *, height: float | None = None) -> np.ndarray:
    """The partition in which `node`, one of its segments, is divided.

    Args:
        tree: A merge tree.
        nodes: The partition's segments [K].
        node: The segment to divide.
        height: Divide it as a cut at this height does; by default into its two children.

    Returns:
        The segments, ascending [K'], int64.

    Raises:
        ValueError: `node` is not a segment of the partition or is a leaf, or the height is negative or NaN.
    """
    if node not in nodes:
        raise ValueError(f"node: expected a segment of the partition, got {node}")
    if node < tree.num_leaves:
        raise ValueError(f"node: {node} is a leaf and cannot be opened")
    if height is None:
        inside = np.flatnonzero(tree.parents[:node] == node)
    else:
        inside = np.minimum(np.unique(cut(tree, height)[leaves(tree, node)]), node)
    return np.union1d(np.setdiff1d(nodes, [node]), inside)


def close_node(tree: Tree, nodes: np.ndarray, node: int) -> np.ndarray:
    """The partition in which `node` is whole: the segments inside it are replaced by it.

    Args:
        tree: A merge tree.
        nodes: The partition's segments [K].
        node: The node to close; to take a step up from a segment, its parent.

    Returns:
        The segments, ascending [K'], int64.

    Raises:
        ValueError: The id is out of range, or `node` lies inside a segment.
    """
    from .kernels.tree_cpu import below

    check_node(tree, node, "node")
    around = np.intersect1d(ancestors(tree, node), nodes)
    if len(around):
        raise ValueError(f"node: {node} lies inside segment {around[0]}")
    nodes = np.unique(nodes)
    inside = below(tree.parents, node)
    kept = nodes[(nodes > node) | ~inside[np.minimum(nodes, node)]]
    return np.union1d(kept, [node])
