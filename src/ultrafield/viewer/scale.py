"""The granularity slider: positions from coarse (0) to fine (1), and the heights at which they cut the tree."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Self

import numpy as np

from ..ultrametric import Tree


@dataclass(frozen=True, eq=False)
class HeightScale:
    """A monotone map from positions to heights, with the automatic levels evenly spaced.

    Heights of levels may differ in their third digit only; on a scale of heights nobody could set such a slider.

    Attributes:
        positions: Knots, ascending [K], from 0 to 1.
        heights: Their heights, descending [K]: a bit above the root, the levels, and 0.
    """

    positions: np.ndarray
    heights: np.ndarray

    @classmethod
    def of(cls, tree: Tree, levels: np.ndarray) -> Self:
        """The scale of a tree with automatic levels [L], in any order."""
        top = float(tree.heights[-1])
        knots = np.unique(np.concatenate([[0.0, max(top, 1e-6) * 1.02], levels.astype(np.float64)]))[::-1]
        return cls(np.linspace(0.0, 1.0, len(knots)), knots)

    def height(self, position: float) -> float:
        """The height at a position; positions outside count as the ends."""
        return float(np.interp(position, self.positions, self.heights))

    def position(self, height: float) -> float:
        """The position of a height."""
        return float(np.interp(-height, -self.heights, self.positions))
