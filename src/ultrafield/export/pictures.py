"""Label maps as pictures: flat colours, or laid over the photograph."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from ..cameras.pixels import resize_nearest
from ..errors import check_shape
from ..io import write_image

NONE_COLOR = (255, 255, 255)  # pixels without a segment
_BORDER_COLOR = (20, 20, 20)


def label_picture(
    labels: np.ndarray, colors: np.ndarray, *, none: tuple[int, int, int] | None = NONE_COLOR
) -> np.ndarray:
    """Label map to colours.

    Args:
        labels: Node ids [H, W], −1 for none.
        colors: Colour of every node [K, 3], uint8, from `node_colors`.
        none: Colour of pixels without a segment; None makes them transparent.

    Returns:
        [H, W, 3] uint8, or [H, W, 4] if `none` is None.

    Raises:
        IndexError: A node without a colour.
    """
    from .kernels.pictures_cpu import paint

    kind = np.int32 if labels.dtype == np.int32 else np.int64  # kernels are compiled for each
    labels = np.ascontiguousarray(labels, kind)
    picture = np.empty((*labels.shape, 3), np.uint8)
    behind = np.array(NONE_COLOR if none is None else none, np.uint8)
    wrong = paint(labels, np.ascontiguousarray(colors), behind, picture)
    if wrong >= 0:
        raise IndexError(f"labels: expected node ids below {len(colors)}, got {wrong}")
    if none is not None:
        return picture
    return np.concatenate([picture, np.where(labels >= 0, 255, 0).astype(np.uint8)[..., None]], axis=2)


def write_label_picture(
    path: str | Path, labels: np.ndarray, colors: np.ndarray, *, none: tuple[int, int, int] | None = NONE_COLOR
) -> None:
    """Write `label_picture` to a `.png`, atomically."""
    write_image(path, label_picture(labels, colors, none=none))


def overlay(
    photo: np.ndarray, labels: np.ndarray, colors: np.ndarray, *, opacity: float = 0.55, borders: float = 1.0
) -> np.ndarray:
    """Colours and dark borders of the segments over the photograph.

    Args:
        photo: [H, W, 3], uint8.
        labels: Node ids [h, w], −1 for none; of the photo's size or any other.
        colors: Colour of every node [K, 3], uint8.
        opacity: How much of the photograph the colours hide, 0 … 1.
        borders: How much of both the borders hide, 0 … 1.

    Returns:
        [H, W, 3], uint8; pixels without a segment show the photograph.
    """
    check_shape("photo", photo, (None, None, 3))
    labels = resize_nearest(labels, photo.shape[:2])
    mixed = (1.0 - opacity) * photo + opacity * label_picture(labels, colors)
    mixed[labels < 0] = photo[labels < 0]
    border = label_borders(labels)
    mixed[border] = (1.0 - borders) * mixed[border] + borders * np.array(_BORDER_COLOR)
    return np.rint(mixed).astype(np.uint8)


def label_borders(labels: np.ndarray) -> np.ndarray:
    """Pixels [H, W] whose right or lower neighbour has another label."""
    border = np.zeros(labels.shape, bool)
    border[:, :-1] |= labels[:, :-1] != labels[:, 1:]
    border[:-1] |= labels[:-1] != labels[1:]
    return border


def side_by_side(pictures: Sequence[np.ndarray], *, gap: int = 4) -> np.ndarray:
    """Pictures [H, W, 3] uint8 in a row on white, brought to the height of the first.

    Raises:
        ValueError: There is no picture.
    """
    if len(pictures) == 0:
        raise ValueError("pictures: expected at least one")
    height = pictures[0].shape[0]
    space = np.full((height, gap, 3), 255, np.uint8)
    row = [scaled_to_height(pictures[0], height)]
    for picture in pictures[1:]:
        row += [space, scaled_to_height(picture, height)]
    return np.concatenate(row, axis=1)


def scaled_to_height(picture: np.ndarray, height: int) -> np.ndarray:
    """The picture [H, W, 3] uint8 scaled to `height`; enlarged without blur, so that label maps stay crisp."""
    import cv2

    if picture.shape[0] == height:
        return picture
    width = max(1, round(picture.shape[1] * height / picture.shape[0]))
    shrinks = height < picture.shape[0]
    return cv2.resize(picture, (width, height), interpolation=cv2.INTER_AREA if shrinks else cv2.INTER_NEAREST)
