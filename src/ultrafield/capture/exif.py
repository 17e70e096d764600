"""What a photograph's EXIF data say about its camera."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

_TURN, _MAKE, _MODEL, _DETAILS = 0x0112, 0x010F, 0x0110, 0x8769
_FOCAL, _FOCAL_35MM, _LENS = 0x920A, 0xA405, 0xA434
_RESOLUTION, _RESOLUTION_UNIT, _ZOOM = 0xA20E, 0xA210, 0xA404
_MILLIMETRES = {2: 25.4, 3: 10.0, 4: 1.0, 5: 0.001}  # by the number that stands for a unit
_FILM_DIAGONAL = math.hypot(36.0, 24.0)
_SWAPPED = (5, 6, 7, 8)  # turns that exchange width and height


@dataclass(frozen=True)
class Exif:
    """EXIF data of a photograph.

    Attributes:
        turn: How its pixels lie, 1 to 8; 1 is upright.
        focal: Focal length in diagonals of the picture, None if it is not told.
        camera: What tells cameras apart: make, model, lens, focal length and zoom as written.
    """

    turn: int
    focal: float | None
    camera: tuple[str, ...]

    @property
    def swapped(self) -> bool:
        """Whether turning the picture upright exchanges its width and height."""
        return self.turn in _SWAPPED


def read_exif(picture: Any, size: tuple[int, int]) -> Exif:
    """EXIF data of a picture that Pillow has opened; whatever cannot be read counts as not there.

    Args:
        picture: Pillow's picture.
        size: Its width and height.
    """
    try:
        tags = picture.getexif()
        details = tags.get_ifd(_DETAILS)
    except Exception:  # broken data; Pillow's parsers raise many kinds
        return Exif(1, None, ())
    turn = tags.get(_TURN)
    camera = [*(tags.get(key) for key in (_MAKE, _MODEL)), *(details.get(key) for key in (_LENS, _FOCAL, _ZOOM))]
    turn = turn if isinstance(turn, int) and 1 <= turn <= 8 else 1
    return Exif(turn, _focal(details, size), tuple("" if value is None else str(value)[:80] for value in camera))


def _focal(details: Any, size: tuple[int, int]) -> float | None:
    """Focal length in diagonals of the picture: from that of 35 mm film, or from the sensor's resolution."""
    film = _positive(details.get(_FOCAL_35MM))
    if film is not None:
        return _believed(film / _FILM_DIAGONAL)
    focal, resolution = _positive(details.get(_FOCAL)), _positive(details.get(_RESOLUTION))
    unit = _MILLIMETRES.get(details.get(_RESOLUTION_UNIT, 2))
    if focal is None or resolution is None or unit is None:
        return None
    return _believed(focal * resolution / unit / math.hypot(*size))


def _positive(value: Any) -> float | None:
    try:
        number = float(value)
    except (TypeError, ValueError, ZeroDivisionError, OverflowError):
        return None
    return number if 0 < number < math.inf else None


def _believed(focal: float) -> float | None:
    """The focal length if a lens can have it: fields of view of 5° to 140° across the diagonal."""
    return focal if 0.18 < focal < 11.5 else None
