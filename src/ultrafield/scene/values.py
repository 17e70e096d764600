"""Values of files that others wrote: of any type and size until one of these functions has looked at them."""

from __future__ import annotations

import math
import reprlib
from typing import Any

from ..errors import SceneError

_LONGEST_NUMBER = 100  # characters of a number written as text

_repr = reprlib.Repr()
_repr.maxstring = _repr.maxother = _repr.maxlong = 60


def shown(value: Any) -> str:
    """A value as text for a message: one line, however long or nested it is."""
    return _repr.repr(value)


def as_float(value: Any) -> float | None:
    """A number, also one written as text, as a float that may be infinite or NaN; None for anything else."""
    if isinstance(value, bool) or not isinstance(value, int | float | str):
        return None
    if isinstance(value, str) and (len(value) > _LONGEST_NUMBER or "_" in value):
        return None
    try:
        return float(value)
    except OverflowError:  # an integer of hundreds of digits
        return math.inf
    except ValueError:
        return None


def number(values: dict[str, Any], key: str, where: str, *, least: float = -1e9, most: float = 1e9) -> float | None:
    """A finite number, None if there is no such key or it is null.

    Args:
        values: An object of a JSON file.
        key: What to look up.
        where: File and item, for messages.
        least: Smallest number that can be meant.
        most: Largest one.

    Raises:
        SceneError: No number, one that is not finite, or one beyond the limits.
    """
    given = values.get(key)
    if given is None:
        return None
    value = as_float(given)
    if value is None or not math.isfinite(value):
        raise SceneError(f"{where}: {key!r} must be a finite number, got {shown(given)}")
    if not least <= value <= most:
        raise SceneError(f"{where}: {key!r} must lie between {least:g} and {most:g}, got {value:g}")
    return value


def positive(values: dict[str, Any], key: str, where: str, *, least: float = 1e-9, most: float = 1e9) -> float | None:
    """A positive number, otherwise as `number`."""
    value = number(values, key, where, least=-math.inf, most=math.inf)
    if value is not None and value <= 0:
        raise SceneError(f"{where}: {key!r} must be positive, got {value:g}")
    return number(values, key, where, least=least, most=most)


def flag(values: dict[str, Any], key: str, where: str) -> bool:
    """A truth value, false if there is no such key; 0 and 1 count as one."""
    value = values.get(key)
    if value is None or isinstance(value, bool) or (isinstance(value, int) and value in (0, 1)):
        return bool(value)
    raise SceneError(f"{where}: {key!r} must be true or false, got {shown(value)}")


def texts(values: dict[str, Any], key: str, where: str) -> list[str] | None:
    """A list of texts, None if there is no such key or it is null."""
    items = values.get(key)
    if items is None:
        return None
    if not isinstance(items, list) or not all(isinstance(item, str) for item in items):
        raise SceneError(f"{where}: {key!r} must be a list of file names, got {shown(items)}")
    return items


def matrix(value: Any) -> list[list[float]] | None:
    """Rows of equally many numbers, as `as_float` reads them; None for anything else."""
    if not isinstance(value, list) or not all(isinstance(row, list) for row in value):
        return None
    rows = [[as_float(item) for item in row] for row in value]
    if len({len(row) for row in rows}) != 1 or any(item is None for row in rows for item in row):
        return None
    return [[item for item in row if item is not None] for row in rows]
