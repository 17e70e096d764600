"""The scene folder that an import writes: what it may replace, and the record of where everything came from."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from .. import __version__
from ..errors import SceneError
from ..io import write_json
from ..reading import read_json
from ..removal import check_ours, kinds
from .selection import LeftOut
from .settings import ImportConfig

TRANSFORMS, RECORD, IMAGES, MASKS, WORK = "transforms.json", "import.json", "images", "masks", ".work"
FILES = kinds(re.escape(TRANSFORMS), re.escape(RECORD), rf"({IMAGES}|{MASKS})/[^/]+", rf"\{WORK}/.*")
_PROGRAM = "ultrafield"
_SHOWN = 6  # names in a line


@dataclass(frozen=True)
class Picture:
    """A picture of an imported scene.

    Attributes:
        source: The file that it is from.
        path: Its own file, relative to the scene folder.
        mask: The file of its pixels to use, None if all are.
        error: Mean reprojection error of the points that it sees, pixels; None if there are none.
    """

    source: str
    path: str
    mask: str | None = None
    error: float | None = None


@dataclass(frozen=True)
class Outcome:
    """What was imported.

    Attributes:
        kind: What the source was: "photographs", "video" or the layout of a model.
        source: The source.
        pictures: The pictures whose cameras are known.
        left_out: Pictures that were left out before cameras were looked for, and why.
        unplaced: Names of pictures whose cameras were not found.
        error: Mean reprojection error of all points, pixels; None for a model.
        points: How many points several pictures see.
    """

    kind: str
    source: str
    pictures: tuple[Picture, ...]
    left_out: tuple[LeftOut, ...] = ()
    unplaced: tuple[str, ...] = ()
    error: float | None = None
    points: int = 0
    settings: ImportConfig = field(default_factory=ImportConfig)

    @property
    def used(self) -> int:
        """Number of pictures whose cameras were looked for."""
        return len(self.pictures) + len(self.unplaced)

    def lines(self) -> list[str]:
        """What was left out, how many cameras there are, and what to do if there are few."""
        lines = []
        if self.left_out:
            lines.append(f"left out {len(self.left_out)}: {_listed([f'{i.name} ({i.reason})' for i in self.left_out])}")
        if self.error is None:
            return [*lines, f"{len(self.pictures)} pictures with their cameras ({self.kind})"]
        placed, share = len(self.pictures), len(self.pictures) / self.used
        lines.append(
            f"{placed} of {self.used} pictures registered ({share:.0%}), mean reprojection error {self.error:.2f} "
            f"pixels, {self.points} points"
        )
        if self.unplaced:
            lines.append(f"without a camera: {_listed(self.unplaced)}")
        if share < 0.8:
            lines.append(ADVICE)
        return lines


ADVICE = (
    "for more: let neighbouring photographs share two thirds of what they show, step sideways instead of turning on "
    "the spot, avoid plain walls, mirrors and things that move; or try --matching exhaustive, a larger "
    "--feature-size, --keep-all"
)


def check_target(out: Path, source: Path, *, overwrite: bool) -> None:
    """Raise `SceneError` unless `out` is free, empty, or a folder that was imported before and may be replaced."""
    if out.is_symlink() or (out.exists() and not out.is_dir()):
        raise SceneError(f"{out}: exists and is not a folder")
    inside = source.resolve()
    if out.exists() and (out.resolve() == inside or out.resolve() in inside.parents):
        raise SceneError(f"{source}: lies in the folder that is to be written, {out}; choose another one")
    if not out.is_dir() or not any(out.iterdir()):
        return
    record = read_json(out / RECORD) if (out / RECORD).is_file() else None
    if not isinstance(record, dict) or record.get("program") != _PROGRAM:
        raise SceneError(f"{out}: not a folder written by import; choose another, or delete it by hand")
    if not overwrite:
        raise SceneError(f"{out}: folder exists and is not empty; choose another, or replace it with --overwrite")
    listed = [item.get(key) for item in _items(record) for key in ("path", "mask")]
    names = [re.escape(name) for name in listed if isinstance(name, str)]
    check_ours(out, kinds(re.escape(TRANSFORMS), re.escape(RECORD), *names))


def write_record(folder: Path, outcome: Outcome) -> None:
    """Write `import.json`."""
    write_json(folder / RECORD, {"program": _PROGRAM, "version": __version__} | asdict(outcome))


def _items(record: dict[str, Any]) -> list[dict[str, Any]]:
    items = record.get("pictures")
    return [item for item in items if isinstance(item, dict)] if isinstance(items, list) else []


def _listed(names: Sequence[str]) -> str:
    """Some names as text, and how many more there are."""
    more = f" and {len(names) - _SHOWN} more" if len(names) > _SHOWN else ""
    return f"{', '.join(names[:_SHOWN])}{more}"
