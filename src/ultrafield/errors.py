"""Errors that reach the user, and the checks that raise them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any


class UltrafieldError(Exception):
    """Something the user can act on; the command line prints it as one line and exits with `exit_code`."""

    exit_code = 1


class SceneError(UltrafieldError):
    """The input (a folder, a file, a frame, a mask) is not what it must be; the text names it."""

    exit_code = 2


class ConfigError(UltrafieldError):
    """A setting or command-line option that cannot be used, or that contradicts another."""

    exit_code = 2


class RunError(UltrafieldError):
    """A run folder lacks an artefact that a stage needs, or holds a broken one."""

    exit_code = 2


class BackendError(UltrafieldError):
    """A backend (device, kernel, optional package) asked for by name cannot run here."""


class TrainingError(UltrafieldError):
    """Optimisation failed: a loss that is not finite, a field that stays empty."""


def check_shape(name: str, array: Any, shape: Sequence[int | None]) -> None:
    """Raise `ValueError` unless `array.shape` matches `shape`, in which None stands for any size."""
    found = tuple(array.shape)
    if len(found) != len(shape) or any(want not in (None, got) for want, got in zip(shape, found, strict=True)):
        expected = "[" + ", ".join("*" if want is None else str(want) for want in shape) + "]"
        raise ValueError(f"{name}: expected shape {expected}, got {list(found)}")


def check_choice(name: str, value: str, choices: Sequence[str]) -> None:
    """Raise `ConfigError` unless `value` is one of `choices`."""
    if value not in choices:
        raise ConfigError(f"{name}: expected one of {', '.join(choices)}, got {value!r}")
