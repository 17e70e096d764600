"""Safe removal: only files of the kinds that the program writes itself, and the folders that these leave empty.

Kinds are patterns of paths relative to the folder that is cleared. What matches none of them is the user's, as is every
link: links are never followed.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

from .errors import SceneError

Kinds = re.Pattern[str]

_TEMPORARY = re.compile(r"\.(.+)\.[a-z0-9_]{8}\.tmp")  # what `io.atomic_write` leaves when the process is killed


def kinds(*patterns: str) -> Kinds:
    """Files whose path below a folder, with / between its parts, is one of some regular expressions."""
    return re.compile("|".join(f"(?:{pattern})" for pattern in patterns))


def files_below(folder: Path) -> Iterator[Path]:
    """Everything below a folder that is no folder itself, in the order of the names; a link counts as a file."""
    with os.scandir(folder) as entries:
        children = sorted(entries, key=lambda entry: entry.name)
    for entry in children:
        if entry.is_dir(follow_symlinks=False):
            yield from files_below(Path(entry.path))
        else:
            yield Path(entry.path)


def find_link(folder: Path) -> Path | None:
    """The folder itself or the first thing below it that is a link, None if there is none or no folder."""
    if folder.is_symlink():
        return folder
    return next((file for file in files_below(folder) if file.is_symlink()), None) if folder.is_dir() else None


def find_stranger(folder: Path, ours: Kinds) -> Path | None:
    """The first thing below a folder that the program did not write; the folder itself if it is a link or a file."""
    if folder.is_symlink() or folder.is_file():
        return folder
    if not folder.is_dir():
        return None
    return next((file for file in files_below(folder) if not _is_ours(file, folder, ours)), None)


def check_ours(folder: Path, ours: Kinds) -> None:
    """Raise `SceneError` if a folder that is to be replaced holds anything that the program did not write."""
    stranger = find_stranger(folder, ours)
    if stranger is not None:
        raise SceneError(f"{stranger}: not a file that is written here, so {folder} is not replaced; move it elsewhere")


def remove_ours(folder: Path, ours: Kinds) -> None:
    """Remove what the program wrote below a folder, and the folders that are empty then; all else stays."""
    if folder.is_symlink() or not folder.is_dir():
        return
    for place, _, names in os.walk(folder, topdown=False):
        for file in (Path(place) / name for name in names):
            if _is_ours(file, folder, ours):
                file.unlink(missing_ok=True)
        with suppress(OSError):  # not empty
            os.rmdir(place)


def _is_ours(file: Path, folder: Path, ours: Kinds) -> bool:
    if file.is_symlink():
        return False
    path = file.relative_to(folder)
    temporary = _TEMPORARY.fullmatch(path.name)
    if temporary is not None and ours.fullmatch(path.with_name(temporary[1]).as_posix()):
        return True
    return ours.fullmatch(path.as_posix()) is not None
