"""Settings as plain dictionaries, the way they are stored as JSON."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, fields, is_dataclass
from typing import Any, TypeVar

from ..errors import ConfigError

_Settings = TypeVar("_Settings")


def to_dict(config: Any) -> dict[str, Any]:
    """The settings as plain nested dictionaries, for JSON."""
    return asdict(config)


def from_dict(kind: type[_Settings], values: Mapping[str, Any], *, where: str = "config") -> _Settings:
    """Rebuild a settings dataclass from the output of `to_dict`.

    Raises:
        ConfigError: A key that this version does not know. A missing one takes today's default.
    """
    defaults: Any = kind()
    names = [item.name for item in fields(defaults)]
    unknown = sorted(set(values) - set(names))
    if unknown:
        raise ConfigError(f"{where}: unknown setting {unknown[0]!r}; known are {', '.join(names)}")
    arguments = {}
    for name, value in values.items():
        default = getattr(defaults, name)
        arguments[name] = from_dict(type(default), value, where=f"{where}.{name}") if is_dataclass(default) else value
    return kind(**arguments)
