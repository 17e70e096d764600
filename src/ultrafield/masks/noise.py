"""Traces that JPEG compression, anti-aliasing, smoothing and photographs leave in a map of ids.

They put up to thousands of new ids along the borders: ids that nowhere hold 2x2 pixels, in many places, or as blends of
the colours around. Of real segments hardly any is so thin, and those lie in one place or few.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from .sizes import row_bands

_FEW = 8  # thin ids, below which nothing is suspected
_MANY = 1000  # thin ids, which only noise has
_PICTURE = 0.5  # part of the pixels in thin ids, which only photographs have
_NEARLY_ALL, _CRUMB = 0.95, 6  # part of the ids that are thin, which only noise reaches with as few pixels per id
_PIECES_MOST, _PIECES_TENTH = 1.9, 4.5  # places in which a thin id lies, if most ids are thin, and if a tenth is
_BLENDED = 0.5  # part of the thin ids' pixels whose colour lies between those around
_AROUND = 5  # pixels, edge of the square that is around
_TOLERANCE = 8 / 255  # of the range, within which a colour is between others, or black, or white


@dataclass(frozen=True, eq=False)
class Thinness:
    """Which ids of a map nowhere hold 2x2 pixels.

    Attributes:
        thin: Which ids are thin [D], bool.
        pieces: In how many places a thin id lies, on average.
        pixels: How many pixels have a thin id.
        squares: Which pixels belong to 2x2 pixels of one id [H, W], bool.
    """

    thin: np.ndarray
    pieces: float
    pixels: int
    squares: np.ndarray

    @property
    def count(self) -> int:
        """Number of thin ids."""
        return int(self.thin.sum())


def thinness(labels: np.ndarray, count: int) -> Thinness:
    """Find the thin ids of a map.

    Args:
        labels: Index of the id of each pixel [H, W], from 0 to `count` − 1.
        count: Number of ids D.
    """
    thin, squares = np.ones(count, bool), np.zeros(labels.shape, bool)
    for first, last in row_bands(labels.shape):
        band = labels[first : last + 1]  # with the row that follows
        corner = band[:-1, :-1]
        square = (corner == band[1:, :-1]) & (corner == band[:-1, 1:]) & (corner == band[1:, 1:])
        thin[corner[square]] = False
        for rows in (slice(first, first + len(square)), slice(first + 1, first + 1 + len(square))):
            squares[rows, :-1] |= square
            squares[rows, 1:] |= square
    pixels = links = 0
    for first, last in row_bands(labels.shape):
        band = labels[first : last + 1]
        of_thin = thin[band]
        pixels += int(of_thin[: last - first].sum())
        links += _links(np.where(of_thin, band, -1), last - first)
    return Thinness(thin, (pixels - links) / max(1, int(thin.sum())), pixels, squares)


def _links(labels: np.ndarray, rows: int) -> int:
    """Pairs of neighbours, diagonal ones too, that connect pixels of one thin id.

    Args:
        labels: Ids [H, W], −1 for others.
        rows: From how many rows pairs begin: all, or all but the last one, which is only a neighbour.
    """
    across = (labels[:, 1:] == labels[:, :-1]) & (labels[:, 1:] >= 0)
    down = (labels[1:] == labels[:-1]) & (labels[1:] >= 0)
    # Pixels that touch at a corner, unless a third one connects them: then this counts both of its links.
    falling = (labels[1:, 1:] == labels[:-1, :-1]) & (labels[1:, 1:] >= 0) & ~across[:-1] & ~across[1:]
    rising = (labels[1:, :-1] == labels[:-1, 1:]) & (labels[1:, :-1] >= 0) & ~across[:-1] & ~across[1:]
    return int(across[:rows].sum()) + int(down.sum()) + int(falling.sum()) + int(rising.sum())


def is_noise(picture: np.ndarray, labels: np.ndarray, found: Thinness) -> bool:
    """Whether a map of ids is full of such traces.

    Args:
        picture: The map as stored, [H, W] or [H, W, C].
        labels: As for `thinness`.
        found: Its thin ids.
    """
    thin, ids = found.count, len(found.thin)
    if thin < _FEW:
        return False
    if 2 * thin <= ids:
        return 10 * thin >= ids and found.pieces >= _PIECES_TENTH
    crumbs = thin >= _NEARLY_ALL * ids and found.pixels <= _CRUMB * thin
    if thin >= _MANY or crumbs or found.pixels >= _PICTURE * labels.size or found.pieces >= _PIECES_MOST:
        return True
    return _is_coloured(picture) and _blended(picture, labels, found) >= _BLENDED


def is_soft_mask(picture: np.ndarray, labels: np.ndarray, found: Thinness) -> bool:
    """Whether a map of ids is one mask: black and white, with grey thinly in between; arguments as for `is_noise`."""
    if picture.dtype.kind != "u" or _is_coloured(picture):
        return False
    most, some_white = np.iinfo(picture.dtype).max, False
    for first, last in row_bands(labels.shape):
        values = _channels(picture[first:last])[..., 0]
        areas = values[~found.thin[labels[first:last]]]
        white = areas >= (1 - _TOLERANCE) * most
        if not (white | (areas <= _TOLERANCE * most)).all():
            return False
        some_white |= bool(white.any())
    return some_white


def _channels(picture: np.ndarray) -> np.ndarray:
    """The channels but alpha, [H, W, C]."""
    return picture[..., None] if picture.ndim == 2 else picture[..., :3]


def _is_coloured(picture: np.ndarray) -> bool:
    channels = _channels(picture)
    if channels.shape[2] == 1 or picture.dtype.kind != "u":
        return False
    least = _TOLERANCE * np.iinfo(picture.dtype).max
    return any(np.ptp(channels[first:last], axis=2).max() > least for first, last in row_bands(picture.shape))


def _blended(picture: np.ndarray, labels: np.ndarray, found: Thinness) -> float:
    """Part of the thin ids' pixels whose colour lies, in every channel, between those of other ids around."""
    count, margin = 0, _AROUND // 2
    for first, last in row_bands(labels.shape):
        rows = slice(max(0, first - margin), last + margin)
        between = _between(picture[rows], found.thin[labels[rows]])
        count += int(between[first - rows.start : last - rows.start].sum())
    return count / found.pixels


def _between(picture: np.ndarray, thin: np.ndarray) -> np.ndarray:
    """Which pixels are of thin ids and have a colour between those of other ids around [H, W], bool."""
    import cv2

    most = np.iinfo(picture.dtype).max
    between, square = thin.copy(), np.ones((_AROUND, _AROUND), np.uint8)
    for channel in np.moveaxis(_channels(picture), 2, 0):
        least = cv2.erode(np.where(thin, np.array(most, picture.dtype), channel), square)
        greatest = cv2.dilate(np.where(thin, np.array(0, picture.dtype), channel), square)
        values = channel.astype(np.float32)
        between &= (values >= least - _TOLERANCE * most) & (values <= greatest + _TOLERANCE * most)
    return between
