"""Pieces of pictures that show one thing: cut out with a margin, what is around it made grey."""

from __future__ import annotations

import numpy as np

from ..cameras.pixels import resize_nearest

_MARGIN = 0.15  # on each side, in parts of the longer edge
_GREY = 128.0
_FADED = 0.5  # how far the surroundings, without colour, are brought to grey


def crop(picture: np.ndarray, mask: np.ndarray) -> np.ndarray:
    """A square around what a mask marks.

    Args:
        picture: [H, W, 3], uint8.
        mask: What is meant [h, w] bool, of the picture's size or another of its proportions; at least one pixel.

    Returns:
        [E, E, 3], uint8. What the mask leaves out is shown in greys, faintly; what lies outside of the picture is grey.
    """
    mask = resize_nearest(mask, picture.shape[:2])
    rows, columns = np.flatnonzero(mask.any(axis=1)), np.flatnonzero(mask.any(axis=0))
    if len(rows) == 0:  # too thin for the size of the picture
        mask = np.ones(picture.shape[:2], bool)
        rows, columns = np.arange(picture.shape[0]), np.arange(picture.shape[1])
    height, width = int(rows[-1] - rows[0] + 1), int(columns[-1] - columns[0] + 1)
    edge = max(height, width)
    edge += 2 * max(1, round(_MARGIN * edge))
    top, left = int(rows[0]) - (edge - height) // 2, int(columns[0]) - (edge - width) // 2
    square = np.full((edge, edge, 3), _GREY)
    inner = (slice(max(0, top), top + edge), slice(max(0, left), left + edge))
    piece, marked = picture[inner].astype(np.float64), mask[inner]
    grey = piece @ np.array([0.299, 0.587, 0.114])
    faded = (1.0 - _FADED) * grey + _FADED * _GREY
    piece[~marked] = faded[~marked][:, None]
    down, right = max(0, -top), max(0, -left)
    square[down : down + piece.shape[0], right : right + piece.shape[1]] = piece
    return np.rint(square).astype(np.uint8)
