"""Flags packed into 64-bit words, lowest bit first."""

from __future__ import annotations

import numpy as np


def pack_bits(flags: np.ndarray) -> np.ndarray:
    """Pack flags [..., N] bool into words [..., ceil(N / 64)] uint64: bit n % 64 of word n // 64 is flag n.

    >>> pack_bits(np.array([True, False, True])).tolist()
    [5]
    """
    octets = np.packbits(flags, axis=-1, bitorder="little")
    padding = [(0, 0)] * (octets.ndim - 1) + [(0, -octets.shape[-1] % 8)]
    return np.pad(octets, padding).view("<u8").astype(np.uint64, copy=False)


def unpack_bits(words: np.ndarray, count: int | None = None) -> np.ndarray:
    """Unpack words [..., W] uint64 into flags [..., count] bool; `count` is 64 · W by default.

    >>> unpack_bits(np.array([5], np.uint64), 3).tolist()
    [True, False, True]
    """
    octets = np.ascontiguousarray(words, "<u8").view(np.uint8)
    return np.unpackbits(octets, axis=-1, count=count, bitorder="little").view(bool)
