"""The masks of one view, packed."""

from __future__ import annotations

import zlib
from dataclasses import dataclass, field
from typing import Self

import numpy as np

from ..errors import check_shape
from .distinct import distinct_rows, mask_areas, row_counts


class _Bits:
    """The attribute `bits`: taken apart when it is set, put together anew whenever it is asked for."""

    def __get__(self, masks: MaskSet | None, owner: type) -> np.ndarray:
        if masks is None:
            raise AttributeError("bits")
        return np.asarray(masks.rows[masks.numbers])

    def __set__(self, masks: MaskSet, bits: np.ndarray) -> None:
        bits = np.asarray(bits)
        if bits.dtype != np.uint64:
            raise ValueError(f"bits: expected uint64, got {bits.dtype}")
        check_shape("bits", bits, (None, None, None))
        for name, array in zip(("rows", "numbers"), distinct_rows(bits), strict=True):
            object.__setattr__(masks, name, array)


@dataclass(frozen=True, eq=False)
class _Compressed:
    """An array whose neighbouring values are mostly equal, in a hundredth of its memory.

    Attributes:
        data: Its bytes, compressed.
        shape: Its shape.
        dtype: Its dtype.
    """

    data: bytes
    shape: tuple[int, ...]
    dtype: np.dtype

    @classmethod
    def of(cls, array: np.ndarray) -> Self:
        return cls(zlib.compress(np.ascontiguousarray(array).data, level=1), array.shape, array.dtype)

    def read(self) -> np.ndarray:
        return np.frombuffer(bytearray(zlib.decompress(self.data)), self.dtype).reshape(self.shape)


class _Numbers:
    """The attribute `numbers`: an array, or taken out of its compressed form whenever it is asked for."""

    def __get__(self, masks: MaskSet | None, owner: type) -> np.ndarray:
        if masks is None:
            raise AttributeError("numbers")
        stored = masks._numbers
        return stored.read() if isinstance(stored, _Compressed) else stored

    def __set__(self, masks: MaskSet, numbers: np.ndarray) -> None:
        object.__setattr__(masks, "_numbers", numbers)


class _Flags:
    """An attribute of flags that is stored as bits: of thousands of masks, each two make a flag.

    Args:
        name: Name of the attribute.
    """

    def __init__(self, name: str) -> None:
        self._name, self._place = name, f"_{name}"

    def __get__(self, masks: MaskSet | None, owner: type) -> np.ndarray:
        if masks is None:
            raise AttributeError(self._name)
        packed, count = getattr(masks, self._place)
        return np.unpackbits(packed, axis=-1, count=count).view(bool)

    def __set__(self, masks: MaskSet, flags: np.ndarray) -> None:
        flags = np.asarray(flags)
        if flags.dtype != np.bool_:
            raise ValueError(f"{self._name}: expected bool, got {flags.dtype}")
        check_shape(self._name, flags, (None, None))
        object.__setattr__(masks, self._place, (np.packbits(flags, axis=-1), flags.shape[1]))


