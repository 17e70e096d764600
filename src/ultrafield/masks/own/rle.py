"""Masks as lengths of runs, column by column, as COCO stores them; written as numbers or as text.

The text holds numbers of 5 bits a character, least significant first, from "0" on; 32 says that another character of
the same number follows, and 16 in the last one that the number is negative. From the fourth on, what is written is the
difference to the run before the last one.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from ..sizes import Size

_ZERO, _MORE, _NEGATIVE, _BITS = 48, 32, 16, 5
_MOST_CHARACTERS = 8  # of one number; 40 bits are more than any picture's pixels take


def rle_mask(rle: Any, size: Size) -> np.ndarray:
    """The mask [H, W] bool of a run-length encoding.

    Args:
        rle: An object with `counts`, numbers or text, and perhaps `size`, as it was read from JSON.
        size: Height and width that it must have.

    Raises:
        ValueError: It is none, or has another size.
    """
    if not isinstance(rle, dict) or "counts" not in rle:
        raise ValueError("expected an object with 'size' and 'counts'")
    given = rle.get("size", list(size))
    if not isinstance(given, list) or given != list(size):
        raise ValueError(f"expected an RLE of size {list(size)} (height, width), found {str(given)[:40]}")
    counts = _counts(rle["counts"])
    if (counts < 0).any() or int(counts.sum()) != size[0] * size[1]:
        raise ValueError(
            f"expected runs of {size[0] * size[1]} pixels in all ({size[0]} rows, {size[1]} columns), "
            f"found {int(counts.sum())}"
        )
    inside = np.arange(len(counts)) % 2 == 1
    return np.repeat(inside, counts).reshape(size[1], size[0]).T


def _counts(counts: Any) -> np.ndarray:
    """Lengths of the runs, outside first, int64."""
    if isinstance(counts, str):
        return _from_text(counts)
    numbers = counts if isinstance(counts, list) else [None]
    if not all(type(number) is int and 0 <= number < 1 << 40 for number in numbers):
        raise ValueError("expected counts of whole numbers that are not negative, or as text")
    return np.array(numbers, np.int64)


def _from_text(text: str) -> np.ndarray:
    """The numbers in a text."""
    characters = np.frombuffer(text.encode("utf-8", "replace"), np.uint8).astype(np.int64) - _ZERO
    if len(characters) == 0:
        return np.zeros(0, np.int64)
    if characters.min() < 0 or characters.max() >= 2 * _MORE or characters[-1] & _MORE:
        raise ValueError("counts are no run lengths as COCO writes them")
    last = np.flatnonzero(characters & _MORE == 0)
    first = np.concatenate([[0], last[:-1] + 1])
    lengths = last - first + 1
    if lengths.max() > _MOST_CHARACTERS:
        raise ValueError("counts are no run lengths as COCO writes them")
    places = np.arange(len(characters)) - np.repeat(first, lengths)
    values = np.add.reduceat((characters & (_MORE - 1)) << (_BITS * places), first)
    values -= np.where(characters[last] & _NEGATIVE, 1 << (_BITS * lengths), 0)
    values[1::2] = np.cumsum(values[1::2])
    values[2::2] = np.cumsum(values[2::2])
    return values
