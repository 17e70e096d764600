"""Checks of what users hand over: depth maps, points and what belongs to them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from ..errors import check_shape


def check_depths(depths: Sequence[np.ndarray] | np.ndarray, count: int) -> list[np.ndarray]:
    """Depth maps as a list of arrays [H, W].

    Raises:
        ValueError: Another number than `count`, or a map of another shape.
        TypeError: A map that holds no numbers.
    """
    if len(depths) != count:
        raise ValueError(f"depths: expected {count}, one per camera, got {len(depths)}")
    maps = [np.asarray(depth) for depth in depths]
    for view, depth in enumerate(maps):
        check_numbers(f"depths[{view}]", depth)
        check_shape(f"depths[{view}]", depth, (None, None))
    return maps


def check_numbers(name: str, array: np.ndarray) -> None:
    """Raise `TypeError` unless an array holds integers or real numbers."""
    if array.dtype.kind not in "iuf":
        raise TypeError(f"{name}: expected numbers, got {array.dtype}")


def check_rows(name: str, values: Any, count: int | None) -> np.ndarray:
    """Vectors [N, 3] as float64; `count` is N, None for any.

    Raises:
        TypeError: No numbers.
        ValueError: Another shape, or a row that is not finite.
    """
    array = np.asarray(values)
    check_numbers(name, array)
    check_shape(name, array, (count, 3))
    broken = ~np.isfinite(array).all(axis=1)
    if broken.any():
        raise ValueError(f"{name}: expected finite numbers, got {array[broken][0].tolist()} in row {broken.argmax()}")
    return array.astype(np.float64)
