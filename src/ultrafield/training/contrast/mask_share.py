"""Pixels drawn from the masks of a view, each mask as often as any other, however small."""

from __future__ import annotations

import numpy as np

from ...masks import MaskSet

_BLOCK = 256  # pixels between two kept sums
_AT_ONCE = 1 << 20  # pixels whose sums are made together


class MaskShare:
    """The running sum over a view's pixels of Σ 1 / area over the masks that hold the pixel.

    Only the sums at the ends of blocks of pixels are kept; those within a block are added up when they are needed, in
    the same order and therefore to the same numbers.

    Args:
        masks: The masks of the view, at least one.
    """

    def __init__(self, masks: MaskSet) -> None:
        self._numbers = masks.numbers.reshape(-1)
        self._of_row = np.zeros(len(masks.rows))
        for mask, area in enumerate(masks.areas):
            self._of_row[(masks.rows[:, mask // 64] >> np.uint64(mask % 64)) & np.uint64(1) != 0] += 1.0 / area
        ends: list[np.ndarray] = []
        for first in range(0, len(self._numbers), _AT_ONCE):
            sums = self._of_row[self._numbers[first : first + _AT_ONCE]]
            sums[0] += ends[-1][-1] if ends else 0.0
            np.cumsum(sums, out=sums)
            ends.append(np.append(sums[_BLOCK - 1 :: _BLOCK], sums[-1:] if len(sums) % _BLOCK else []))
        self._ends = np.concatenate(ends)

    def sums(self) -> np.ndarray:
        """The running sum itself [P], float64."""
        return np.cumsum(self._of_row[self._numbers])

    def pick(self, chances: np.ndarray) -> np.ndarray:
        """The first pixel at which the sum exceeds a part of the whole.

        Args:
            chances: The parts [N], in [0, 1).

        Returns:
            Row-major indices [N], int64; the number of pixels where rounding leaves none.
        """
        from .kernels.shares_cpu import find_pixels

        return find_pixels(chances * self._ends[-1], self._ends, _BLOCK, self._of_row, self._numbers)
