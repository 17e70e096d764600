"""Cuts of a merge tree: partitions of its leaves, nested in one another."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from .checks import one_float, one_integer

if TYPE_CHECKING:
    from .tree import Tree


def cut(tree: Tree, height: float) -> NDArray[np.int64]:
    """The segment of every leaf when the tree is cut at `height`.

    Args:
        tree: A merge tree over n leaves.
        height: Largest dissimilarity at which regions count as one, ≥ 0; infinity gives the root.

    Returns:
        Per leaf the id of the topmost node above it (or the leaf itself) whose height is at most `height` [n], int64.
        Ids are the tree's own: a segment that two cuts share has the same id in both.

    Raises:
        ValueError: The height is negative or NaN.
        TypeError: It is no number.

    >>> from ultrafield.ultrametric import Tree
    >>> cut(Tree([3, 3, 4, 4, 4], [0, 0, 0, 0.2, 0.7], [1, 1, 1, 2, 3]), 0.5).tolist()
    [3, 3, 2]
    """
    from .kernels.tree_cpu import below_split

    height = one_float("height", height)
    if not height >= 0:
        raise ValueError(f"height: expected at least 0, got {height}")
    return below_split(tree.parents, tree.heights > np.float64(height), tree.num_leaves)


def cut_into(tree: Tree, count: int) -> NDArray[np.int64]:
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
        TypeError: `count` is no integer.

    >>> from ultrafield.ultrametric import Tree
    >>> cut_into(Tree([3, 3, 4, 4, 4], [0, 0, 0, 0.2, 0.7], [1, 1, 1, 2, 3]), 2).tolist()
    [3, 3, 2]
    """
    from .kernels.tree_cpu import below_split

    count = one_integer("count", count)
    if count < 1:
        raise ValueError(f"count: expected at least 1, got {count}")
    n = tree.num_leaves
    merges = n + np.argsort(tree.heights[n:], kind="stable")  # by (height, id): parents after their children
    split = np.zeros(len(tree.parents), bool)
    split[merges[max(0, n - count) :]] = True
    return below_split(tree.parents, split, n)
