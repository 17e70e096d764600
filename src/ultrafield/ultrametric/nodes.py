"""Nodes of a merge tree: parents, children, leaves, and the parts of the tree that they stand for."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ..errors import check_shape
from .checks import one_integer, own_integers

if TYPE_CHECKING:
    from .tree import Tree


def lowest_common_ancestor(tree: Tree, pairs: ArrayLike) -> NDArray[np.int64]:
    """The smallest node that holds both nodes of each pair; its height is their ultrametric distance.

    Args:
        tree: A merge tree over n leaves.
        pairs: Node ids [P, 2], integers, leaves or merges.

    Returns:
        Node ids [P], int64; a node paired with itself or with its ancestor gives itself or the ancestor.

    Raises:
        ValueError: The shape is wrong or an id is out of range.
        TypeError: The ids are no integers.

    >>> from ultrafield.ultrametric import Tree
    >>> tree = Tree([3, 3, 4, 4, 4], [0, 0, 0, 0.2, 0.7], [1, 1, 1, 2, 3])
    >>> lowest_common_ancestor(tree, [[0, 1], [1, 2]]).tolist()
    [3, 4]
    """
    from .kernels.spans import even_spans, on_threads, thread_count
    from .kernels.tree_cpu import chain_heads, common_ancestors

    pairs = own_integers("pairs", pairs)
    check_shape("pairs", pairs, (None, 2))
    for node in (pairs.min(), pairs.max()) if pairs.size else ():
        check_node(tree, node, "pairs")
    heads = chain_heads(tree.parents, tree.sizes)
    spans = even_spans(len(pairs), thread_count(len(pairs)))
    parts = on_threads(lambda begin, end: common_ancestors(tree.parents, heads, pairs[begin:end]), spans)
    return np.concatenate(parts)


def ancestors(tree: Tree, node: int) -> NDArray[np.int64]:
    """The nodes above `node`, from its parent up to the root [A], int64; empty for the root.

    Raises:
        ValueError: The id is out of range.
        TypeError: The id is no integer.
    """
    check_node(tree, node, "node")
    above = []
    while tree.parents[node] != node:
        node = tree.parents[node]
        above.append(node)
    return np.array(above, np.int64)


def leaves(tree: Tree, node: int) -> NDArray[np.int64]:
    """The leaves below `node`, ascending [sizes[node]], int64; a leaf gives itself.

    Raises:
        ValueError: The id is out of range.
        TypeError: The id is no integer.
    """
    from .kernels.tree_cpu import below

    check_node(tree, node, "node")
    return np.flatnonzero(below(tree.parents, node)[: tree.num_leaves])


def children(tree: Tree, node: int) -> NDArray[np.int64]:
    """The two children of `node`, the smaller id first [2], int64; a leaf has none [0].

    Raises:
        ValueError: The id is out of range.
        TypeError: The id is no integer.
    """
    check_node(tree, node, "node")
    return np.flatnonzero(tree.parents[:node] == node)


def child_nodes(tree: Tree) -> NDArray[np.int64]:
    """The two children of every merge [n − 1, 2], int64, the smaller id first; row i belongs to node n + i."""
    from .kernels.tree_cpu import children_of

    return children_of(tree.parents, tree.num_leaves)


def subtree(tree: Tree, node: int) -> tuple[Tree, NDArray[np.int64]]:
    """The part of a tree below `node`, as a tree of its own.

    Args:
        tree: A merge tree over n leaves.
        node: Node id; a leaf gives a tree of one leaf.

    Returns:
        A tree over m = sizes[node] leaves, and the id in `tree` of each of its nodes [2m − 1], int64, ascending: its
        leaf i is leaf `ids[i]` of `tree`, its root is `node`.

    Raises:
        ValueError: The id is out of range.
        TypeError: The id is no integer.

    >>> from ultrafield.ultrametric import Tree
    >>> part, ids = subtree(Tree([3, 4, 3, 4, 4], [0, 0, 0, 0.2, 0.7], [1, 1, 1, 2, 3]), 3)
    >>> part.parents.tolist(), ids.tolist()
    ([2, 2, 2], [0, 2, 3])
    """
    from .kernels.tree_cpu import below

    check_node(tree, node, "node")
    inside = below(tree.parents, node)
    ids = np.flatnonzero(inside)
    number = np.cumsum(inside) - 1
    parents = np.append(number[tree.parents[ids[:-1]]], len(ids) - 1)
    return type(tree)._trusted(parents, tree.heights[ids], tree.sizes[ids]), ids


def check_node(tree: Tree, node: int, name: str) -> None:
    """Raise `ValueError` about `name` unless `node` is a node of the tree, `TypeError` unless it is an integer."""
    if not 0 <= one_integer(name, node) < len(tree.parents):
        raise ValueError(f"{name}: expected node ids in [0, {len(tree.parents)}), got {node}")


def nearest_marked(parents: np.ndarray, marked: np.ndarray) -> np.ndarray:
    """The nearest marked node that is each node or lies above it [K]; the root where there is none.

    Args:
        parents: Node above each [K], integers; the root is marked or its own parent.
        marked: Which nodes count [K], bool.
    """
    above = np.where(marked, np.arange(len(parents)), parents)
    while True:  # pointers climb; each round doubles how far they reach
        further = above[above]
        if np.array_equal(further, above):
            return above
        above = further
