"""A contact sheet of some views with their masks in colour, as HTML for notebooks."""

from __future__ import annotations

import html
from base64 import b64encode
from collections.abc import Sequence

import numpy as np

from ..cameras.pixels import resize_nearest
from ..io import encode_image
from .view import View

_VIEWS, _HEIGHT, _TINT = 4, 160, 0.5


def preview_html(title: str, views: Sequence[View]) -> str:
    """A line of text above a picture of a few of the views; the text alone if no view has a picture."""
    line = f"<div>{html.escape(title)}</div>"
    sheet = contact_sheet(views)
    if sheet is None:
        return line
    data = b64encode(encode_image(".png", sheet)).decode()
    return f'{line}<img alt="{html.escape(title)}" src="data:image/png;base64,{data}">'


def contact_sheet(views: Sequence[View], *, count: int = _VIEWS, height: int = _HEIGHT) -> np.ndarray | None:
    """Pictures of up to `count` views, evenly spread, side by side [height, W, 3] uint8, with their masks tinted.

    None if no view has a picture.
    """
    pictured = [view for view in views if view.shape is not None]
    chosen = [pictured[index] for index in np.linspace(0, len(pictured) - 1, min(count, len(pictured))).astype(int)]
    return np.concatenate([_thumbnail(view, height) for view in chosen], axis=1) if chosen else None


def _thumbnail(view: View, height: int) -> np.ndarray:
    """The view's picture scaled to `height`, tinted by the smallest mask at each pixel."""
    import cv2

    image = view.image
    assert image is not None
    size = (height, max(1, round(image.shape[1] * height / image.shape[0])))
    picture = cv2.resize(image, size[::-1], interpolation=cv2.INTER_AREA).astype(np.float32)
    if view.masks is not None:
        for index in np.argsort(-view.masks.areas, kind="stable").tolist():  # small masks on top
            inside = resize_nearest(view.masks.mask(index), size)
            grey = picture[inside].mean(axis=1, keepdims=True)
            picture[inside] = _TINT * grey + (1 - _TINT) * _color(index)
    return np.round(picture).astype(np.uint8)


def _color(index: int) -> np.ndarray:
    """A colour [3] in [0, 255]; hues of successive indices lie a golden angle apart."""
    hue = 2 * np.pi * (0.1 + index * 0.618034)
    return (127.5 * (1 + np.cos(hue - 2 * np.pi / 3 * np.arange(3)))).astype(np.float32)
