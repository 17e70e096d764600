"""From listed pictures to files on disk, to the names of views, and to what masks may be called after."""

from __future__ import annotations

import os
import stat
from collections import Counter
from collections.abc import Collection, Iterable, Sequence
from pathlib import Path, PurePosixPath

from ..errors import SceneError, reason_of
from ..names import spellings

PICTURE_ENDINGS = (".png", ".jpg", ".jpeg", ".webp", ".tif", ".tiff", ".bmp")


class PictureFinder:
    """Finds listed pictures on disk; every folder is read once, and only if a picture does not lie where it is listed.

    Args:
        root: The folder that listed paths are relative to.
        listed: All pictures that are listed: none of them stands in for another one.
    """

    def __init__(self, root: Path, listed: Iterable[str]) -> None:
        self._root = root
        self._listed = {_path(root, text) for text in listed}
        self._folders: dict[Path, dict[str, list[str]]] = {}

    def find(self, listed: str, where: str) -> Path | None:
        """The file listed as `listed`, with or without its ending or with another one; None if there is none.

        Args:
            listed: Path relative to the root.
            where: What lists it, for messages.

        Raises:
            SceneError: The file is a link to nothing, or its folder cannot be searched.
        """
        own, *others = (_path(self._root, spelling) for spelling in spellings(listed))
        found = (self._find(path, where) for path in (own, *(path for path in others if path not in self._listed)))
        return next((file for file in found if file is not None), None)

    def _find(self, path: Path, where: str) -> Path | None:
        if has_ending(path.name) and _exists(path, where):
            return path
        stem = without_ending(path.name)
        files = [path.with_name(name) for name in self._folder(path.parent, where).get(stem, ())]
        files = [file for file in files if file not in self._listed]
        # What is no file stands in for nothing as long as there is a file; alone, it is the picture, and an error.
        chosen = next((file for file in files if os.path.isfile(file)), files[0] if files else None)
        return chosen if chosen is not None and _exists(chosen, where) else None

    def _folder(self, folder: Path, where: str) -> dict[str, list[str]]:
        """Names of the pictures in a folder by their stems, in the order of `PICTURE_ENDINGS`."""
        if folder not in self._folders:
            stems: dict[str, list[str]] = {}
            for name in sorted(_entries(folder, where), key=_order):
                if has_ending(name) and not name.startswith("."):
                    stems.setdefault(without_ending(name), []).append(name)
            self._folders[folder] = stems
        return self._folders[folder]


def has_ending(name: str) -> bool:
    """Whether a file name ends as that of a picture, in upper or lower case."""
    return name.lower().endswith(PICTURE_ENDINGS)


def without_ending(name: str) -> str:
    """`name` without a picture's ending; other dots belong to the name."""
    return next((name[: -len(ending)] for ending in PICTURE_ENDINGS if name.lower().endswith(ending)), name)


def view_names(listed: Sequence[str], source: Path) -> list[str]:
    """View names for listed pictures: their stems.

    Where stems of different folders collide, all names are paths with _ for /. Names that collide get their ending
    (`a_png`, `a_jpg`) and, if that is not enough, a number (`a_b_png`, `a_b_png_2`, in the order of the paths).

    Raises:
        SceneError: Two frames list the same picture.
    """
    paths = [pure_path(text) for text in listed]
    _check_listed_once(paths, listed, source)
    names = [without_ending(path.name) for path in paths]
    if len(set(names)) < len({(path.parent, name) for path, name in zip(paths, names, strict=True)}):
        names = ["_".join([*_folders(path), name]) for path, name in zip(paths, names, strict=True)]
    collide = {name for name, times in Counter(names).items() if times > 1}
    for index, path in enumerate(paths):
        if names[index] in collide and has_ending(path.name):
            names[index] += "_" + path.suffix[1:].lower()
    taken: set[str] = set()
    for index in sorted(range(len(paths)), key=lambda index: str(paths[index])):
        name, count = names[index], 1
        while names[index] in taken:
            count += 1
            names[index] = f"{name}_{count}"
        taken.add(names[index])
    return names


