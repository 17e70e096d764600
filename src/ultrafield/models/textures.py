"""Textures of 3D models, decoded once, within a limit; Pillow decodes lazily and not in several threads at once."""

from __future__ import annotations

import hashlib
import warnings
from typing import Any

import numpy as np

from ..budget import memory, pixel_fault

_FORMATS = (None, "PNG", "JPEG", "WEBP", "BMP", "TIFF", "GIF", "TGA", "DDS", "PPM", "JPEG2000")  # None: made in memory
_SHARE = 4  # of the memory, for all textures together


class TexturePool:
    """Decoded textures; equal ones are kept once, however many materials have a copy."""

    def __init__(self) -> None:
        self._images: dict[bytes, np.ndarray] = {}
        self._size = 0

    def decode(self, image: Any) -> np.ndarray:
        """The colours of a picture of Pillow's [H, W, 3], uint8 sRGB; transparency is left out.

        Raises:
            ValueError: The picture cannot be decoded, or it or all textures together are too large.
        """
        fault = pixel_fault(*image.size)
        if fault is not None:
            raise ValueError(fault)
        if getattr(image, "format", None) not in _FORMATS:
            raise ValueError(f"of the format {image.format}, which is not decoded")
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                colors = _rgb(image)
        except Exception as failure:  # Pillow's decoders raise many kinds
            raise ValueError(f"it cannot be decoded: {failure}") from None
        key = hashlib.sha256(repr(colors.shape).encode() + colors.tobytes()).digest()
        if key not in self._images:
            self._size += colors.nbytes
            if self._size > memory() // _SHARE:
                raise ValueError("all textures together take too much memory; a larger --memory raises the limit")
            self._images[key] = colors
        return self._images[key]


def _rgb(image: Any) -> np.ndarray:
    """[H, W, 3] uint8 of any mode, 16 bits a channel and floating-point numbers in [0, 1] included."""
    mode = image.mode
    if mode == "F" or mode.startswith("I"):
        grey = np.asarray(image).astype(np.float64)
        grey *= 255.0 if mode == "F" else 1.0 / 257.0 if mode != "I" or grey.max(initial=0) > 255 else 1.0
        grey = np.rint(np.nan_to_num(grey).clip(0, 255)).astype(np.uint8)
        return np.repeat(grey[..., None], 3, axis=2)
    return np.ascontiguousarray(np.asarray(image.convert("RGBA"))[..., :3])


def sample_texture(image: np.ndarray, coordinates: np.ndarray) -> np.ndarray:
    """Colours [K, 3], uint8, of a picture [H, W, 3], uint8, that repeats, at texture coordinates [K, 2].

    Bilinear; the first row of the picture lies at v = 1. Coordinates that are not finite, or beyond a million, count
    as 0.
    """
    height, width = image.shape[:2]
    place = coordinates.astype(np.float64)
    place = np.where(np.abs(place) <= 1e6, place, 0.0)
    x, y = place[:, 0] * (width - 1), (1 - place[:, 1]) * (height - 1)
    left, top = np.floor(x).astype(np.int64) % width, np.floor(y).astype(np.int64) % height
    right, bottom = np.ceil(x).astype(np.int64) % width, np.ceil(y).astype(np.int64) % height
    dx, dy = (x % width - left)[:, None], (y % height - top)[:, None]
    mixed = (1 - dx) * (1 - dy) * image[top, left] + dx * (1 - dy) * image[top, right]
    mixed = mixed + (1 - dx) * dy * image[bottom, left] + dx * dy * image[bottom, right]
    return mixed.round().astype(np.uint8)