@dataclass(frozen=True, eq=False)
class MaskSet:
    """The masks of one view, packed so that the memberships of a pixel are adjacent.

    Most pixels lie in the same masks as others: the distinct memberships are stored once, and each pixel's number among
    them, which takes a tenth to a hundredth of the memory. `build_mask_set` makes a set from masks [M, H, W].

    Attributes:
        bits: [H, W, ceil(M / 64)], uint64, C-contiguous; bit m % 64 of word m // 64 says whether mask m holds the
            pixel. Bits from M on are 0. Made anew, as large as it is, whenever it is asked for.
        areas: Pixels per mask [M], int64; none is empty.
        inside: [M, M] bool; inside[i, j]: mask i lies inside mask j (|i ∩ j| / |i| > 0.95 and IoU < 0.9).
        same: [M, M] bool; IoU > 0.9 (true on the diagonal). Both are unpacked anew whenever they are asked for.
        rows: The distinct memberships [C, ceil(M / 64)], uint64; not given, but found.
        numbers: Which of them each pixel has [H, W], the smallest unsigned integers that suffice; likewise. Of a set
            that is `compressed`, made anew whenever they are asked for.

    `ValueError` for other shapes, a bit that belongs to no mask, and areas that are not those of the bits.
    """

    bits: np.ndarray
    areas: np.ndarray
    inside: np.ndarray
    same: np.ndarray
    rows: np.ndarray = field(init=False)
    numbers: np.ndarray = field(init=False)
    _numbers: np.ndarray | _Compressed = field(init=False, repr=False)

    def __post_init__(self) -> None:
        areas = np.asarray(self.areas)
        if areas.dtype != np.int64:
            raise ValueError(f"areas: expected int64, got {areas.dtype}")
        object.__setattr__(self, "areas", np.ascontiguousarray(areas))
        count = self.areas.size
        check_shape("areas", self.areas, (count,))
        if self.rows.shape[1] != -(-count // 64):
            check_shape("bits", self.bits, (None, None, -(-count // 64)))
        check_shape("inside", self.inside, (count, count))
        check_shape("same", self.same, (count, count))
        self._check_bits(count)

    def _check_bits(self, count: int) -> None:
        if count % 64 and (self.rows[:, -1] >> np.uint64(count % 64)).any():
            raise ValueError(f"bits: a bit from {count} on is set, but there are {count} masks")
        if count and self.areas.min() < 1:
            raise ValueError(f"areas: mask {int(np.argmin(self.areas))} of {count} holds no pixel")
        pixels = int(np.bitwise_count(self.rows).sum(axis=1, dtype=np.int64) @ self.counts())
        if self.areas.sum() != pixels:
            raise ValueError(f"areas: expected a sum of {pixels} as in bits, got {self.areas.sum()}")

    @classmethod
    def _trusted(
        cls, bits: tuple[np.ndarray, np.ndarray], areas: np.ndarray, inside: np.ndarray, same: np.ndarray
    ) -> Self:
        """A set whose arrays are right by construction; `bits` as from `distinct_rows`."""
        masks = object.__new__(cls)
        names = ("rows", "numbers", "areas", "inside", "same")
        for name, array in zip(names, (*bits, areas, inside, same), strict=True):
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
        return self._numbers.shape[0], self._numbers.shape[1]

    def compressed(self) -> MaskSet:
        """The same masks in much less memory: each pixel's number is found anew whenever pixels are asked for."""
        stored = self._numbers
        if isinstance(stored, _Compressed):
            return self
        masks = MaskSet._trusted((self.rows, stored), self.areas, self.inside, self.same)
        object.__setattr__(masks, "_numbers", _Compressed.of(stored))
        return masks

    def expanded(self) -> MaskSet:
        """The same masks with each pixel's number in memory: for whoever asks for pixels again and again."""
        if isinstance(self._numbers, np.ndarray):
            return self
        return MaskSet._trusted((self.rows, self.numbers), self.areas, self.inside, self.same)

    def counts(self) -> np.ndarray:
        """Pixels that have each of the distinct memberships [C], int64."""
        return row_counts(self.numbers, len(self.rows))

    def sizes(self, counts: np.ndarray) -> np.ndarray:
        """Pixels in each mask [M], int64, of some that have each of the distinct memberships `counts` times [C]."""
        return mask_areas(self.rows, counts, len(self))

    def mask(self, index: int) -> np.ndarray:
        """Mask `index` as [H, W] bool."""
        if not 0 <= index < len(self):
            raise IndexError(f"mask {index} is out of range for {len(self)} masks")
        return self._holds(index, self.numbers)

    def _holds(self, index: int, numbers: np.ndarray) -> np.ndarray:
        inside: np.ndarray = ((self.rows[:, index // 64] >> np.uint64(index % 64)) & np.uint64(1) != 0)[numbers]
        return inside

    def masks(self) -> np.ndarray:
        """All masks as [M, H, W] bool."""
        if len(self) == 0:
            return np.zeros((0, *self.shape), bool)
        numbers = self.numbers
        return np.stack([self._holds(index, numbers) for index in range(len(self))])


# In the class body they would be default values.
MaskSet.bits, MaskSet.numbers = _Bits(), _Numbers()  # type: ignore[assignment]
MaskSet.inside, MaskSet.same = _Flags("inside"), _Flags("same")  # type: ignore[assignment]
