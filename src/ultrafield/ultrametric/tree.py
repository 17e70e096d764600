"""A merge tree as three arrays."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from ..errors import check_shape


@dataclass(frozen=True)
class Tree:
    """A binary merge tree over n leaves: node ids 0 … n−1 are leaves, n … 2n−2 merges, 2n−2 the root.

    Attributes:
        parents: [2n − 1] int64; a parent's id is larger than its children's; the root is its own parent.
        heights: [2n − 1] float32; 0 for leaves, never smaller at a parent than at its child.
        sizes: Leaves below each node [2n − 1] int64.
    """

    parents: np.ndarray
    heights: np.ndarray
    sizes: np.ndarray

    def __post_init__(self) -> None:
        check_shape("heights", self.heights, self.parents.shape)
        check_shape("sizes", self.sizes, self.parents.shape)

    @property
    def num_leaves(self) -> int:
        """Number of leaves n."""
        return (len(self.parents) + 1) // 2
