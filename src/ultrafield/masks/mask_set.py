"""The masks of one view, packed."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True)
class MaskSet:
    """The masks of one view, packed so that one pixel's memberships lie side by side.

    Attributes:
        bits: [H, W, ceil(M / 64)], uint64; bit m % 64 of word m // 64 says whether mask m holds the pixel.
        areas: Pixels per mask [M], int64; none is empty.
        inside: [M, M] bool; inside[i, j]: mask i lies inside mask j (|i ∩ j| / |i| > 0.95 and IoU < 0.9).
        same: [M, M] bool; IoU > 0.9 (true on the diagonal).
    """

    bits: np.ndarray
    areas: np.ndarray
    inside: np.ndarray
    same: np.ndarray

    def __len__(self) -> int:
        return len(self.areas)

    @property
    def shape(self) -> tuple[int, int]:
        """Height and width in pixels."""
        return self.bits.shape[0], self.bits.shape[1]

    def mask(self, index: int) -> np.ndarray:
        """Mask `index` as [H, W] bool."""
        return (self.bits[:, :, index // 64] >> np.uint64(index % 64)) & np.uint64(1) != 0

    def masks(self) -> np.ndarray:
        """All masks as [M, H, W] bool."""
        if len(self) == 0:
            return np.zeros((0, *self.shape), bool)
        return np.stack([self.mask(index) for index in range(len(self))])
