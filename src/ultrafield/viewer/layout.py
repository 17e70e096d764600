"""The order in which the page holds the points: those of every node follow one another."""

from __future__ import annotations

import numpy as np

from .cutting import LeafRuns


class Layout:
    """The points that are shown, in the order in which the page holds them.

    A node is a run of them, so that a few numbers say what has become of a million points.

    Args:
        leaves: The points of every node of the tree.
        visible: Which points are shown [N], bool.

    Attributes:
        points: Which points, in that order [n], int64.
    """

    def __init__(self, leaves: LeafRuns, visible: np.ndarray) -> None:
        self._leaves = leaves
        self.points = leaves.order
        self._rank: np.ndarray | None = None  # shown points before each place of the whole order; None if all are shown
        if not visible.all():
            shown = visible[leaves.order]
            self.points = leaves.order[shown]
            self._rank = np.concatenate([[0], np.cumsum(shown)])

    def __len__(self) -> int:
        return len(self.points)

    def spans(self, nodes: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Where the shown points of nodes [K] begin and end [K], int64; the same place if none is."""
        begins, ends = self._leaves.spans(nodes)
        return (begins, ends) if self._rank is None else (self._rank[begins], self._rank[ends])
