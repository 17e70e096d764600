"""Label maps of a view at all cuts together: pixels in the same segments at every cut share one chain of ids."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from ..errors import check_shape


@dataclass(frozen=True)
class LabelChains:
    """Label maps [L, H, W] of one view, of which a few thousand distinct pixels are all there is.

    What holds for the pixels of a chain is said once per chain, not once per pixel and cut.

    Attributes:
        index: The chain of each pixel [H, W], int32.
        chains: Segment ids of each chain [C, L], any integer type, in the order of the cuts; −1 for none.
    """

    index: np.ndarray
    chains: np.ndarray

    @classmethod
    def of(cls, labels: np.ndarray) -> LabelChains:
        """Find the chains in label maps [L, H, W] of any integer type; fastest where they lie in Fortran order.

        Raises:
            ValueError: Another shape, or no cut.
            TypeError: Ids that are no integers.

        >>> LabelChains.of(np.array([[[4, 4, 7]], [[9, 9, 9]]])).chains.tolist()
        [[4, 9], [7, 9]]
        """
        from .kernels.chains_cpu import number_rows_cpu

        check_shape("labels", labels, (None, None, None))
        if not np.issubdtype(labels.dtype, np.integer):
            raise TypeError(f"labels: expected integers, got {labels.dtype}")
        cuts, height, width = labels.shape
        if cuts == 0:
            raise ValueError("labels: expected at least one cut")
        kind = np.int32 if labels.dtype == np.int32 else np.int64
        rows = np.ascontiguousarray(labels.T, kind).reshape(-1, cuts)  # pixels column by column, as they are stored
        index = np.empty(len(rows), np.int32)
        chains = number_rows_cpu(rows, index)
        return cls(np.ascontiguousarray(index.reshape(width, height).T), chains)

    @classmethod
    def joined(cls, parts: Sequence[LabelChains]) -> LabelChains:
        """Pictures with the same cuts side by side; a chain that several have is one."""
        from .kernels.chains_cpu import number_rows_cpu

        every = np.concatenate([part.chains for part in parts])
        number = np.empty(len(every), np.int32)
        chains = number_rows_cpu(every, number)
        numbers = np.split(number, np.cumsum([len(part.chains) for part in parts])[:-1])
        index = [renumbered[part.index] for part, renumbered in zip(parts, numbers, strict=True)]
        return cls(np.concatenate(index, axis=1), chains)

    @property
    def shape(self) -> tuple[int, int, int]:
        """Of the label maps: L, H, W."""
        return (self.chains.shape[1], *self.index.shape)

    def at(self, cuts: np.ndarray) -> LabelChains:
        """The same pixels at some of the cuts, given as indices or flags; chains may then be equal."""
        return LabelChains(self.index, np.ascontiguousarray(self.chains[:, cuts]))

    def map(self, cut: int) -> np.ndarray:
        """Segment ids at one cut [H, W]."""
        return self.chains[:, cut][self.index]

    def maps(self, columns: slice = slice(None)) -> np.ndarray:
        """Segment ids at all cuts [L, H, W] of all or some columns of pixels, in Fortran order: cuts side by side."""
        return np.take(self.chains, self.index[:, columns].T, axis=0).T


@dataclass(frozen=True)
class DistinctPairs:
    """The distinct pairs among two numbers per item.

    Attributes:
        first: [Q], int64.
        second: [Q], int64.
        counts: How many items have the pair [Q], int64.
        inverse: The pair of each item [P], int64.
    """

    first: np.ndarray
    second: np.ndarray
    counts: np.ndarray
    inverse: np.ndarray


def distinct_pairs(first: np.ndarray, second: np.ndarray) -> DistinctPairs:
    """Find the distinct pairs of two non-negative numbers per item, both [P] and without large gaps.

    >>> distinct_pairs(np.array([1, 0, 1]), np.array([5, 5, 5])).counts.tolist()
    [1, 2]
    """
    from .kernels.chains_cpu import group_cpu, number_pairs_cpu

    inverse = np.empty(len(first), np.int64)
    groups = group_cpu(first, int(first.max(initial=-1)) + 1)
    pairs = number_pairs_cpu(*groups, second, int(second.max(initial=-1)) + 1, inverse)
    return DistinctPairs(*pairs, inverse)
