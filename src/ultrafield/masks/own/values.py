"""Values of JSON files, checked where they are used."""

from __future__ import annotations

from typing import Any

from ...budget import pixel_fault
from ...errors import SceneError, shortened
from ..sizes import Size

_SHOWN = 60  # characters of a value in a message


def size_of(value: Any, where: str) -> Size:
    """Height and width of an object that has both.

    Raises:
        SceneError: They are no whole numbers from 1 on, or more pixels than the limit.
    """
    height, width = (value.get(key) for key in ("height", "width"))
    for number in (height, width):
        if type(number) is not int or number < 1:
            raise SceneError(
                f"{where}: expected 'height' and 'width' in pixels, got {shown(height)} and {shown(width)}"
            )
    fault = pixel_fault(width, height)
    if fault is not None:
        raise SceneError(f"{where}: {fault}")
    return height, width


def name_of(value: Any, key: str, where: str) -> str:
    """The file name that an object has under a key; `SceneError` if it has none."""
    name = value.get(key)
    if not isinstance(name, str) or not name:
        raise SceneError(f"{where}: expected {key!r} with a file name, got {shown(name)}")
    return name


def unique(values: list[Any], key: str, where: str, kind: str) -> dict[Any, Any]:
    """Objects by their ids.

    Raises:
        SceneError: One is no object, has no id, or has that of another one.
    """
    found: dict[Any, Any] = {}
    for index, value in enumerate(values):
        identity = value.get(key) if isinstance(value, dict) else None
        if type(identity) not in (int, str):
            raise SceneError(f"{where}: {kind} {index}: expected an object with {key!r}, got {shown(value)}")
        if identity in found:
            raise SceneError(f"{where}: {kind}s {list(found).index(identity)} and {index} both have the id {identity}")
        found[identity] = value
    return found


def shown(value: Any) -> str:
    """A value as a message shows it."""
    return shortened(repr(value), _SHOWN)
