"""Mask files: one mask in a picture, or masks in an array.

What is inside, in a picture of any kind:

- If it has an alpha channel that is not above one half everywhere, alpha is the mask and colours say nothing.
- Otherwise a pixel counts as much as the largest of its channels.
- Values above one half of the format's range are inside: above 127 in 8 bits, above 32767 in 16 bits, above 0.5 in
  floats. Soft borders, resampling and the noise of JPEG thus leave no stray pixels. Numbers of 8 bits that are stored
  in more bits keep their range.
- Where one half tells nothing apart, but the picture has exactly two values, the higher one is inside: masks of 0 and
  1, or of 0 and 100. A picture of one value that is not 0 is inside everywhere. JPEG invents values, so that in JPEG
  files one half decides alone.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np

from ..budget import pixel_fault
from ..errors import SceneError
from ..reading import npy_header, picture_size, read_image, read_npy
from .sizes import Size

MASK_ENDINGS = (".png", ".npy", ".jpg", ".jpeg", ".webp", ".tif", ".tiff", ".bmp")
_LOSSY = (".jpg", ".jpeg")


def read_masks_of(file: Path) -> Iterator[np.ndarray]:
    """The masks in a file, [H, W] bool each: one in a picture or array [H, W], several in an array [M, H, W].

    Raises:
        SceneError: The file cannot be read, or its numbers are no mask.
    """
    if not is_array(file):
        yield inside(file, read_image(file))
        return
    array = read_flags(file)
    count, size = _stack_shape(file, array.shape)
    for values in array.reshape(count, *size):
        yield inside(file, values)


def read_flags(file: Path) -> np.ndarray:
    """The array in a file; flags that are stored as other bytes than 0 and 1, which no array holds, are true."""
    array = read_npy(file)
    if array.dtype != bool:
        return array
    return np.not_equal(array.view(np.uint8), 0, out=array)  # in place, as arrays may be large


def masks_in(file: Path) -> tuple[int, Size]:
    """How many masks a file holds, and their height and width, as its header says; errors as for `read_masks_of`."""
    if is_array(file):
        return _stack_shape(file, npy_header(file)[0])
    width, height = picture_size(file)
    return 1, (height, width)


def is_array(file: Path) -> bool:
    """Whether a file's name is that of an array, not of a picture."""
    return file.suffix.lower() == ".npy"


def is_lossy(file: Path) -> bool:
    """Whether a file's format changes the values that it stores."""
    return file.suffix.lower() in _LOSSY


def inside(file: Path, values: np.ndarray) -> np.ndarray:
    """The pixels inside a mask [H, W] bool, as the module says.

    Args:
        file: Where the values are from, for messages and for its ending.
        values: Flags or numbers [H, W], or a picture [H, W, C] with colours and perhaps alpha.

    Raises:
        SceneError: Values that are no numbers, not finite or negative.
    """
    if values.dtype == bool:
        return values
    if values.dtype.kind not in "uif":
        raise SceneError(f"{file}: expected flags or numbers, found {values.dtype}")
    if values.dtype.kind != "u" and not (np.isfinite(values).all() and values.min() >= 0):
        raise SceneError(f"{file}: a mask holds a value that is negative or not finite; expected 0 to 1, or 0 to 255")
    channel, lossy = _one_channel(values), is_lossy(file)
    if channel.dtype != np.uint8:
        return _above_half(channel, lossy=lossy)
    from .kernels.flags_cpu import above_half_cpu

    return np.asarray(above_half_cpu(channel if channel.flags.carray else channel.copy(), lossy))


def says_something(alpha: np.ndarray) -> bool:
    """Whether an alpha channel tells places apart: it is not above one half everywhere."""
    return bool(alpha.size) and bool(alpha.min() <= _half(alpha))


def _one_channel(values: np.ndarray) -> np.ndarray:
    if values.ndim == 2:
        return values
    if values.shape[2] == 4 and says_something(values[..., 3]):
        return values[..., 3]
    return np.asarray(values[..., :3].max(axis=2))


def _above_half(values: np.ndarray, *, lossy: bool) -> np.ndarray:
    lowest, highest, half = values.min(), values.max(), _half(values)
    separates = lowest <= half < highest
    if not separates and not lossy and not ((values != lowest) & (values != highest)).any():
        return np.asarray(values == highest) if highest > 0 else np.zeros(values.shape, bool)
    return np.asarray(values > half)


def _half(values: np.ndarray) -> float:
    """One half of the range that numbers which are not negative are stored in."""
    highest = float(values.max())
    if values.dtype.itemsize > 1 and highest <= 1:
        return 0.5
    if values.dtype.itemsize == 1 or highest <= 0xFF:
        return 0xFF / 2
    return 0xFFFF / 2 if highest <= 0xFFFF else highest / 2


def _stack_shape(file: Path, shape: tuple[int, ...]) -> tuple[int, Size]:
    """Number, height and width of masks [H, W], [M, H, W] or, as some segmenters give them, [M, 1, H, W]."""
    if len(shape) not in (2, 3) and not (len(shape) == 4 and shape[1] == 1):
        raise SceneError(f"{file}: expected masks [H, W] or [M, H, W], found an array of shape {list(shape)}")
    if 0 in shape[-2:]:
        raise SceneError(f"{file}: expected masks with pixels, found an array of shape {list(shape)}")
    fault = pixel_fault(shape[-1], shape[-2])
    if fault is not None:
        raise SceneError(f"{file}: {fault}")
    return (1 if len(shape) == 2 else shape[0]), (shape[-2], shape[-1])
