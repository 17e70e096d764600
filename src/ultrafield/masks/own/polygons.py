"""Masks of polygons: the pixels whose centres lie inside."""

from __future__ import annotations

from typing import Any

import numpy as np

from ..sizes import Size

_FARTHEST = 1e7  # pixels


def polygon_mask(polygons: Any, size: Size) -> np.ndarray:
    """The union [H, W] bool of polygons, as COCO lists them: x and y of one corner after the other.

    A pixel belongs to a polygon if its centre, half a pixel right and below its corner, lies inside (even-odd rule).

    Raises:
        ValueError: They are no polygons.
    """
    if not isinstance(polygons, list) or not polygons:
        raise ValueError("expected polygons, lists of x and y of each corner")
    mask = np.zeros(size, bool)
    for polygon in polygons:
        mask |= _inside(_corners(polygon), size)
    return mask


def _corners(polygon: Any) -> np.ndarray:
    """Corners [N, 2] of one polygon."""
    numbers = polygon if isinstance(polygon, list) else []
    fits = all(isinstance(number, int | float) and abs(number) <= _FARTHEST for number in numbers)
    if len(numbers) < 6 or len(numbers) % 2 or not fits:
        raise ValueError("expected a polygon of x and y of at least three corners")
    return np.array(numbers, np.float64).reshape(-1, 2)


def _inside(corners: np.ndarray, size: Size) -> np.ndarray:
    """Pixels whose centres lie inside: right of an odd number of edges of their row."""
    height, width = size
    crossings = np.zeros((height, width + 1), np.int32)
    for (x0, y0), (x1, y1) in zip(corners, np.roll(corners, -1, axis=0), strict=True):
        low, high = sorted((y0, y1))
        rows = np.arange(max(0, int(np.ceil(low - 0.5))), min(height, int(np.ceil(high - 0.5))))
        if len(rows) == 0:  # the edge is level, or passes no centre of a row
            continue
        across = x0 + (rows + 0.5 - y0) * ((x1 - x0) / (y1 - y0))
        columns = np.clip(np.ceil(across - 0.5), 0, width).astype(np.int64)
        np.add.at(crossings, (rows, columns), 1)
    return np.asarray(np.cumsum(crossings[:, :width], axis=1) % 2 == 1)
