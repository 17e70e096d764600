"""What a client asks a server for, checked before anything is done with it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from ..interruption import SIGNALS
from .channel import Message


def _is_text(value: Any) -> bool:
    """Whether a value is text that a path or a variable may be."""
    return isinstance(value, str) and "\0" not in value


def _are_variables(value: Any) -> bool:
    """Whether a value is what an environment may be."""
    return isinstance(value, dict) and all(
        _is_text(name) and _is_text(text) and name != "" and "=" not in name for name, text in value.items()
    )


_EXPECTED: dict[str, tuple[str, Callable[[Any], bool]]] = {
    "likeness": ("an object", lambda value: isinstance(value, dict)),
    "environment": ("names and texts", _are_variables),
    "folder": ("a path", _is_text),
    "umask": ("a whole number from 0 to 511", lambda value: type(value) is int and 0 <= value <= 0o777),
    "arguments": ("a list of texts", lambda value: isinstance(value, list) and all(map(_is_text, value))),
}


def fault_of(request: Message) -> str | None:
    """What is wrong with a request to run something, None if nothing is."""
    for name, (expected, fits) in _EXPECTED.items():
        if not fits(request.get(name)):
            return f"it cannot read what it is asked for ({name!r} must be {expected})"
    return None


def signal_of(message: Message) -> int | None:
    """The signal that a client with a job passes on, None if its message names none that may be."""
    number = message.get("signal")
    return number if type(number) is int and number in SIGNALS else None
