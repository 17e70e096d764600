"""Digests of the files of a scene."""

from __future__ import annotations

import hashlib
import os
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
        lines = sorted(_files(str(root), str(root), str(run.resolve()), above))
        beginning = f"{root}{os.sep}"  # left out, as a scene that is moved stays what it is
        text = "".join([line.removeprefix(beginning) for line in lines])
        digest.update(text.encode(errors="surrogateescape"))
    return digest.hexdigest()[:16]


def _files(folder: str, place: str, run: str, visited: set[str]) -> list[str]:
    """A line for each input file; links are followed, but no folder is entered twice, and none that is not readable.

    Args:
        folder: Where to look.
        place: The same without links.
        run: The run folder, whatever lies in which is output.
        visited: Places that are not entered; those entered are added.
    """
    visited.add(place)
    lines: list[str] = []
    try:
        entries = os.scandir(folder)
    except PermissionError:
        return lines
    with entries:
        for entry in entries:
            if entry.name.startswith("."):
                continue
            is_folder, is_file = _kind(entry)
            if is_folder:
                elsewhere = entry.is_symlink() or os.name == "nt"  # whose junctions are no symbolic links
                inner = os.path.realpath(entry.path) if elsewhere else os.path.join(place, entry.name)
                output = entry.path == run or os.path.isfile(os.path.join(entry.path, "stages.json"))
                if not output and inner not in visited:
                    lines += _files(entry.path, inner, run, visited)
            elif is_file and entry.name.lower().endswith(_ENDINGS):
                status = os.stat(entry.path)
                lines.append(f"{entry.path}\0{status.st_size}\0{status.st_mtime_ns}\n")
    return lines


def _kind(entry: os.DirEntry[str]) -> tuple[bool, bool]:
    """Whether an entry is, or leads to, a folder or a regular file."""
    if entry.is_symlink():  # asked itself, an entry stumbles over a link that leads to itself
        return os.path.isdir(entry.path), os.path.isfile(entry.path)
    return entry.is_dir(), entry.is_file()
