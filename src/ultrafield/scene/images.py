"""Pictures as all stages use them: 8-bit RGB, blended on the background, at working size.

Large pictures are worked on in blocks of rows, so that no copy of them in floating point exists.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from threading import BoundedSemaphore
from typing import Self

import numpy as np

from ..cameras.pixels import resize_nearest
from ..errors import SceneError, reason_of
from ..masks.read import same_aspect, size_text
from ..reading import read_image

Color = tuple[float, float, float]

BYTES_PER_PIXEL = 24  # most that a pixel takes while its picture is read and brought to working size
_MOST_READERS = 4  # pictures that are decoded at a time, whatever their size: of stages that ask for many at once
_BLOCK = 1 << 16  # pixels that are worked on at a time, few enough for the caches near a core
_LARGE = 1 << 24  # pixels from which a picture is rounded to 8 bits before it shrinks, not only after
_readers = BoundedSemaphore(_MOST_READERS)


@dataclass(frozen=True)
class PictureFile:
    """A picture that is read from its file whenever it is asked for.

    Attributes:
        file: Where it is, whatever folder the process works in later.
        size: Width and height to bring it to.
        behind: Colour behind transparent pixels.
        stamp: Bytes of the file and the time of its last change, in nanoseconds.
    """

    file: Path
    size: tuple[int, int]
    behind: Color
    stamp: tuple[int, int]

    @classmethod
    def of(cls, file: Path, size: tuple[int, int], behind: Color) -> Self:
        """A file as it is now."""
        return cls(file.absolute(), size, behind, _stamp(file))

    @property
    def shape(self) -> tuple[int, int, int]:
        """Height, width and channels of what is read."""
        return self.size[1], self.size[0], 3

    def read(self) -> np.ndarray:
        """The picture [H, W, 3] uint8, blended on the background.

        Raises:
            SceneError: The file is no longer what it was.
        """
        if _stamp(self.file) != self.stamp:
            raise SceneError(f"{self.file}: changed while it was in use")
        with _readers:
            return reduced(read_picture(self.file), self.behind, self.size)[0]


def _stamp(file: Path) -> tuple[int, int]:
    try:
        status = file.stat()
    except OSError as failure:
        raise SceneError(f"{file}: {reason_of(failure)}") from None
    return status.st_size, status.st_mtime_ns


def read_picture(file: Path) -> np.ndarray:
    """Read a picture of any kind as RGB [H, W, 3] or, if any pixel is transparent, RGBA [H, W, 4]; uint8.

    Raises:
        SceneError: The file is missing, is no picture, or has neither 8 nor 16 bits per channel.
    """
    picture = read_image(file)
    if picture.dtype == np.uint16:
        picture = _in_8_bits(picture)
    elif picture.dtype != np.uint8:
        raise SceneError(f"{file}: expected 8 or 16 bits per channel, found {picture.dtype}")
    if picture.ndim == 2:
        return np.repeat(picture[..., None], 3, axis=2)
    if picture.shape[2] == 4 and (picture[..., 3] < 255).any():
        return picture
    return np.ascontiguousarray(picture[..., :3])


def read_valid(file: Path, native: tuple[int, int], size: tuple[int, int]) -> np.ndarray | None:
    """Read which pixels of a view are to be used from a black and white picture, black being those to ignore.

    Args:
        file: The picture; above one half counts as white, in any colour channel.
        native: Width and height of the view's picture, whose aspect ratio it must have.
        size: Working size (width, height). A pixel counts if nothing of it is to be ignored.

    Returns:
        [H, W] bool, None if all pixels are to be used.

    Raises:
        SceneError: The file is missing, is no picture, has another aspect ratio, or leaves no pixel.
    """
    picture = read_image(file)
    if not same_aspect(picture.shape[:2], native[::-1]):
        expected = f"the aspect ratio of its picture ({size_text(native[::-1])})"
        raise SceneError(f"{file}: expected {expected}, found {size_text(picture.shape[:2])}")
    if picture.dtype.kind != "u":
        raise SceneError(f"{file}: expected 8 or 16 bits per channel, found {picture.dtype}")
    top = int(picture.max(initial=0))
    half = 0 if top <= 1 else np.iinfo(picture.dtype).max // 2  # some write 0 and 1
    white = np.greater(picture if picture.ndim == 2 else picture[..., :3].max(axis=2), half)
    valid = _shrunk(white, size)
    if not valid.any():
        raise SceneError(f"{file}: excludes every pixel of its view; take the view out, or white and black are swapped")
    return None if valid.all() else valid


def inside_circle(radius: float, size: tuple[int, int]) -> np.ndarray:
    """Which pixels of a picture lie wholly in a circle around its middle [H, W] bool.

    Args:
        radius: In widths of the picture.
        size: Width and height.
    """
    x, y = (np.abs(np.arange(edge) + 0.5 - 0.5 * edge) + 0.5 for edge in size)  # of each pixel's farthest corner
    return x[None, :] ** 2 + y[:, None] ** 2 <= (radius * size[0]) ** 2


def reduced(picture: np.ndarray, behind: Color, size: tuple[int, int]) -> tuple[np.ndarray, np.ndarray | None]:
    """A picture at working size.

    Blending comes before resizing: averaging colours that are not weighted by opacity leaves fringes along edges.

    Args:
        picture: RGB [h, w, 3] uint8, or RGBA [h, w, 4] uint8 or float32 in [0, 255].
        behind: Colour behind transparent pixels, in [0, 1].
        size: Width and height.

    Returns:
        The blended picture [H, W, 3] uint8, and its coverage [H, W] uint8, None for RGB.
    """
    if picture.shape[2] == 3:
        return resize(picture, *size), None
    same_size = picture.shape[1::-1] == tuple(size)
    rounded = same_size or picture.shape[0] * picture.shape[1] > _LARGE
    alpha = np.ascontiguousarray(picture[..., 3])
    if not rounded:
        alpha = alpha.astype(np.float32, copy=False)
    return resize(blend(picture, behind, np.uint8 if rounded else np.float32), *size), resize(alpha, *size)


def blend(picture: np.ndarray, background: Color, dtype: type = np.float32) -> np.ndarray:
    """Put an RGBA picture [H, W, 4] with values in [0, 255] on a colour in [0, 1].

    Args:
        picture: uint8 or float32.
        background: The colour.
        dtype: Of the result: float32, or uint8 to round it.

    Returns:
        [H, W, 3].
    """
    from .kernels.blend_cpu import blend_cpu

    color = np.float32(255.0) * np.array(background, np.float32)
    blended = np.empty((*picture.shape[:2], 3), dtype)
    blend_cpu(picture if picture.flags.carray else picture.copy(), color, blended, dtype is not np.float32)
    return blended


def resize(image: np.ndarray, width: int, height: int) -> np.ndarray:
    """Resample an image [H, W, 3] or [H, W], float32 or uint8, and round it to uint8; downsampling averages areas."""
    if image.shape[:2] != (height, width):
        import cv2

        shrinks = width <= image.shape[1] and height <= image.shape[0]
        image = cv2.resize(image, (width, height), interpolation=cv2.INTER_AREA if shrinks else cv2.INTER_LINEAR)
    return image if image.dtype == np.uint8 else _rounded(image)


def _rounded(image: np.ndarray) -> np.ndarray:
    return np.clip(np.round(image), 0, 255).astype(np.uint8)


def _in_8_bits(picture: np.ndarray) -> np.ndarray:
    """A picture of 16 bits per channel with 8."""
    narrow = np.empty(picture.shape, np.uint8)
    for rows in _blocks(picture):
        narrow[rows] = np.round(picture[rows].astype(np.float32) / 257.0).astype(np.uint8)
    return narrow


def _shrunk(valid: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    """Flags [h, w] at another size (width, height); a pixel is set if all that it covers is."""
    if size[0] > valid.shape[1] or size[1] > valid.shape[0]:
        return resize_nearest(valid, size[::-1])
    return resize(valid.astype(np.uint8) * np.uint8(255), *size) == 255


def _blocks(picture: np.ndarray) -> Iterator[slice]:
    """Slices of rows of a picture [H, W, ...], about `_BLOCK` pixels each."""
    rows = max(1, _BLOCK // max(1, picture.shape[1]))
    return (slice(first, first + rows) for first in range(0, len(picture), rows))
