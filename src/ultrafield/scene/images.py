"""Pictures as all stages use them: 8-bit RGB, blended on the background, at working size."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from ..errors import SceneError
from ..reading import read_image

Color = tuple[float, float, float]


def read_picture(file: Path) -> np.ndarray:
    """Read a picture of any kind as RGB [H, W, 3] uint8 or, if any pixel is transparent, RGBA [H, W, 4] float32 in
    [0, 255].

    Raises:
        SceneError: The file is missing, is no picture, or has neither 8 nor 16 bits per channel.
    """
    picture = read_image(file)
    if picture.dtype == np.uint16:
        picture = np.round(picture.astype(np.float32) / 257.0).astype(np.uint8)
    elif picture.dtype != np.uint8:
        raise SceneError(f"{file}: expected 8 or 16 bits per channel, found {picture.dtype}")
    if picture.ndim == 2:
        return np.repeat(picture[..., None], 3, axis=2)
    if picture.shape[2] == 4 and (picture[..., 3] < 255).any():
        return picture.astype(np.float32)
    return np.ascontiguousarray(picture[..., :3])


def blend(picture: np.ndarray, background: Color) -> np.ndarray:
    """Put an RGBA picture [H, W, 4] float32 on a colour in [0, 1]: [H, W, 3] float32. RGB is returned as it is."""
    if picture.shape[2] == 3:
        return picture
    alpha = picture[..., 3:] / 255.0
    return picture[..., :3] * alpha + np.float32(255.0) * np.array(background, np.float32) * (1.0 - alpha)


def resize(image: np.ndarray, width: int, height: int) -> np.ndarray:
    """Resample an image [H, W, 3] or [H, W], float32 or uint8, and round it to uint8; downsampling averages areas.

    Blend before resizing: averaging colours that are not weighted by opacity leaves fringes along edges.
    """
    if image.shape[:2] != (height, width):
        import cv2

        shrinks = width <= image.shape[1] and height <= image.shape[0]
        image = cv2.resize(image, (width, height), interpolation=cv2.INTER_AREA if shrinks else cv2.INTER_LINEAR)
    if image.dtype == np.uint8:
        return image
    return np.clip(np.round(image), 0, 255).astype(np.uint8)
