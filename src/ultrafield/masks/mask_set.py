"""The masks of one view, packed."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Self

import numpy as np

from ..errors import check_shape


@dataclass(frozen=True, eq=False)
class MaskSet:
    """The masks of one view, packed so that the memberships of a pixel are adjacent.

    `build_mask_set` makes one from masks [M, H, W].

    Attributes:
        bits: [H, W, ceil(M / 64)], uint64, C-contiguous; bit m % 64 of word m // 64 says whether mask m holds the
            pixel. Bits from M on are 0.
        areas: Pixels per mask [M], int64; none is empty.
        inside: [M, M] bool; inside[i, j]: mask i lies inside mask j (|i ∩ j| / |i| > 0.95 and IoU < 0.9).
        same: [M, M] bool; IoU > 0.9 (true on the diagonal).

    `ValueError` for other shapes, a bit that belongs to no mask, and areas that are not those of the bits.
    """

    bits: np.ndarray
    areas: np.ndarray
    inside: np.ndarray
    same: np.ndarray

    def __post_init__(self) -> None:
        for name, dtype in (("bits", np.uint64), ("areas", np.int64), ("inside", np.bool_), ("same", np.bool_)):
            array = np.asarray(getattr(self, name))
            if array.dtype != dtype:
                raise ValueError(f"{name}: expected {np.dtype(dtype).name}, got {array.dtype}")
            object.__setattr__(self, name, np.ascontiguousarray(array))
        count = self.areas.size
        check_shape("areas", self.areas, (count,))
        check_shape("bits", self.bits, (None, None, -(-count // 64)))
        check_shape("inside", self.inside, (count, count))
        check_shape("same", self.same, (count, count))
        self._check_bits(count)

    def _check_bits(self, count: int) -> None:
        if count % 64 and (self.bits[:, :, -1] >> np.uint64(count % 64)).any():
            raise ValueError(f"bits: a bit from {count} on is set, but there are {count} masks")
        if count and self.areas.min() < 1:
            raise ValueError(f"areas: mask {int(np.argmin(self.areas))} of {count} holds no pixel")
        pixels = int(np.bitwise_count(self.bits).sum(dtype=np.int64))
        if self.areas.sum() != pixels:
            raise ValueError(f"areas: expected a sum of {pixels} as in bits, got {self.areas.sum()}")

    @classmethod
    def _trusted(cls, bits: np.ndarray, areas: np.ndarray, inside: np.ndarray, same: np.ndarray) -> Self:
        """A set whose arrays are right by construction."""
        masks = object.__new__(cls)
        for name, array in (("bits", bits), ("areas", areas), ("inside", inside), ("same", same)):
            object.__setattr__(masks, name, array)
        return masks

    def __len__(self) -> int:
        return len(self.areas)

    def __repr__(self) -> str:
        height, width = self.shape
        return f"MaskSet({len(self)} masks of {width}×{height} pixels)"

    @property
    def shape(self) -> tuple[int, int]:
        """Height and width in pixels."""
        return self.bits.shape[0], self.bits.shape[1]

    def mask(self, index: int) -> np.ndarray:
        """Mask `index` as [H, W] bool."""
        if not 0 <= index < len(self):
            raise IndexError(f"mask {index} is out of range for {len(self)} masks")
        return (self.bits[:, :, index // 64] >> np.uint64(index % 64)) & np.uint64(1) != 0

    def masks(self) -> np.ndarray:
        """All masks as [M, H, W] bool."""
        if len(self) == 0:
            return np.zeros((0, *self.shape), bool)
        return np.stack([self.mask(index) for index in range(len(self))])
