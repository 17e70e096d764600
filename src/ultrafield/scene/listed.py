"""From pictures as a model lists them to frames with files on disk."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path

from ..errors import SceneError
from .frames import Frame
from .pictures import PictureFinder, mask_names, pure_path

_Place = tuple[Path, list[str]]  # a folder, and the pictures relative to it

_REDUCED = re.compile(r"_(\d+)")  # what follows a folder's name in that of its copy with reduced pictures
_USUAL = "images"


def with_pictures(frames: Sequence[Frame], root: Path, images: Path | None, *, usual: bool) -> list[Frame]:
    """The frames with the files on disk that belong to them, and with what their masks may be called after.

    Pictures are looked for, all together, in `images` if that is given, under their listed paths or what remains of
    these without the folders that all share. Otherwise in the root, in its usual folder, and in copies with reduced
    pictures (`images_2`, `images_4`, …), the largest first. The first place that has any of them is theirs.

    Args:
        frames: Frames that list pictures relative to the root, with unique names.
        root: The scene folder.
        images: The folder that the user names, if any.
        usual: Whether `images` in the scene folder comes before the scene folder itself.

    Raises:
        SceneError: A folder or picture that cannot be looked up.
    """
    if not frames:
        return []
    if images is not None and not images.is_dir():
        raise SceneError(f"{images}: no such folder", setting="images")
    listed = [frame.listed for frame in frames]
    places = _named(images, listed) if images is not None else _places(root, listed, usual=usual)
    first: list[Path | None] | None = None
    for folder, paths in places:
        finder = PictureFinder(folder, paths)
        files = [finder.find(path, frame.where) for path, frame in zip(paths, frames, strict=True)]
        first = first or files
        if any(file is not None for file in files):
            break
    else:
        files = first or []
    on_disk = [
        text if file is None else str(pure_path(text).with_name(file.name))
        for text, file in zip(listed, files, strict=True)
    ]
    others = mask_names(on_disk, [frame.name for frame in frames])
    return [
        replace(frame, file=file, other_names=names) for frame, file, names in zip(frames, files, others, strict=True)
    ]


def reduced_folders(folder: Path) -> list[Path]:
    """Copies of a folder with reduced pictures, `NAME_2`, `NAME_4`, …: those with the largest pictures first."""
    if not folder.parent.is_dir():
        return []
    named = ((entry, _REDUCED.fullmatch(entry.name.removeprefix(folder.name))) for entry in folder.parent.iterdir())
    copies = [
        (int(match[1]), entry)
        for entry, match in named
        if match and entry.name.startswith(folder.name) and entry.is_dir()
    ]
    return [entry for _, entry in sorted(copies)]


def _named(images: Path, listed: list[str]) -> list[_Place]:
    return [(images, listed), (images, _below_shared(listed))]


def _places(root: Path, listed: list[str], *, usual: bool) -> Iterator[_Place]:
    """Where pictures may lie, one place after the other."""
    folders = [root / _USUAL, *reduced_folders(root / _USUAL)]
    for folder in (*folders, root) if usual else (root, *folders):
        yield folder, listed
    firsts = {pure_path(text).parts[0] for text in listed}
    if len(firsts) == 1:
        first = firsts.pop()
        rest = ["/".join(pure_path(text).parts[1:]) for text in listed]
        if all(rest):
            for folder in reduced_folders(root / first):
                yield folder, rest


def _below_shared(listed: list[str]) -> list[str]:
    """The paths without the folders that all of them begin with."""
    parts = [pure_path(text).parts for text in listed]
    shared = 0
    while all(len(item) > shared + 1 for item in parts) and len({item[shared] for item in parts}) == 1:
        shared += 1
    return ["/".join(item[shared:]) for item in parts]
