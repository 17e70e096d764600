"""Questions to a merge tree: cuts, ancestors, leaves; and its file."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from ..errors import RunError, check_shape
from ..io import read_npz, write_npz
from .tree import Tree


def cut(tree: Tree, height: float) -> np.ndarray:
    """The segment of every leaf when the tree is cut at `height`.

    Args:
        tree: A merge tree over n leaves.
        height: Largest dissimilarity at which regions count as one, ≥ 0; infinity gives the root.

    Returns:
        Per leaf the id of the topmost node above it (or the leaf itself) whose height is at most `height` [n], int64.
        Ids are the tree's own: a segment that two cuts share has the same id in both.

    Raises:
        ValueError: The height is negative or NaN.

    >>> import numpy as np
    >>> tree = Tree(np.array([3, 3, 4, 4, 4]), np.array([0, 0, 0, 0.2, 0.7], np.float32), np.array([1, 1, 1, 2, 3]))
    >>> cut(tree, 0.5).tolist()
    [3, 3, 2]
    """
    from .kernels.tree_cpu import below_split

    if not height >= 0:
        raise ValueError(f"height: expected at least 0, got {height}")
    return below_split(tree.parents, tree.heights > np.float64(height), tree.num_leaves)


def cut_into(tree: Tree, count: int) -> np.ndarray:
    """The segment of every leaf when the tree is cut into exactly `count` segments, or n if it has fewer leaves.

    Starting from the root, the highest segment is split again and again; of equally high ones the larger id. The
    cuts for all counts are therefore nested, and each agrees with `cut` wherever a height gives that many segments.

    Args:
        tree: A merge tree over n leaves.
        count: Number of segments, ≥ 1.

    Returns:
        Node ids [n], int64.

    Raises:
        ValueError: `count` is below 1.
    """
    from .kernels.tree_cpu import below_split

    if count < 1:
        raise ValueError(f"count: expected at least 1, got {count}")
    n = tree.num_leaves
    merges = n + np.argsort(tree.heights[n:], kind="stable")  # by (height, id): parents after their children
    split = np.zeros(len(tree.parents), bool)
    split[merges[max(0, n - count) :]] = True
    return below_split(tree.parents, split, n)


def lowest_common_ancestor(tree: Tree, pairs: np.ndarray) -> np.ndarray:
    """The smallest node that holds both nodes of each pair; its height is their ultrametric distance.

    Args:
        tree: A merge tree over n leaves.
        pairs: Node ids [P, 2], int64, leaves or merges.

    Returns:
        Node ids [P], int64; a node paired with itself or with its ancestor gives itself or the ancestor.

    Raises:
        ValueError: The shape is wrong or an id is out of range.
    """
    from .kernels.spans import even_spans, on_threads, thread_count
    from .kernels.tree_cpu import chain_heads, common_ancestors

    pairs = np.ascontiguousarray(pairs, np.int64)
    check_shape("pairs", pairs, (None, 2))
    for node in (pairs.min(), pairs.max()) if pairs.size else ():
        check_node(tree, node, "pairs")
    heads = chain_heads(tree.parents, tree.sizes)
    spans = even_spans(len(pairs), thread_count(len(pairs)))
    parts = on_threads(lambda begin, end: common_ancestors(tree.parents, heads, pairs[begin:end]), spans)
    return np.concatenate(parts)


def ancestors(tree: Tree, node: int) -> np.ndarray:
    """The nodes above `node`, from its parent up to the root [A], int64; empty for the root.

    Raises:
        ValueError: The id is out of range.
    """
    check_node(tree, node, "node")
    above = []
    while tree.parents[node] != node:
        node = tree.parents[node]
        above.append(node)
    return np.array(above, np.int64)


def leaves(tree: Tree, node: int) -> np.ndarray:
    """The leaves below `node`, ascending [sizes[node]], int64; a leaf gives itself.

    Raises:
        ValueError: The id is out of range.
    """
    from .kernels.tree_cpu import below

    check_node(tree, node, "node")
    return np.flatnonzero(below(tree.parents, node)[: tree.num_leaves])


def subtree(tree: Tree, node: int) -> tuple[Tree, np.ndarray]:
    """What lies below `node`, as a tree of its own.

    Args:
        tree: A merge tree over n leaves.
        node: Node id; a leaf gives a tree of one leaf.

    Returns:
        A tree over m = sizes[node] leaves, and the id in `tree` of each of its nodes [2m − 1], int64, ascending: its
        leaf i is leaf `ids[i]` of `tree`, its root is `node`.

    Raises:
        ValueError: The id is out of range.

    >>> import numpy as np
    >>> tree = Tree(np.array([3, 4, 3, 4, 4]), np.array([0, 0, 0, 0.2, 0.7], np.float32), np.array([1, 1, 1, 2, 3]))
    >>> part, ids = subtree(tree, 3)
    >>> part.parents.tolist(), ids.tolist()
    ([2, 2, 2], [0, 2, 3])
    """
    from .kernels.tree_cpu import below

    check_node(tree, node, "node")
    inside = below(tree.parents, node)
    ids = np.flatnonzero(inside)
    number = np.cumsum(inside) - 1
    parents = np.append(number[tree.parents[ids[:-1]]], len(ids) - 1)
    return Tree(parents, tree.heights[ids], tree.sizes[ids]), ids


def check_node(tree: Tree, node: int, name: str) -> None:
    """Raise `ValueError` about `name` unless `node` is a node of the tree."""
    if not 0 <= node < len(tree.parents):
        raise ValueError(f"{name}: expected node ids in [0, {len(tree.parents)}), found {node}")


def child_nodes(tree: Tree) -> np.ndarray:
    """The two children of every merge [n − 1, 2], int64, the smaller id first; row i belongs to node n + i."""
    from .kernels.tree_cpu import children_of

    return children_of(tree.parents, tree.num_leaves)


def check_tree(tree: Tree) -> None:
    """Check all that `Tree` promises.

    Raises:
        ValueError: The first promise that is broken.
    """
    count = len(tree.parents)
    if count % 2 == 0:
        raise ValueError(f"tree: expected an odd number of nodes (2n - 1), got {count}")
    n, ids, inner = tree.num_leaves, np.arange(count), tree.parents[:-1]
    if tree.parents[-1] != count - 1 or (inner <= ids[:-1]).any() or (inner >= count).any():
        raise ValueError("tree: a parent's id is not larger than its children's, or the last node is not the root")
    children = np.bincount(inner, minlength=count)
    if (children[:n] != 0).any() or (children[n:] != 2).any():
        raise ValueError("tree: a leaf has children, or a merge does not have two")
    if not np.isfinite(tree.heights).all() or (tree.heights[:n] != 0).any():
        raise ValueError("tree: a height is not finite, or a leaf's is not 0")
    if (tree.heights[:-1] > tree.heights[inner]).any():
        raise ValueError("tree: a node is higher than its parent")
    if (tree.sizes[:n] != 1).any() or (tree.sizes[n:] != tree.sizes[child_nodes(tree)].sum(1)).any():
        raise ValueError("tree: a size is not the number of leaves below the node")


def save_tree(path: str | Path, tree: Tree) -> None:
    """Write a tree as a compressed `.npz`, atomically."""
    write_npz(path, parents=tree.parents, heights=tree.heights, sizes=tree.sizes)


def load_tree(path: str | Path) -> Tree:
    """Read a tree written by `save_tree`.

    Raises:
        RunError: The file is missing or broken, or what it holds is not a tree.
    """
    arrays = read_npz(path)
    missing = sorted({"parents", "heights", "sizes"} - set(arrays))
    if missing:
        raise RunError(f"{path}: array {missing[0]!r} is missing")
    try:
        tree = Tree(
            arrays["parents"].astype(np.int64, copy=False),
            arrays["heights"].astype(np.float32, copy=False),
            arrays["sizes"].astype(np.int64, copy=False),
        )
        check_tree(tree)
    except ValueError as error:
        raise RunError(f"{path}: {error}") from None
    return tree
