"""Checks of what users hand over: depth maps, points and what belongs to them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from ..cameras import Cameras
from ..errors import check_shape


def check_cameras(cameras: Cameras) -> None:
    """Raise `TypeError` or `ValueError` unless these are cameras, at least one, whose numbers are finite."""
    if not isinstance(cameras, Cameras):
        raise TypeError(f"cameras: expected Cameras, got {type(cameras).__name__}")
    if len(cameras) == 0:
        raise ValueError("cameras: expected at least one")
    broken = ~(np.isfinite(cameras.c2w).all(axis=(1, 2)) & np.isfinite(cameras.intrinsics).all(axis=1))
    if broken.any():
        raise ValueError(f"cameras: expected finite numbers, got others in camera {broken.argmax()}")


def check_depths(depths: Sequence[np.ndarray] | np.ndarray, cameras: Cameras) -> list[np.ndarray]:
    """Depth maps as a list of arrays [H, W], float32 or float64, 0 where nothing is seen.

    Args:
        depths: z-depth of V views; 0, negative or not finite where nothing is seen.
        cameras: The V cameras, whose pictures may be of another size, but have the same proportions.

    Raises:
        ValueError: Another number of depth maps, or one of another shape.
        TypeError: A depth map that holds no numbers.
    """
    if len(depths) != len(cameras):
        raise ValueError(f"depths: expected {len(cameras)}, one per camera, got {len(depths)}")
    maps = []
    for view, depth in enumerate(depths):
        depth, name = np.asarray(depth), f"depths[{view}]"
        check_numbers(name, depth)
        check_shape(name, depth, (None, None))
        width, height = (int(size) for size in cameras.sizes[view])
        if depth.size == 0 or abs(depth.shape[1] * height - depth.shape[0] * width) > max(width, height):
            raise ValueError(
                f"{name}: expected the camera's picture, {height} rows and {width} columns, or its proportions, "
                f"got {depth.shape[0]} rows and {depth.shape[1]} columns"
            )
        kind = np.float32 if depth.dtype.itemsize <= 4 and depth.dtype.kind == "f" else np.float64
        maps.append(np.where(np.isfinite(depth) & (depth > 0), depth, 0).astype(kind))
    return maps


def check_images(images: Sequence[np.ndarray | None] | np.ndarray, count: int) -> list[np.ndarray | None]:
    """Pictures as a list of arrays [H, W, 3] uint8, None where there is none.

    Raises:
        ValueError: Another number than `count`, or a picture of another shape.
        TypeError: A picture that is not uint8.
    """
    if len(images) != count:
        raise ValueError(f"images: expected {count}, one per camera, got {len(images)}")
    for view, image in enumerate(images):
        if image is not None:
            if np.asarray(image).dtype != np.uint8:
                raise TypeError(f"images[{view}]: expected uint8, got {np.asarray(image).dtype}")
            check_shape(f"images[{view}]", np.asarray(image), (None, None, 3))
    return [None if image is None else np.asarray(image) for image in images]


def check_colors(colors: Any, count: int) -> np.ndarray:
    """Colours [N, 3] as uint8; given as uint8, or as floating-point numbers in [0, 1].

    Raises:
        TypeError: Another dtype.
        ValueError: Another shape, or numbers beyond 0 … 1.
    """
    array = np.asarray(colors)
    check_shape("colors", array, (count, 3))
    if array.dtype == np.uint8:
        return array
    if array.dtype.kind != "f":
        raise TypeError(f"colors: expected uint8, or floating-point numbers in [0, 1], got {array.dtype}")
    if not ((array >= 0) & (array <= 1)).all():
        raise ValueError("colors: expected floating-point numbers in [0, 1], got others; 0 … 255 must be uint8")
    return np.rint(array * 255.0).astype(np.uint8)


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