def mask_names(listed: Sequence[str], names: Sequence[str], taken: Collection[str] = ()) -> list[tuple[str, ...]]:
    """What masks of listed pictures may be called after, besides the views' names; never what fits two pictures.

    Args:
        listed: The pictures.
        names: Their views' names.
        taken: What belongs to other pictures.

    Returns:
        For each picture those of `fitting_names` that are its own.
    """
    found = fitting_names(listed)
    uses = Counter(name for candidates in found for name in set(candidates))
    others = {*names, *taken}
    return [
        tuple(dict.fromkeys(name for name in candidates if uses[name] == 1 and name not in others))
        for candidates in found
    ]


def fitting_names(listed: Sequence[str]) -> list[list[str]]:
    """What fits each of some listed pictures, and perhaps others too.

    Returns:
        For each picture its stem, its file name, its path without and with ending, and its path below the folder that
        all pictures share without and with ending; folders are separated by "/".
    """
    paths = [pure_path(text) for text in listed]
    shared = _shared_folders([_folders(path) for path in paths])
    found: list[list[str]] = []
    for path in paths:
        folders, stem = _folders(path), without_ending(path.name)
        places: tuple[list[str], ...] = ([], folders, folders[shared:])
        found.append(["/".join([*place, name]) for place in places for name in (stem, path.name)])
    return found


def pure_path(listed: str) -> PurePosixPath:
    """A listed path in the form in which two that mean the same are equal."""
    return PurePosixPath(listed.replace("\\", "/"))


def _check_listed_once(paths: Sequence[PurePosixPath], listed: Sequence[str], source: Path) -> None:
    """Raise `SceneError` if two frames list one picture; a path without ending means the picture of any ending."""
    same: dict[str, list[int]] = {}
    for index, path in enumerate(paths):
        same.setdefault(without_ending(str(path)), []).append(index)
    for indices in same.values():
        exact = {paths[index] for index in indices}
        if len(exact) < len(indices) or (len(exact) > 1 and not all(has_ending(path.name) for path in exact)):
            first, second = _two_alike(paths, indices)
            raise SceneError(f"{source}: frames {first} and {second} both list the picture {listed[second]}")


def _two_alike(paths: Sequence[PurePosixPath], indices: Sequence[int]) -> tuple[int, int]:
    """The first two of the frames `indices` that list the very same path, else the first two."""
    first: dict[PurePosixPath, int] = {}
    for index in indices:
        if first.setdefault(paths[index], index) != index:
            return first[paths[index]], index
    return indices[0], indices[1]


def _path(root: Path, listed: str) -> Path:
    return root / listed.replace("\\", "/")


def _folders(path: PurePosixPath) -> list[str]:
    return [part for part in path.parent.parts if part not in ("/", "..")]


def _shared_folders(places: Sequence[Sequence[str]]) -> int:
    """Number of leading folders that all places have in common."""
    count = 0
    for folders in zip(*places, strict=False):
        if len(set(folders)) > 1:
            break
        count += 1
    return count


def _order(name: str) -> tuple[int, str]:
    """Sort key of a file name: its ending's place in `PICTURE_ENDINGS`, then its name."""
    return next((rank for rank, ending in enumerate(PICTURE_ENDINGS) if name.lower().endswith(ending)), -1), name


def _entries(folder: Path, where: str) -> list[str]:
    """Names of what lies in a folder, none if there is no such folder."""
    try:
        return os.listdir(folder)
    except (FileNotFoundError, NotADirectoryError):
        return []
    except (OSError, ValueError) as failure:
        raise _unreachable(folder, where, failure) from None


def _exists(path: Path, where: str) -> bool:
    """Whether anything lies at `path`; `SceneError` if that cannot be told, or if it is a link to nothing."""
    try:
        mode = os.lstat(path).st_mode
        if stat.S_ISLNK(mode):
            os.stat(path)
    except (FileNotFoundError, NotADirectoryError):
        if os.path.islink(path):
            raise SceneError(f"{where}: {path} is a link to a file that does not exist") from None
        return False
    except (OSError, ValueError) as failure:
        raise _unreachable(path, where, failure) from None
    return True


def _unreachable(path: Path, where: str, failure: Exception) -> SceneError:
    return SceneError(f"{where}: {str(path)!r} cannot be looked up ({reason_of(failure)})")
