"""Rows of PNG files as they were before the encoder took their differences, compiled."""

from __future__ import annotations

import numpy as np

from .compile import compiled


@compiled()
def undo_filters(rows: np.ndarray, step: int) -> bool:
    """Add up the differences in each row, in place; False if a row names a filter that there is none of.

    Args:
        rows: One octet that names the filter, then those of the pixels [H, 1 + N], uint8.
        step: Octets of a pixel, at least 1; from each octet to the one that it was compared with.
    """
    height, width = rows.shape
    for y in range(height):
        kind = rows[y, 0]
        if kind > 4:
            return False
        if kind == 1:
            for x in range(1 + step, width):
                rows[y, x] += rows[y, x - step]
        elif kind == 2 and y > 0:
            for x in range(1, width):
                rows[y, x] += rows[y - 1, x]
        elif kind >= 3:
            for x in range(1, width):
                left = np.int64(rows[y, x - step]) if x > step else 0
                up = np.int64(rows[y - 1, x]) if y > 0 else 0
                corner = np.int64(rows[y - 1, x - step]) if y > 0 and x > step else 0
                rows[y, x] += (left + up) // 2 if kind == 3 else _nearest(left, up, corner)
    return True


@compiled(inline="always")
def _nearest(left, up, corner):
    """The Paeth predictor: that of three neighbours which is nearest to left + up - corner."""
    to_left, to_up, to_corner = abs(up - corner), abs(left - corner), abs(left + up - 2 * corner)
    if to_left <= to_up and to_left <= to_corner:
        return left
    return up if to_up <= to_corner else corner
