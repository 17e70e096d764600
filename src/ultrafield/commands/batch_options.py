"""Options that a CSV table gives single scenes of a batch, read by the same types as those of the command line."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import redirect_stderr, suppress
from dataclasses import dataclass, field, fields, is_dataclass, replace
from difflib import get_close_matches
from io import StringIO
from typing import Annotated, Any, get_args

import tyro

from ..batch.entries import OWN_COLUMNS, Entry
from ..config import Preset
from ..errors import ConfigError, UltrafieldError
from .options import SHORTHANDS, MethodOptions, SceneOptions, Unprefixed, check_shorthands

_OF_RUN = ("device", "memory", "overwrite", "gpus", "no_serve", "out")  # of `run`, but of no single scene
_COLUMNS = f"options of `ultrafield run` besides {', '.join(_OF_RUN[:-1]).replace('_', '-')} and {_OF_RUN[-1]}"
_WORDS = {"true": True, "yes": True, "1": True, "false": False, "no": False, "0": False}


@dataclass(frozen=True)
class SceneSettings:
    """How one scene is read and what is computed."""

    data: Annotated[SceneOptions, Unprefixed] = field(default_factory=SceneOptions)
    method: Annotated[MethodOptions, Unprefixed] = field(default_factory=MethodOptions)


def settings_of(entry: Entry, data: SceneOptions, method: MethodOptions) -> SceneSettings:
    """The settings of a scene: those of the command line, and its own instead of them.

    A preset of its own begins with the settings of that preset, not with those of the command line.

    Raises:
        ConfigError: A column that is no option, or a value that cannot be used; the text names the row.
    """
    if not entry.options:
        return SceneSettings(data, method)
    chosen = entry.options.get("preset")
    if chosen in get_args(Preset):
        method = MethodOptions.of_preset(chosen)  # type: ignore[arg-type]
    own: dict[str, Any] = {name: None for name in SHORTHANDS if f"segment.{name}" in entry.options}
    method = replace(method, **own)  # or the command line's shorthand would win over the row
    default = SceneSettings(data, method)
    known = dict(_options(data)) | dict(_options(method))
    for column in entry.options:
        _check_column(column, known, entry.where)
    try:
        check_shorthands(entry.options)
        return _parse([word for item in entry.options.items() for word in _words(*item, known, entry)], default)
    except SystemExit:
        raise ConfigError(f"{entry.where}: {_culprit(entry, known, default)}") from None
    except UltrafieldError as error:
        raise ConfigError(f"{entry.where}: {error.for_command_line()}") from None


def _options(values: Any, prefix: str = "") -> Iterator[tuple[str, Any]]:
    """Names and values of all options, those within options by dotted names."""
    for item in fields(values):
        value = getattr(values, item.name)
        if is_dataclass(value):
            yield from _options(value, f"{prefix}{item.name}.")
        else:
            yield f"{prefix}{item.name}", value


def _check_column(column: str, known: Mapping[str, Any], where: str) -> None:
    if column in known:
        return
    file = where.partition(": row")[0]
    if column in _OF_RUN:
        raise ConfigError(f"{file}: {column!r} cannot be a column: it is no option of single scenes")
    near = get_close_matches(column, [*known, *OWN_COLUMNS], n=1)
    hint = f"; did you mean {near[0]!r}?" if near else f"; columns are scene, name and {_COLUMNS}"
    raise ConfigError(f"{file}: unknown column {column!r}{hint}")


def _words(name: str, value: str, known: Mapping[str, Any], entry: Entry) -> list[str]:
    """An option as words of a command line; switches are spoken with yes and no."""
    option = name.replace("_", "-")
    if not isinstance(known[name], bool):
        return [f"--{option}", value]
    wanted = _WORDS.get(value.lower())
    if wanted is None:
        raise ConfigError(f"{name}: expected yes or no, got {value!r}")
    if wanted == known[name]:
        return []
    group, dot, last = option.rpartition(".")
    return [f"--{group}{dot}{last if wanted else f'no-{last}'}"]


def _parse(words: list[str], default: SceneSettings) -> SceneSettings:
    with redirect_stderr(StringIO()):  # tyro says there which number it cannot read, although it is to say nothing
        return tyro.cli(SceneSettings, args=words, default=default, console_outputs=False)


def _culprit(entry: Entry, known: Mapping[str, Any], default: SceneSettings) -> str:
    """Which option it is that cannot be read."""
    for name, value in entry.options.items():
        with suppress(UltrafieldError):
            try:
                _parse(_words(name, value, known, entry), default)
            except SystemExit:
                return f"{name}: cannot be {value!r}"
    return "the options cannot be read"
