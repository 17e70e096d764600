"""Names from files and options that become names of our own files: checked once, before any path is built from them."""

from __future__ import annotations

import os
import unicodedata
from pathlib import PureWindowsPath

from .errors import ConfigError, SceneError, UltrafieldError, shortened

MAX_TITLE = 200  # characters of a name that is only shown
MAX_BYTES = 200  # of the 255 that file systems allow; endings and temporary names need the others
_SHOWN = 60  # characters of a name in a message


def check_name(name: str, where: str, error: type[UltrafieldError] = SceneError) -> None:
    """Raise unless `name` names a file or folder of its own in whatever folder it is put into.

    Args:
        name: A view's name, a result's name, …
        where: What gives it (a file and item, an option), for the message.
        error: What to raise.

    Raises:
        UltrafieldError: The name is empty, "." or "..", holds a separator, a drive or a control character, cannot be
            encoded, or is too long.
    """
    fault = _fault(name)
    if fault is not None:
        raise error(f"{where}: {shortened(name, _SHOWN)!r} cannot be a file name: it {fault}")


def check_title(name: str, where: str, error: type[UltrafieldError] = ConfigError) -> None:
    """Raise unless `name` is text on one line that can be shown and stored: any Unicode, no control characters.

    Args:
        name: What the user calls something; it never becomes part of a path.
        where: What gives it, for the message.
        error: What to raise.

    Raises:
        UltrafieldError: The name holds a control character or a line end, cannot be encoded, or is too long.
    """
    fault = None
    if len(name) > MAX_TITLE:
        fault = f"has {len(name)} characters, which is more than {MAX_TITLE}"
    elif any(unicodedata.category(character) in ("Cc", "Zl", "Zp") for character in name):
        fault = "holds a control character or a line end"
    elif not is_text(name):
        fault = "is no valid text"
    if fault is not None:
        raise error(f"{where}: {shortened(name, _SHOWN)!r} cannot be a name: it {fault}")


def is_text(name: str) -> bool:
    """Whether UTF-8 can hold a name; Python marks bytes of file names that are not UTF-8 by lone surrogates."""
    return not any(0xD800 <= ord(character) < 0xE000 for character in name)


def spellings(name: str) -> tuple[str, ...]:
    """A name as it is, with composed and with decomposed accents: file systems and archives turn one into the other."""
    return tuple(dict.fromkeys((name, unicodedata.normalize("NFC", name), unicodedata.normalize("NFD", name))))


def _fault(name: str) -> str | None:
    """The fault of a name, None if it has none."""
    if not name:
        return "is empty"
    if name in (".", ".."):
        return "stands for another folder"
    if "/" in name or "\\" in name:
        return "holds a path separator"
    if any(ord(character) < 32 or 127 <= ord(character) < 160 for character in name):
        return "holds a control character"
    if PureWindowsPath(name).drive:
        return "begins with a drive"
    try:
        size = len(os.fsencode(name))
    except UnicodeEncodeError:
        return "cannot be encoded"
    return f"has {size} bytes, which is more than {MAX_BYTES}" if size > MAX_BYTES else None
