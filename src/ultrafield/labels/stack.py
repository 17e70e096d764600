"""Label maps of a view at all cuts together, stored as one column of segment ids per distinct pixel."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from ..errors import check_shape


@dataclass(frozen=True, eq=False, repr=False)
class LabelStack:
    """Label maps [L, H, W] of one view: pixels with the same segment ids at all L cuts share one column of them.

    A view has a few thousand distinct columns. `expand` makes the label maps; of the two arrays alone, in a file for
    instance, NumPy does: `columns.T[:, index]`.

    Attributes:
        index: The column of each pixel [H, W], integers in [0, C), int32 as made here.
        columns: Segment ids of each column [C, L], any integer type, in the order of the cuts; −1 for none.

    Raises:
        ValueError: Another shape, or an index out of range.
        TypeError: An array does not hold integers.
    """

    index: np.ndarray
    columns: np.ndarray

    def __post_init__(self) -> None:
        for name, array in (("index", self.index), ("columns", self.columns)):
            check_shape(name, array, (None, None))
            if not np.issubdtype(array.dtype, np.integer):
                raise TypeError(f"{name}: expected integers, got {array.dtype}")
        if self.index.size:
            low, high = int(self.index.min()), int(self.index.max())
            if low < 0 or high >= len(self.columns):
                wrong = low if low < 0 else high
                raise ValueError(f"index: expected columns in [0, {len(self.columns)}), got {wrong}")

    @classmethod
    def of(cls, labels: np.ndarray) -> LabelStack:
        """Find the columns of label maps [L, H, W] of any integer type; fastest where they lie in Fortran order.

        Raises:
            ValueError: Another shape, or no cut.
            TypeError: Ids that are no integers.

        >>> stack = LabelStack.of(np.array([[[4, 4, 7]], [[9, 9, 9]]]))
        >>> stack.columns.tolist(), stack.index.tolist()
        ([[4, 9], [7, 9]], [[0, 0, 1]])
        >>> stack.columns.T[:, stack.index].tolist()
        [[[4, 4, 7]], [[9, 9, 9]]]
        """
        from .kernels.rows_cpu import number_rows_cpu

        check_shape("labels", labels, (None, None, None))
        if not np.issubdtype(labels.dtype, np.integer):
            raise TypeError(f"labels: expected integers, got {labels.dtype}")
        cuts, height, width = labels.shape
        if cuts == 0:
            raise ValueError("labels: expected at least one cut")
        kind = np.int32 if labels.dtype == np.int32 else np.int64
        rows = np.ascontiguousarray(labels.T, kind).reshape(-1, cuts)  # pixels column by column, as they are stored
        index = np.empty(len(rows), np.int32)
        columns = number_rows_cpu(rows, index)
        return cls(np.ascontiguousarray(index.reshape(width, height).T), columns)

    @classmethod
    def joined(cls, parts: Sequence[LabelStack]) -> LabelStack:
        """Join pictures with the same cuts side by side; equal columns of several pictures become one."""
        from .kernels.rows_cpu import number_rows_cpu

        every = np.concatenate([part.columns for part in parts])
        number = np.empty(len(every), np.int32)
        columns = number_rows_cpu(every, number)
        numbers = np.split(number, np.cumsum([len(part.columns) for part in parts])[:-1])
        index = [renumbered[part.index] for part, renumbered in zip(parts, numbers, strict=True)]
        return cls(np.concatenate(index, axis=1), columns)

    def __repr__(self) -> str:
        cuts, height, width = self.shape
        return f"LabelStack(cuts={cuts}, height={height}, width={width}, columns={len(self.columns)})"

    @property
    def shape(self) -> tuple[int, int, int]:
        """Shape of the label maps: L, H, W."""
        return (self.columns.shape[1], self.index.shape[0], self.index.shape[1])

    def at(self, cuts: np.ndarray) -> LabelStack:
        """The same pixels at some of the cuts, given as indices or flags; columns may then be equal."""
        return LabelStack(self.index, np.ascontiguousarray(self.columns[:, cuts]))

    def map(self, cut: int) -> np.ndarray:
        """Segment ids at one cut [H, W]."""
        return self.columns[:, cut][self.index]

    def renamed(self, ids: np.ndarray) -> LabelStack:
        """The same pixels with `ids[i]` [K] for every id i; −1 stays."""
        return LabelStack(self.index, np.where(self.columns >= 0, ids[self.columns], -1).astype(self.columns.dtype))

    def expand(self, within: slice = slice(None)) -> np.ndarray:
        """Segment ids at all cuts [L, H, W], in Fortran order: the cuts of a pixel side by side.

        Args:
            within: The range of x to expand; by default the whole width.
        """
        return np.take(self.columns, self.index[:, within].T, axis=0).T


@dataclass(frozen=True, eq=False, repr=False)
class DistinctPairs:
    """Distinct pairs of numbers, where each of P items has one pair.

    Attributes:
        first: First number of each pair [Q], int64.
        second: Second number of each pair [Q], int64.
        counts: Number of items that have the pair [Q], int64.
        inverse: The pair of each item [P], int64.
    """

    first: np.ndarray
    second: np.ndarray
    counts: np.ndarray
    inverse: np.ndarray

    def __repr__(self) -> str:
        return f"DistinctPairs(pairs={len(self.first)}, items={len(self.inverse)})"


def distinct_pairs(first: np.ndarray, second: np.ndarray) -> DistinctPairs:
    """Find the distinct pairs of two non-negative numbers per item, both [P] and without large gaps.

    >>> distinct_pairs(np.array([1, 0, 1]), np.array([5, 5, 5])).counts.tolist()
    [1, 2]
    """
    from .kernels.rows_cpu import group_cpu, number_pairs_cpu

    inverse = np.empty(len(first), np.int64)
    groups = group_cpu(first, int(first.max(initial=-1)) + 1)
    pairs = number_pairs_cpu(*groups, second, int(second.max(initial=-1)) + 1, inverse)
    return DistinctPairs(pairs[0], pairs[1], pairs[2], inverse)
