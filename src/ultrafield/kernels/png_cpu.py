"""Rows of PNG files as they were before the encoder took their differences, compiled."""

from __future__ import annotations

import numpy as np

from .compile import compiled


@compiled()
def undo_filters(filtered: np.ndarray, step: int, rows: np.ndarray) -> bool:
    """Add up the differences in each row; False if a row names a filter that there is none of.

    Args:
        filtered: One octet that names the filter, then those of the pixels [H, 1 + N], uint8.
        step: Octets of a pixel, at least 1; from each octet to the one that it was compared with.
        rows: Output [H, N], uint8; written fully unless the answer is False.
    """
    height, width = rows.shape
    for y in range(height):
        kind = filtered[y, 0]
        if kind > 4:
            return False
        for x in range(width):
            rows[y, x] = filtered[y, 1 + x]
        if kind == 1:
            for x in range(step, width):
                rows[y, x] += rows[y, x - step]
        elif kind == 2 and y > 0:
            for x in range(width):
                rows[y, x] += rows[y - 1, x]
        elif kind >= 3:
            for x in range(width):
                left = np.int64(rows[y, x - step]) if x >= step else 0
                up = np.int64(rows[y - 1, x]) if y > 0 else 0
                corner = np.int64(rows[y - 1, x - step]) if y > 0 and x >= step else 0
                rows[y, x] += (left + up) // 2 if kind == 3 else _nearest(left, up, corner)
    return True


@compiled()
def undo_filters_of_bits(filtered: np.ndarray, pixels: np.ndarray) -> bool:
    """Add up the differences in each row of a black and white picture, and make an octet of each of its bits.

    Args:
        filtered: As for `undo_filters`; the first pixel of an octet is its highest bit.
        pixels: Output [H, W], uint8, 0 or 255; written fully unless the answer is False.

    Returns:
        As `undo_filters`.
    """
    rows = np.empty((filtered.shape[0], filtered.shape[1] - 1), np.uint8)
    if not undo_filters(filtered, 1, rows):
        return False
    height, width = pixels.shape
    for y in range(height):
        for octet in range(width // 8):
            for bit in range(8):  # of a fixed number, these become vector instructions
                pixels[y, 8 * octet + bit] = 255 * ((rows[y, octet] >> (7 - bit)) & 1)
        for x in range(width // 8 * 8, width):
            pixels[y, x] = 255 * ((rows[y, x // 8] >> (7 - x % 8)) & 1)
    return True


@compiled(inline="always")
def _nearest(left, up, corner):
    """The Paeth predictor: that of three neighbours which is nearest to left + up - corner."""
    to_left, to_up, to_corner = abs(up - corner), abs(left - corner), abs(left + up - 2 * corner)
    if to_left <= to_up and to_left <= to_corner:
        return left
    return up if to_up <= to_corner else corner
