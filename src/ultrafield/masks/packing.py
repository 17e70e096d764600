"""Masks as bits: one mask after the other, or all segments of a label map at once."""

from __future__ import annotations

import numpy as np

from ..budget import array_limit
from ..cameras.pixels import resize_nearest
from ..errors import SceneError
from .sizes import Size, row_bands, size_text

_BYTES_PER_PAIR = 6  # of masks: how many pixels they share, containment and sameness


class MaskPacker:
    """Packs masks into words as they come, so that they never lie in memory unpacked.

    Args:
        most: How many masks may come.
        size: Height and width to pack; masks of another size are resampled (nearest pixel).
    """

    def __init__(self, most: int, size: Size) -> None:
        from .kernels.flags_cpu import add_flags_cpu

        self.size = size
        self._add = add_flags_cpu
        self._areas: list[int] = []
        self._bits = np.zeros((*size, -(-most // 64)), "<u8")
        # The 64 masks that are being collected, an octet for eight; if there are no more, they are in place.
        self._word = np.zeros((*size, 8), np.uint8) if most > 64 else self._bits.view(np.uint8)
        self._octet = np.zeros(size, np.uint8)

    def add(self, mask: np.ndarray) -> bool:
        """Add a mask [H, W] bool; one that holds no pixel is left out, and the answer is False."""
        mask = np.ascontiguousarray(resize_nearest(mask, self.size), bool)
        index = len(self._areas)
        flags = (mask if mask.flags.writeable else mask.copy()).view(np.uint8)
        area = int(self._add(flags, index % 8, self._octet))
        if area == 0:
            return False
        self._areas.append(area)
        if index % 8 == 7:
            self._close_octet(index)
        return True

    def _close_octet(self, index: int) -> None:
        """Store the masks up to `index`, the last one of its octet; in strides, so as seldom as possible."""
        self._word[:, :, index % 64 // 8] = self._octet
        self._octet[...] = 0
        if index % 64 == 63:
            self._close_word(index)

    def _close_word(self, index: int) -> None:
        if self._bits.shape[2] > 1:
            self._bits[:, :, index // 64] = self._word.view("<u8")[:, :, 0]
            self._word[...] = 0

    def finish(self) -> tuple[np.ndarray, np.ndarray]:
        """Packed masks [H, W, ceil(M / 64)] uint64 and their areas [M] int64; no mask can be added afterwards."""
        count = len(self._areas)
        if count % 8:
            self._close_octet(count | 7)
        if count % 64 and (count - 1) % 64 < 56:  # closing the word's last octet has closed the word
            self._close_word(count - 1)
        bits = np.ascontiguousarray(self._bits[:, :, : -(-count // 64)], np.uint64)
        del self._bits, self._word, self._octet  # what is returned may be all that is left of them
        return bits, np.array(self._areas, np.int64)


def pack_masks(masks: np.ndarray) -> np.ndarray:
    """Pack masks [M, H, W] bool into words [H, W, ceil(M / 64)] uint64, bit m % 64 of word m // 64 for mask m."""
    count, height, width = masks.shape
    octets = np.zeros((height, width, -(-count // 64) * 8), np.uint8)
    for first in range(0, count, 8):
        packed = np.zeros((height, width), np.uint8)
        for bit, mask in enumerate(masks[first : first + 8]):
            packed |= np.ascontiguousarray(mask, bool).view(np.uint8) << np.uint8(bit)
        octets[:, :, first // 8] = packed
    return octets.view("<u8").astype(np.uint64, copy=False)


def pack_labels(labels: np.ndarray, count: int) -> tuple[np.ndarray, np.ndarray]:
    """Pack the segments of a label map.

    Args:
        labels: Segment of each pixel [H, W], integers from 0 to `count` − 1, negative for none.
        count: Number of segments M.

    Returns:
        Packed masks [H, W, ceil(M / 64)] uint64 and their areas [M] int64, some of which may be 0.
    """
    words = -(-count // 64)
    bits, areas = np.zeros((*labels.shape, words), np.uint64), np.zeros(count, np.int64)
    for first, last in row_bands(labels.shape):
        flat = labels[first:last].reshape(-1)
        pixels = np.flatnonzero(flat >= 0)
        segments = flat[pixels]
        flags = np.uint64(1) << (segments % 64).astype(np.uint64)
        bits[first:last].reshape(-1)[pixels * words + segments // 64] = flags
        areas += np.bincount(segments, minlength=count)
    return bits, areas


def check_budget(where: object, count: int, size: Size) -> None:
    """Raise `SceneError` if `count` masks of a size take more memory, once packed, than the limit of arrays."""
    taken = 8 * -(-count // 64) * size[0] * size[1] + _BYTES_PER_PAIR * count * count
    if taken > array_limit():
        raise SceneError(
            f"{where}: {count} masks of {size_text(size)} take {taken / 1e6:,.0f} MB, more than "
            f"{array_limit() / 1e6:,.0f}; a larger --memory raises the limit"
        )
