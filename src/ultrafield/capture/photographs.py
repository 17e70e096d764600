"""Looking at photographs: what their cameras tell, how sharp they are, and grey copies in which features are found.

The copies are upright, of 8 bits, and at most as large as asked for, whatever the photographs are: JPEG, HEIC, TIFF of
16 bits, with transparency or without.
"""

from __future__ import annotations

import io
import warnings
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from ..errors import SceneError, first_line
from ..io import atomic_write
from ..reading import PixelSize, picture_size, read_bytes
from .exif import Exif, read_exif
from .sharpness import sharpness, thumbnail

_GREY = 128  # behind transparent pixels, which have no features
_OPAQUE = 128  # coverage from which a pixel shows something
_JUDGED = 640  # longer edge of the pictures whose sharpness is compared, pixels


@dataclass(frozen=True, eq=False)
class Photograph:
    """A photograph that was looked at.

    Attributes:
        file: Where it lies.
        size: Width and height, upright.
        exif: What its camera says.
        reduced: Size of its grey copy.
        masked: Whether there is a mask beside the copy, as parts of the photograph are transparent.
        sharpness: See `sharpness`.
        thumbnail: See `thumbnail`.
    """

    file: Path
    size: PixelSize
    exif: Exif
    reduced: PixelSize
    masked: bool
    sharpness: float
    thumbnail: np.ndarray


def look_at(file: Path, name: str, folder: Path, longest: int) -> Photograph:
    """Look at a photograph and write its grey copy, and a mask of it if parts are transparent.

    Args:
        file: The photograph.
        name: What the copy is called: `NAME.png`.
        folder: Where copies are written; masks go to `masks/NAME.png.png`, as COLMAP has it.
        longest: Longer edge of the copy, pixels, at most.

    Raises:
        SceneError: No picture, a damaged one, or one of more pixels than the limit.
    """
    size = picture_size(file)
    data = read_bytes(file)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of odd metadata
            grey, alpha, exif = _decoded(data, longest)
    except MemoryError:
        raise
    except Exception as failure:  # Pillow's plugins raise many kinds
        raise SceneError(f"{file}: a damaged picture ({first_line(failure)[:80]}); take it out of the folder") from None
    upright = size[::-1] if exif.swapped else size
    _write(folder / name, grey)
    if alpha is not None:
        _write(folder / "masks" / f"{name}.png", alpha)
    pixels = np.asarray(_within(grey, _JUDGED), np.float32)
    return Photograph(file, upright, exif, grey.size, alpha is not None, sharpness(pixels), thumbnail(pixels))


def opened(data: bytes) -> Any:
    """Pillow's picture of a file's content; errors are Pillow's."""
    from PIL import Image

    return Image.open(io.BytesIO(data))


def upright(picture: Any, turn: int) -> Any:
    """Pillow's picture as it is to be looked at, by its EXIF turn."""
    from PIL.Image import Transpose

    moves = {
        2: Transpose.FLIP_LEFT_RIGHT,
        3: Transpose.ROTATE_180,
        4: Transpose.FLIP_TOP_BOTTOM,
        5: Transpose.TRANSPOSE,
        6: Transpose.ROTATE_270,
        7: Transpose.TRANSVERSE,
        8: Transpose.ROTATE_90,
    }
    return picture.transpose(moves[turn]) if turn in moves else picture


def _decoded(data: bytes, longest: int) -> tuple[Any, Any | None, Exif]:
    """The grey copy of a picture, the copy's mask or None, and its EXIF data."""
    picture = opened(data)
    exif = read_exif(picture, picture.size)
    picture.draft("L", (longest, longest))  # JPEG files are decoded at a fraction of their size if that is enough
    picture.load()
    grey = upright(_within(_grey(picture), longest), exif.turn)
    alpha = _alpha(picture)
    if alpha is not None:
        alpha = upright(_within(alpha, longest), exif.turn).point(lambda value: 255 if value >= _OPAQUE else 0)
    return grey, alpha, exif


def _alpha(picture: Any) -> Any | None:
    """Coverage of a picture of which something is transparent, None for others."""
    if "A" not in picture.getbands() and "transparency" not in picture.info:
        return None
    alpha = picture.convert("RGBA").getchannel("A")
    return alpha if alpha.getextrema()[0] < 255 else None


def _grey(picture: Any) -> Any:
    """A picture of any mode in 8 bits of grey."""
    from PIL import Image

    if picture.mode.startswith(("I", "F")):
        values = np.asarray(picture, np.float64)
        top = 65535.0 if values.max(initial=0) > 255 else 255.0
        return Image.fromarray(np.clip(values * (255.0 / top), 0, 255).astype(np.uint8))
    if "A" in picture.getbands() or "transparency" in picture.info:
        full = picture.convert("RGBA")
        behind = Image.new("RGBA", full.size, (_GREY, _GREY, _GREY, 255))
        return Image.alpha_composite(behind, full).convert("L")
    return picture.convert("L")


def _within(picture: Any, longest: int) -> Any:
    """The picture, reduced so that its longer edge has at most `longest` pixels."""
    from PIL import Image

    factor = longest / max(picture.size)
    if factor >= 1:
        return picture
    return picture.resize(tuple(max(1, round(edge * factor)) for edge in picture.size), Image.Resampling.BOX)


def _write(file: Path, picture: Any) -> None:
    with atomic_write(file) as stream:
        picture.save(stream, "PNG", compress_level=1)
