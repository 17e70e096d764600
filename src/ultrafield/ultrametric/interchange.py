"""Merge trees as other libraries hold them: SciPy's linkage matrix, NetworkX's directed graph."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import ArrayLike

from ..errors import BackendError, check_shape
from .checks import own_integers
from .nodes import child_nodes

if TYPE_CHECKING:
    import networkx

    from .tree import Tree


def arrays_of_linkage(matrix: ArrayLike) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """The arrays of the tree that a linkage matrix describes; see `Tree.from_linkage`.

    Returns:
        Parents [2n − 1] int64, heights [2n − 1] float64 and sizes [2n − 1] int64, so far checked that they make a tree.
    """
    try:
        rows = np.asarray(matrix, np.float64)
    except (TypeError, ValueError) as error:
        raise type(error)(f"matrix: expected real numbers of shape [n − 1, 4]: {error}") from None
    rows = rows if rows.size else np.zeros((0, 4))
    check_shape("matrix", rows, (None, 4))
    n = len(rows) + 1
    whole = rows.copy()
    whole[:, 2] = 0  # all but the distances are integers
    whole = own_integers("matrix", whole)
    joined, counts = whole[:, :2], whole[:, 3:]
    made = np.arange(n, 2 * n - 1)  # the cluster that each row makes
    _refuse_rows((joined < 0) | (joined >= made[:, None]), joined, "two of the clusters made before")
    _, first = np.unique(joined, return_index=True)
    again = np.ones(joined.size, bool)
    again[first] = False
    _refuse_rows(again.reshape(joined.shape), joined, "clusters that no earlier row has joined")

    parents = np.full(2 * n - 1, 2 * n - 2)
    parents[joined] = made[:, None]
    heights, sizes = np.append(np.zeros(n), rows[:, 2]), np.append(np.ones(n, np.int64), counts[:, 0])
    distances = rows[:, 2:3]
    _refuse_rows(~((distances >= 0) & (distances < np.inf)), distances, "a finite distance of at least 0")
    _refuse_rows(heights[joined] > distances, distances, "at least the distances at which its two clusters were made")
    _refuse_rows(sizes[joined].sum(1, keepdims=True) != counts, counts, "the number of leaves of its two clusters")
    return parents, heights, sizes


def _refuse_rows(broken: np.ndarray, values: np.ndarray, expected: str) -> None:
    """Raise `ValueError` about the first row of a linkage matrix with a flag [n − 1, *]."""
    rows = broken.any(axis=1)
    if rows.any():
        row = int(np.argmax(rows))
        got = values[row].tolist()
        raise ValueError(f"matrix[{row}]: expected {expected}, got {got if len(got) > 1 else got[0]}")


def to_linkage(tree: Tree) -> np.ndarray:
    """SciPy's linkage matrix of a tree.

    Returns:
        [n − 1, 4], float64: the two clusters that each row joins, the smaller id first, its height and its leaves.
        Rows are in the order of (height, node id), as SciPy expects; row i makes SciPy's cluster n + i, which is the
        tree's own node n + i wherever heights do not fall with the id, as in every tree of `build_tree`.

    >>> from ultrafield.ultrametric import Tree
    >>> to_linkage(Tree([3, 3, 4, 4, 4], [0, 0, 0, 0.25, 0.75], [1, 1, 1, 2, 3])).tolist()
    [[0.0, 1.0, 0.25, 2.0], [2.0, 3.0, 0.75, 3.0]]
    """
    n = tree.num_leaves
    order = np.argsort(tree.heights[n:], kind="stable")  # parents after their children
    number = np.arange(2 * n - 1)
    number[n + order] = np.arange(n, 2 * n - 1)
    joined = np.sort(number[child_nodes(tree)[order]], axis=1)
    return np.column_stack([joined, tree.heights[n:][order], tree.sizes[n:][order]]).astype(np.float64)


def to_networkx(tree: Tree) -> networkx.DiGraph:
    """A tree as a directed graph of NetworkX, with an edge from every parent to each child.

    Returns:
        A graph of 2n − 1 nodes, named by their ids, with the attributes `height` (float) and `size` (int).

    Raises:
        BackendError: NetworkX is not installed.
    """
    try:
        import networkx
    except ImportError:
        raise BackendError("to_networkx: NetworkX is not installed; pip install networkx") from None
    graph = networkx.DiGraph()
    values = zip(tree.heights.tolist(), tree.sizes.tolist(), strict=True)
    graph.add_nodes_from((node, {"height": height, "size": size}) for node, (height, size) in enumerate(values))
    graph.add_edges_from((parent, child) for child, parent in enumerate(tree.parents[:-1].tolist()))
    return graph
