"""The scenes of a batch: as arguments, by patterns and from CSV tables, each with the run folder that it gets."""

from __future__ import annotations

import csv
import io
import os
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from ..errors import ConfigError, SceneError
from ..names import check_name
from ..reading import read_bytes
from .storage import base_name, check_reachable, find_folders, local_path

OWN_COLUMNS = ("scene", "name")
RESERVED = ("results.parquet", "batch.html")  # what lies beside the run folders
_MOST_BYTES = 64 << 20  # of a table of scenes
_PATHS = ("masks", "images")  # options that are paths


@dataclass(frozen=True)
class Entry:
    """A scene as the user named it.

    Attributes:
        scene: Folder or URL.
        name: Name of its run folder.
        options: Options of its own, by name with underscores ("engine", "geometry.steps").
        where: What names it, for messages.
        renamed: Whether a table gives it its name, instead of the scene.
    """

    scene: str
    name: str
    options: Mapping[str, str] = field(default_factory=dict)
    where: str = "SCENES"
    renamed: bool = False


def read_entries(arguments: Sequence[str]) -> tuple[Entry, ...]:
    """The scenes that arguments name: folders, URLs, patterns of them, or tables (.csv).

    Raises:
        SceneError: No scenes; a pattern that no folder matches; a table that cannot be read.
        ConfigError: A scene named twice, or two that would get the same run folder; a scene whose path is no text, or
            at a URL that workers cannot reach.
    """
    entries = [entry for argument in arguments for entry in _entries(argument)]
    if not entries:
        raise SceneError("no scenes are named; give folders, URLs, patterns or a CSV table")
    _check_distinct(entries)
    return tuple(entries)


def _entries(argument: str) -> Iterator[Entry]:
    local = local_path(argument)
    if argument.lower().endswith(".csv"):
        if local is None:
            raise SceneError(f"{argument}: tables of scenes are read from local files only")
        yield from _table(local)
    elif any(character in argument for character in "*?[") and (local is None or not local.exists()):
        check_reachable(argument, "SCENES")
        folders = find_folders(argument)
        if not folders:
            raise SceneError(f"{argument}: no folder matches this pattern")
        yield from (_named(Entry(folder, "")) for folder in folders)
    else:
        yield _named(Entry(argument, ""))


def _table(file: Path) -> Iterator[Entry]:
    """The rows of a CSV table with the columns scene, perhaps name, and options."""
    try:
        text = read_bytes(file, most=_MOST_BYTES).decode("utf-8-sig")
        rows = list(csv.reader(io.StringIO(text), strict=True))
    except (UnicodeDecodeError, csv.Error) as error:
        raise SceneError(f"{file}: cannot be read as a CSV table ({error})") from None
    columns = _columns(file, rows[0] if rows else [])
    if not any(cell.strip() for row in rows[1:] for cell in row):
        raise SceneError(f"{file}: the table has no rows")
    for number, row in enumerate(rows[1:], start=2):
        where = f"{file}: row {number}"
        if not any(cell.strip() for cell in row):
            continue
        if len(row) != len(columns):
            raise SceneError(f"{where}: expected {len(columns)} cells, got {len(row)}")
        cells = {column: cell.strip() for column, cell in zip(columns, row, strict=True) if cell.strip()}
        if "scene" not in cells:
            raise SceneError(f"{where}: names no scene")
        paths = {name: _beside(file, cells[name]) for name in ("scene", *_PATHS) if name in cells}
        cells |= paths
        options = {name: value for name, value in cells.items() if name not in OWN_COLUMNS}
        yield _named(Entry(cells["scene"], cells.get("name", ""), options, where))


def _columns(file: Path, titles: Sequence[str]) -> list[str]:
    """Names of the columns: options without dashes in front, with underscores."""
    columns = [title.strip().removeprefix("--").replace("-", "_") for title in titles]
    if "scene" not in columns:
        raise SceneError(f"{file}: the first row must name the columns, one of them 'scene'")
    twice = next((column for column in columns if columns.count(column) > 1), None)
    if twice is not None:
        raise SceneError(f"{file}: two columns are called {twice!r}")
    return columns


def _beside(file: Path, place: str) -> str:
    """A path in a table, which is relative to the table's folder."""
    local = local_path(place)
    return place if local is None else str(file.parent / local)


def _named(entry: Entry) -> Entry:
    """The entry with the name of its run folder, which is that of the scene unless the table names another."""
    check_reachable(entry.scene, entry.where)
    name = entry.name or base_name(entry.scene)
    check_name(name, f"{entry.where}: name of the run of {entry.scene}", ConfigError)
    if name.startswith(".") or name.casefold() in RESERVED:
        raise ConfigError(f"{entry.where}: a run folder cannot be called {name!r}; give it a name in a CSV table")
    return replace(entry, name=name, renamed=bool(entry.name))


def _check_distinct(entries: Sequence[Entry]) -> None:
    """Raise `ConfigError` where two entries would get one run folder, or are one scene without names of their own."""
    folders: dict[str, Entry] = {}
    scenes: dict[str, Entry] = {}
    for entry in entries:
        place = _resolved(entry.scene)
        other = folders.setdefault(entry.name.casefold(), entry)
        if other is not entry and _resolved(other.scene) != place:
            raise ConfigError(
                f"{entry.where}: {entry.scene} and {other.scene} would both be run in a folder {entry.name!r}; give "
                "them different names in a CSV table (columns scene, name)"
            )
        if other is entry and not entry.renamed:
            other = scenes.setdefault(place, entry)
        if other is not entry:
            same = "" if other.scene == entry.scene else f", as {other.scene}"
            raise ConfigError(
                f"{entry.where}: {entry.scene} is named twice (first in {other.where}{same}); for two runs on one "
                "scene, give them different names in a CSV table (columns scene, name)"
            )


def _resolved(scene: str) -> str:
    """One text for all ways to write a place."""
    local = local_path(scene)
    return scene.rstrip("/") if local is None else os.path.realpath(local)
