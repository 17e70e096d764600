"""Packed memberships taken apart: the distinct ones, and which of them each pixel has."""

from __future__ import annotations

import numpy as np

from ..bits import unpack_bits
from .sizes import row_bands

_ROWS = 256  # distinct memberships that are unpacked at once


def distinct_rows(bits: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Take packed memberships apart; `rows[numbers]` are the memberships again.

    Args:
        bits: [H, W, K], uint64.

    Returns:
        rows: The distinct memberships [C, K], uint64.
        numbers: Which of them each pixel has [H, W], the smallest unsigned integers that suffice.
    """
    height, width, words = bits.shape
    if words == 0:
        return np.zeros((1, 0), np.uint64), np.zeros((height, width), np.uint8)
    from .kernels.distinct_cpu import distinct_rows_cpu

    pixels = np.ascontiguousarray(bits).reshape(height * width, words)
    numbers, first = distinct_rows_cpu(pixels)
    return pixels[first], numbers.astype(np.min_scalar_type(max(0, len(first) - 1))).reshape(height, width)


def row_counts(numbers: np.ndarray, count: int) -> np.ndarray:
    """Pixels that have each of `count` memberships [C], int64; `numbers` [H, W] as from `distinct_rows`."""
    counts = np.zeros(count, np.int64)
    for first, last in row_bands(numbers.shape):  # bincount makes 8-byte numbers of its argument
        counts += np.bincount(numbers[first:last].reshape(-1), minlength=count)
    return counts


def mask_areas(rows: np.ndarray, counts: np.ndarray, masks: int) -> np.ndarray:
    """Pixels in each of `masks` masks [M], int64, of some that have the distinct memberships `counts` times [C]."""
    areas = np.zeros(masks, np.int64)
    for first in range(0, len(rows), _ROWS):
        areas += counts[first : first + _ROWS] @ unpack_bits(rows[first : first + _ROWS], masks)
    return areas
