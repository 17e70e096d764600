"""Safe removal: only files of the kinds that the program writes itself, and the folders that these leave empty.

Kinds are patterns of paths relative to the folder that is cleared. What matches none of them is the user's, as is every
link: links are never followed. Temporary files and folders are called `.NAME.xxxxxxxx.tmp`, folders that are being
replaced `.NAME.xxxxxxxx.old`, with eight hexadecimal digits; they are of the kind of what they stand for.
"""

from __future__ import annotations

import os
import re
import secrets
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

from .errors import SceneError

Kinds = re.Pattern[str]

_TEMPORARY = re.compile(r"\.(.+)\.[0-9a-z_]{8}\.(?:tmp|old)", re.DOTALL)


def kinds(*patterns: str) -> Kinds:
    """Files whose path below a folder, with / between its parts, is one of some regular expressions."""
    return re.compile("|".join(f"(?:{pattern})" for pattern in patterns), re.DOTALL)


def temporary_name(path: Path, ending: str = "tmp") -> Path:
    """A new name beside `path` for what is to become it (`tmp`) or what it was before (`old`)."""
    return path.with_name(f".{path.name}.{secrets.token_hex(4)}.{ending}")


def is_temporary(name: str) -> bool:
    """Whether a file or folder of this name stands for one that is being written or replaced."""
    return _TEMPORARY.fullmatch(name) is not None


def temporaries(path: Path, ending: str = "tmp") -> list[Path]:
    """Whatever stands beside `path` under one of its temporary names."""
    if not path.parent.is_dir():
        return []
    named = ((entry, _TEMPORARY.fullmatch(entry.name)) for entry in path.parent.iterdir() if entry.name[0] == ".")
    return [entry for entry, match in named if match and match[1] == path.name and entry.name.endswith(ending)]


def files_below(folder: Path) -> Iterator[Path]:
    """Everything below a folder that is no folder itself, in the order of the names; a link counts as a file."""
    return (Path(entry.path) for entry in _entries_below(folder))


def _entries_below(folder: str | Path) -> Iterator[os.DirEntry[str]]:
    """What `files_below` gives, as the system lists it: most callers ask little of most files."""
    with os.scandir(folder) as entries:
        children = sorted(entries, key=lambda entry: entry.name)
    for entry in children:
        if entry.is_dir(follow_symlinks=False):
            yield from _entries_below(entry.path)
        else:
            yield entry


def find_link(folder: Path) -> Path | None:
    """The folder itself or the first thing below it that is a link, None if there is none or no folder."""
    if folder.is_symlink():
        return folder
    if not folder.is_dir():
        return None
    return next((Path(entry.path) for entry in _entries_below(folder) if entry.is_symlink()), None)


def find_stranger(folder: Path, ours: Kinds) -> Path | None:
    """The first thing below a folder that the program did not write; the folder itself if it is a link or a file."""
    if folder.is_symlink() or (folder.exists() and not folder.is_dir()):
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


def sweep(folder: Path, ours: Kinds) -> None:
    """Remove temporary files and folders that a killed process left below a folder; the caller must own the folder."""
    if folder.is_symlink() or not folder.is_dir():
        return
    left = [Path(entry.path) for entry in _entries_below(folder) if _is_temporary(entry.path, folder)]
    for file in left:
        if _is_ours(file, folder, ours):
            file.unlink(missing_ok=True)
    for place, _, _ in os.walk(folder, topdown=False):
        if _is_temporary(place, folder):
            with suppress(OSError):  # not empty
                os.rmdir(place)


def _is_ours(file: Path, folder: Path, ours: Kinds) -> bool:
    if file.is_symlink() or not file.is_file():  # a FIFO or a device is the user's too
        return False
    final = "/".join(_final_name(part) for part in file.relative_to(folder).parts)
    return ours.fullmatch(final) is not None


def _is_temporary(path: str, folder: Path) -> bool:
    """Whether a path that begins with a folder's stands, below it, for something temporary or lies in such a folder."""
    return any(map(is_temporary, path[len(str(folder)) :].split(os.sep)))


def _final_name(part: str) -> str:
    """What a temporary name stands for; other names stand for themselves."""
    match = _TEMPORARY.fullmatch(part)
    return part if match is None else match[1]
