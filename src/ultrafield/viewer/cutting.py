"""Points of nodes, and mixed cuts under way: a segment made whole, what is left of a partition after an edit."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from ..ultrametric import Tree, close_node, mixed_cut, open_node
from ..ultrametric.nodes import ancestors
from .kernels.points_cpu import leaf_runs, segment_above, segments_along


class LeafRuns:
    """The points of every node, as runs of one list.

    Args:
        tree: A merge tree over n points.

    Attributes:
        order: The points in an order in which those of every node follow one another [n], int64.
    """

    def __init__(self, tree: Tree) -> None:
        self._tree, self._sizes = tree, tree.sizes
        self.order, self._begin = leaf_runs(tree.parents, tree.sizes, tree.num_leaves)

    def segments(self, height: float) -> np.ndarray:
        """The segments of a cut [K], int64, in the order of their points."""
        tree = self._tree
        nodes: np.ndarray = segments_along(tree.parents, tree.heights, tree.sizes, self.order, height)
        return nodes

    def segment_of(self, leaf: int, height: float) -> int:
        """The segment of a cut that holds a point."""
        return int(segment_above(self._tree.parents, self._tree.heights, leaf, height))

    def in_order(self, nodes: np.ndarray) -> np.ndarray:
        """Nodes [K] in the order of their points."""
        return nodes[np.argsort(self._begin[nodes])]

    def spans(self, nodes: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Where the points of nodes [K] begin and end in the order [K], int64."""
        begins: np.ndarray = self._begin[nodes]
        return begins, begins + self._sizes[nodes]

    def leaves(self, node: int) -> np.ndarray:
        """The points of a node [M], int64, in no order."""
        points: np.ndarray = self.order[self._begin[node] : self._begin[node] + self._sizes[node]]
        return points

    def inside(self, nodes: Sequence[int]) -> np.ndarray:
        """Which points lie in one of some nodes [n], bool."""
        inside = np.zeros(len(self.order), bool)
        for node in nodes:
            inside[self.leaves(node)] = True
        return inside


def made_whole(tree: Tree, nodes: np.ndarray, node: int) -> np.ndarray:
    """The partition in which a node is a segment; what lies around it is divided as little as that takes.

    Args:
        tree: A merge tree.
        nodes: A partition's segments [K], ascending.
        node: The node.

    Returns:
        The segments, ascending [K'], int64.
    """
    around = np.intersect1d(ancestors(tree, node), nodes)
    if len(around) == 0:
        return close_node(tree, nodes, node)
    below = np.nextafter(tree.heights[tree.parents[node]], np.float32(0))
    height = max(float(below), float(tree.heights[node]))
    nodes = open_node(tree, nodes, int(around[0]), height=height)
    while node not in nodes:  # what lies around it is as high as it is: no height divides the two
        (segment,) = np.intersect1d(ancestors(tree, node), nodes)
        nodes = open_node(tree, nodes, int(segment))
    return nodes


def is_partition(tree: Tree, nodes: np.ndarray) -> bool:
    """Whether nodes are disjoint and together hold every leaf."""
    try:
        mixed_cut(tree, nodes)
    except ValueError:
        return False
    return True
