"""Checks of settings against their types and ranges, with errors that name the setting."""

from __future__ import annotations

from dataclasses import dataclass
from numbers import Integral, Real
from types import NoneType, UnionType
from typing import Any, Literal, Union, get_args, get_origin, get_type_hints

from ..errors import ConfigError, shortened

_SHOWN = 60  # characters of a value in a message


@dataclass(frozen=True)
class Range:
    """The numbers that a setting may be.

    Attributes:
        least: The least of them, or the bound above which they lie.
        most: The greatest of them, or the bound below which they lie.
        above: Whether `least` itself is none of them.
        below: Whether `most` itself is none of them.
    """

    least: float
    most: float
    above: bool = False
    below: bool = False

    def __contains__(self, value: Any) -> bool:
        over = value > self.least if self.above else value >= self.least
        under = value < self.most if self.below else value <= self.most
        return bool(over and under)

    def __str__(self) -> str:
        if self.above or self.below:
            over = "more than" if self.above else "at least"
            return f"{over} {_plain(self.least)} and {'less than' if self.below else 'at most'} {_plain(self.most)}"
        return f"from {_plain(self.least)} to {_plain(self.most)}"


FRACTION = Range(0, 1)
SEED = Range(0, 2**63 - 1)

Ranges = dict[str, Range]


def check_settings(settings: Any, ranges: Ranges, *, prefix: str = "") -> None:
    """Check every field of a frozen dataclass of settings, and store numbers as plain int and float.

    Args:
        settings: The dataclass; its annotations give the types.
        ranges: The range of every field that is a number.
        prefix: Goes before the name of a field in messages, such as "geometry.".

    Raises:
        ConfigError: A value of another type, one that is no choice, or a number out of its range.
    """
    for name, (kind, optional) in _kinds(type(settings)).items():
        value = _checked(getattr(settings, name), kind, optional, ranges.get(name), prefix + name)
        object.__setattr__(settings, name, value)


def none_for_zero(settings: Any, *names: str) -> None:
    """Replace 0 by None in settings that None switches off or leaves to be chosen."""
    for name in names:
        value = getattr(settings, name)
        if _is_number(value, float) and value == 0:
            object.__setattr__(settings, name, None)


def check_number(setting: str, value: Any, kind: type, limits: Range, *, optional: bool = False) -> None:
    """Raise `ConfigError` unless `value` is an int or a float (`kind`) in a range, or None where that is allowed."""
    fault = number_fault(value, kind, limits, optional=optional)
    if fault is not None:
        raise ConfigError(fault, setting=setting)


def number_fault(value: Any, kind: type, limits: Range, *, optional: bool = False) -> str | None:
    """What is wrong with a value that should be an int or a float (`kind`) in a range, None if nothing is."""
    if (value is None and optional) or (_is_number(value, kind) and value in limits):
        return None
    none, number = "None, or " if optional else "", "whole number" if kind is int else "number"
    return f"expected {none}a {number} {limits}, got {shown(value)}"


def _kinds(settings: type) -> dict[str, tuple[Any, bool]]:
    """Type of each field without None, and whether None is allowed."""
    kinds = {}
    for name, hint in get_type_hints(settings).items():
        options = get_args(hint) if get_origin(hint) in (Union, UnionType) else (hint,)
        (kind,) = [option for option in options if option is not NoneType]
        kinds[name] = kind, NoneType in options
    return kinds


def _checked(value: Any, kind: Any, optional: bool, limits: Range | None, setting: str) -> Any:
    """The value, a number as a plain one; `ConfigError` if it cannot be used."""
    if value is None and optional:
        return None
    if kind in (int, float):
        assert limits is not None, setting
        check_number(setting, value, kind, limits, optional=optional)
        return kind(value)
    if get_origin(kind) is Literal:
        if isinstance(value, str) and value in get_args(kind):
            return value
        expected = f"one of {', '.join(get_args(kind))}"
    else:
        if isinstance(value, kind):
            return value
        expected = "True or False" if kind is bool else f"a {kind.__name__}"
    raise ConfigError(f"expected {'None, or ' if optional else ''}{expected}, got {shown(value)}", setting=setting)


def _is_number(value: Any, kind: type) -> bool:
    """Whether a value is an int, or an int or float, Python's or NumPy's; flags are none."""
    return isinstance(value, Integral if kind is int else Real) and not isinstance(value, bool)


def shown(value: Any) -> str:
    """A value as a message shows it: on one line, not too long."""
    try:
        text = repr(value)
    except ValueError:  # a whole number of thousands of digits
        return "a number of thousands of digits"
    return shortened(text, _SHOWN)


def _plain(bound: float) -> str:
    return str(bound) if isinstance(bound, int) else f"{bound:g}"
