"""Errors that reach the user, and the checks that raise them."""

from __future__ import annotations

import shlex
from collections.abc import Sequence
from types import NoneType
from typing import Any


class UltrafieldError(Exception):
    """Something the user can act on; the command line prints it as one line and exits with `exit_code`.

    Args:
        text: What is wrong; `{setting}` stands for the setting's name.
        setting: The Python argument or setting that is concerned, such as "hold_out" or "geometry.lr". Unless the text
            names it, it goes before the text. The command line prints the option of this name instead (--hold-out).
    """

    exit_code = 1

    def __init__(self, text: str = "", *, setting: str | None = None) -> None:
        self.setting = setting
        self._text = text
        super().__init__(self._naming(setting))

    def for_command_line(self) -> str:
        """The text with the setting written as an option."""
        return self._naming(None if self.setting is None else "--" + self.setting.replace("_", "-"))

    def _naming(self, setting: str | None) -> str:
        if setting is None:
            return self._text
        if "{setting}" in self._text:
            return self._text.replace("{setting}", setting)
        return f"{setting}: {self._text}"


class SceneError(UltrafieldError):
    """The input (a folder, a file, a frame, a mask) is not what it must be; the text names it."""

    exit_code = 2


class ConfigError(UltrafieldError):
    """A setting, argument or command-line option that cannot be used, or that contradicts another."""

    exit_code = 2


class RunError(UltrafieldError):
    """A run folder lacks an artefact that a stage needs, or holds a broken one."""

    exit_code = 2


class BackendError(UltrafieldError):
    """A backend (device, kernel, optional package) asked for by name cannot run here."""


class TrainingError(UltrafieldError):
    """Optimisation failed: a loss that is not finite, a field that stays empty."""


def reason_of(failure: Exception) -> str:
    """Why an operation failed, without the file's name, which the caller says in its own way."""
    return failure.strerror if isinstance(failure, OSError) and failure.strerror else str(failure)


def first_line(failure: Exception) -> str:
    """The first line of what a library says of a failure; its kind if it says nothing."""
    lines = str(failure).strip().splitlines()
    return lines[0] if lines else type(failure).__name__


def in_shell(place: object) -> str:
    """A path as it is typed in a POSIX shell, in commands that messages suggest."""
    text = str(place)
    return shlex.quote(f"./{text}" if text.startswith("-") else text)


def shortened(text: str, most: int) -> str:
    """A text of at most `most` characters, and "…" if there were more."""
    return text if len(text) <= most else f"{text[:most]}…"


def check_shape(name: str, array: Any, shape: Sequence[int | None]) -> None:
    """Raise `ValueError` unless `array.shape` matches `shape`, in which None stands for any size."""
    actual = tuple(array.shape)
    if len(actual) != len(shape) or any(want not in (None, got) for want, got in zip(shape, actual, strict=True)):
        expected = "[" + ", ".join("*" if want is None else str(want) for want in shape) + "]"
        raise ValueError(f"{name}: expected shape {expected}, got {list(actual)}")


def check_type(name: str, value: object, *kinds: type, hint: str = "") -> None:
    """Raise `TypeError` about the argument `name` unless `value` is of one of `kinds`; a hint says what gives one."""
    if not isinstance(value, kinds):
        expected = " or ".join("None" if kind is NoneType else kind.__name__ for kind in kinds)
        raise TypeError(f"{name}: expected {expected}, got {type(value).__name__}{hint and f'; {hint}'}")


def check_choice(name: str, value: str, choices: Sequence[str]) -> None:
    """Raise `ConfigError` unless `value` of the setting `name` is one of `choices`."""
    if value not in choices:
        raise ConfigError(f"expected one of {', '.join(choices)}, got {value!r}", setting=name)
