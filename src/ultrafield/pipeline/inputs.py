"""Digests of the files of a scene."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterator
from pathlib import Path

# Pictures, masks, depth and id maps; cameras and hierarchies. What else lies in a scene folder is nobody's input.
_ENDINGS = (
    *(".png", ".jpg", ".jpeg", ".webp", ".tif", ".tiff", ".bmp", ".exr"),
    *(".json", ".txt", ".npy", ".npz", ".bin", ".xml", ".csv"),
)


def digest_inputs(*folders: Path, run: Path) -> str:
    """A short digest of the names, sizes and times of all input files below folders; contents are not read.

    Args:
        folders: Scene folder and mask folders.
        run: The run folder. What lies below it is output, even where it lies below a scene, as is every folder that
            holds a stages.json; one of `folders` counts wherever it lies.
    """
    digest = hashlib.sha256()
    for folder in folders:
        root = folder.resolve()
        above = set(map(str, root.parents))  # a link to one of them leads to files of others
        for line in sorted(_files(root, run.resolve(), above)):
            line = line.removeprefix(f"{root}{os.sep}")  # a scene that is moved stays what it is
            digest.update(line.encode(errors="surrogateescape"))
    return digest.hexdigest()[:16]


def _files(folder: Path, run: Path, visited: set[str]) -> Iterator[str]:
    """A line for each input file; links are followed, but no folder is entered twice, and none that is not readable."""
    visited.add(os.path.realpath(folder))
    try:
        entries = os.scandir(folder)
    except PermissionError:
        return
    with entries:
        for entry in entries:
            if entry.name.startswith("."):
                continue
            is_folder, is_file = _kind(entry)
            if is_folder:
                path = Path(entry.path)
                output = path == run or (path / "stages.json").is_file()
                if not output and os.path.realpath(path) not in visited:
                    yield from _files(path, run, visited)
            elif is_file and entry.name.lower().endswith(_ENDINGS):
                status = os.stat(entry.path)
                yield f"{entry.path}\0{status.st_size}\0{status.st_mtime_ns}\n"


def _kind(entry: os.DirEntry[str]) -> tuple[bool, bool]:
    """Whether an entry is, or leads to, a folder or a regular file."""
    if entry.is_symlink():  # asked itself, an entry stumbles over a link that leads to itself
        return os.path.isdir(entry.path), os.path.isfile(entry.path)
    return entry.is_dir(), entry.is_file()
