"""Sizes of masks and pictures, height before width."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from ..errors import SceneError

Size = tuple[int, int]  # height, width

_BAND_PIXELS = 1 << 21  # of rows that are worked on at once, which bounds the memory that large pictures need


def same_aspect(size: Size, other: Size) -> bool:
    """Whether two sizes show the same picture: a common factor explains both, up to rounding to whole pixels."""
    (height, width), (other_height, other_width) = sorted([size, other])
    factor = max(other_height / height, other_width / width)
    return abs(height * factor - other_height) <= factor and abs(width * factor - other_width) <= factor


def check_aspect(file: Path, size: Size, expected: Size) -> None:
    """Raise `SceneError` unless masks of `size` can belong to a picture of size `expected`."""
    if min(size) < 1 or not same_aspect(size, expected):
        raise SceneError(
            f"{file}: expected a mask with the aspect ratio of its picture ({size_text(expected)}), "
            f"found {size_text(size)}"
        )


def size_text(size: tuple[int, ...]) -> str:
    """A size (height, width) as text: "640x480 pixels"."""
    return f"{size[1]}x{size[0]} pixels"


def row_bands(size: tuple[int, ...]) -> Iterator[tuple[int, int]]:
    """Rows of a picture of a size, a few at a time: the first row, and one past the last."""
    rows = max(1, _BAND_PIXELS // max(1, size[1]))
    for first in range(0, size[0], rows):
        yield first, min(first + rows, size[0])
