"""Some leaves of a merge tree made a node of their own below the root, which opens later than all else."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from ..errors import check_shape
from .nodes import child_nodes, nearest_marked
from .substantial import substantial_size
from .tree import Tree

_SHARE = 4  # splits of the others for each one of the leaves set apart
_GAP = 1.01  # height of the new root, in parts of the old one's: a cut lies between it and the rest


def set_apart(tree: Tree, apart: np.ndarray, *, min_size: int | None = None) -> Tree:
    """The same leaves with some of them set apart: the root's two children are the node of these and that of the rest.

    Among the rest, and among those set apart, the same leaves join in the same order as before. Merges of the rest keep
    their heights. Those of the leaves set apart happen no later than before, and so early that going down from the root
    they split once for every four splits of the rest, and into two substantial regions once for every four such splits
    of the rest: a cut spends its segments on the rest. Where the rest has no more splits to give, heights of what is
    set apart shrink in proportion.

    Args:
        tree: A merge tree over n leaves.
        apart: Which leaves to set apart [n] bool; some, but not all of them.
        min_size: Leaves that make a region substantial; None takes a thousandth of all, but at least 2.

    Returns:
        The tree, whose `surroundings` is the node of these leaves; heights are non-decreasing in the id of merges.

    Raises:
        ValueError: Flags for another number of leaves, or for none or all of them.

    >>> tree = Tree([4, 5, 4, 5, 6, 6, 6], [0, 0, 0, 0, 0.2, 0.4, 0.8], [1, 1, 1, 1, 2, 2, 4])
    >>> far = set_apart(tree, np.array([False, True, False, True]))
    >>> far.surroundings, far.parents.tolist()
    (4, [5, 4, 5, 4, 6, 6, 6])
    """
    from .kernels.tree_cpu import leaf_counts

    n, least = tree.num_leaves, substantial_size(tree, min_size)
    apart = np.asarray(apart, bool)
    check_shape("apart", apart, (n,))
    if apart.all() or not apart.any():
        raise ValueError(f"apart: expected some of the {n} leaves, got {'all' if apart.all() else 'none'}")
    rest, far = _restricted(tree, ~apart), _restricted(tree, apart)
    heights = [rest.heights, _lowered(far, rest, least)]
    order = np.lexsort([
        np.concatenate([rest.nodes, far.nodes]),
        np.repeat([1, 0], [len(rest.nodes), len(far.nodes)]),  # of equal heights, the rest is split first
        np.concatenate(heights),
    ])  # fmt: skip
    place = np.empty(len(order), np.int64)
    place[order] = n + np.arange(len(order))
    root = 2 * n - 2
    parents = np.full(2 * n - 1, root)
    for side, offset in ((rest, 0), (far, len(rest.nodes))):
        above = np.append(place[offset : offset + len(side.nodes)], root)  # -1, above a side's own top, is the root
        parents[side.leaves] = above[side.above_leaves]
        parents[above[: len(side.above)]] = above[side.above]
    lifted = np.zeros(2 * n - 1, np.float32)
    lifted[n:root] = np.concatenate(heights)[order]
    lifted[root] = _GAP * tree.heights[-1]
    node = int(place[-1]) if len(far.nodes) else int(far.leaves[0])
    return Tree._trusted(parents, lifted, leaf_counts(parents, n), node)


@dataclass(frozen=True, eq=False)
class _Side:
    """A tree restricted to some of its leaves: merges of two parts that hold none of them are left out.

    Attributes:
        leaves: The leaves [m], int64.
        nodes: The merges, as nodes of the whole tree, ascending [m − 1], int64.
        above_leaves: Index in `nodes` of the next merge above each leaf [m], int64; −1 for none.
        above: The same for each merge but the last, which is the top [m − 2], int64.
        heights: Height of each merge [m − 1], float32.
        smaller: Leaves of the smaller of the two parts that each one joins [m − 1], int64.
    """

    leaves: np.ndarray
    nodes: np.ndarray
    above_leaves: np.ndarray
    above: np.ndarray
    heights: np.ndarray
    smaller: np.ndarray


def _restricted(tree: Tree, chosen: np.ndarray) -> _Side:
    from .kernels.tree_cpu import sums_below

    n = tree.num_leaves
    counts = sums_below(tree.parents, chosen)
    smaller = counts[child_nodes(tree)].min(axis=1, initial=n)
    nodes = n + np.flatnonzero(smaller > 0)
    index = np.full(2 * n - 1, -1)
    index[nodes] = np.arange(len(nodes))
    next_above = nearest_marked(tree.parents, index >= 0)
    leaves = np.flatnonzero(chosen)
    return _Side(
        leaves=leaves,
        nodes=nodes,
        above_leaves=index[next_above[leaves]],
        above=index[next_above[tree.parents[nodes]]][: len(nodes) - 1],
        heights=tree.heights[nodes],
        smaller=smaller[nodes - n],
    )


def _lowered(far: _Side, rest: _Side, least: int) -> np.ndarray:
    """Heights of the merges set apart [K], float32, none above what it was."""
    down = np.argsort(far.heights, kind="stable")[::-1]  # of equal heights the larger id first, as `cut_into` splits
    lowered = far.heights[down]
    for size in (1, least):
        lowered = np.minimum(lowered, _afforded(lowered, far.smaller[down] >= size, rest.heights[rest.smaller >= size]))
    heights = np.empty_like(far.heights)
    heights[down] = lowered
    return heights


def _afforded(heights: np.ndarray, counted: np.ndarray, others: np.ndarray) -> np.ndarray:
    """Heights [K] at which splits, from the highest down, have been paid for by four times as many splits of the rest.

    Args:
        heights: Their own heights, descending [K], float32.
        counted: Which of them count [K], bool; one that does not goes with the last before it that does.
        others: Heights at which the rest splits [R].
    """
    others = np.sort(others[others > 0])[::-1]  # no height would be left below the others at zero
    if not counted.any() or len(others) == 0:
        return heights
    number = np.maximum(np.cumsum(counted), 1)
    turns = len(others) // _SHARE
    last = heights[counted][min(turns, counted.sum() - 1)]  # the first that is not paid for
    beyond = others[-1] * np.minimum(heights / max(last, np.finfo(np.float32).tiny), np.float32(1))
    if turns == 0:
        return beyond
    return np.where(number <= turns, others[_SHARE * np.minimum(number, turns) - 1], beyond)
