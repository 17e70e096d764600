"""Settings as plain dictionaries, the way they are stored as JSON."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, fields, is_dataclass
from typing import Any, TypeVar

from ..errors import ConfigError
from .ranges import shown

_Settings = TypeVar("_Settings")


def to_dict(config: Any) -> dict[str, Any]:
    """The settings as plain nested dictionaries, for JSON."""
    return asdict(config)


def from_dict(kind: type[_Settings], values: Any, *, where: str = "config") -> _Settings:
    """Rebuild a settings dataclass from the output of `to_dict`.

    Args:
        kind: The dataclass.
        values: Its values; a missing one takes today's default.
        where: Names the settings in messages.

    Raises:
        ConfigError: A key that this version does not know, or a value that cannot be used.
    """
    try:
        return _built(kind, values, where)
    except ConfigError as error:
        if error.setting is None:
            raise
        raise ConfigError(f"{where}.{error}") from None


def _built(kind: type[_Settings], values: Any, where: str) -> _Settings:
    if not isinstance(values, Mapping):
        raise ConfigError(f"{where}: expected an object of settings, got {shown(values)}")
    defaults: Any = kind()
    names = [item.name for item in fields(defaults)]
    unknown = next((name for name in values if name not in names), None)
    if unknown is not None:
        raise ConfigError(f"{where}: unknown setting {shown(unknown)}; known are {', '.join(names)}")
    arguments = {}
    for name, value in values.items():
        default = getattr(defaults, name)
        arguments[name] = _built(type(default), value, f"{where}.{name}") if is_dataclass(default) else value
    return kind(**arguments)
