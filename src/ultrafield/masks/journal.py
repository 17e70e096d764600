"""Which masks in a folder were made by `ultrafield masks`: a file that names them before they appear.

`{split}_seg/.ultrafield.json` holds for each view digests of its picture, of its masks and of their hierarchy, and the
method. What lies where a view's masks go is the program's only if it is exactly what the entry says; everything else is
the user's. A packed file holds its hierarchy itself; its entry has none.
"""

from __future__ import annotations

import hashlib
import os
import re
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np

from ..errors import SceneError
from ..io import recover_folder, write_json
from ..reading import read_bytes, read_json, read_npy
from ..removal import files_below, is_temporary, kinds, sweep, temporaries
from .folder import split_folders
from .packed import ENDING, packed_header
from .write import VIEW_FILES, Announce, Form, hierarchy_files, packed_file

State = Literal["absent", "done", "stale", "foreign"]

_NAME = ".ultrafield.json"
_MASKS = kinds(r"[^/]+/\d+\.png", r"[^/]+" + re.escape(ENDING), r"\.ultrafield\.json")
_HIERARCHY = kinds(r"[^/]+_(inside|same)\.npy")


@dataclass(frozen=True)
class _Entry:
    """What was made of one view; digests, those of the hierarchy empty if the masks are packed with it."""

    picture: str
    method: str
    masks: str
    inside: str
    same: str

    @property
    def packed(self) -> bool:
        """Whether masks and hierarchy are one file."""
        return not self.inside


class MaskJournal:
    """The masks that the program made in a folder.

    The caller must be the only one that writes there, or `owner.owned` the folder whenever it calls `refresh`,
    `recover` or what `announcing` returns, and write no view that another one may write.

    Args:
        root: Folder that holds `{split}_seg`.
        split: Name of the split.
        method: What makes the masks; another one makes other masks of the same picture.
        form: How they are stored.
    """

    def __init__(self, root: Path, split: str, method: str, form: Form = "png") -> None:
        self.root, self.split, self.method, self.form = root, split, method, form
        self.folder, self.hierarchy = split_folders(root, split)
        self._entries = _read(self.folder / _NAME)
        self._listed: dict[str, list[Path]] | None = None

    def refresh(self) -> None:
        """Look anew at what the folder holds, as other processes may have written there."""
        self._entries, self._listed = _read(self.folder / _NAME), None

    def has_leftovers(self) -> bool:
        """Whether an interruption left temporary files or folders; links are not looked through."""
        places = [place for place in (self.folder, self.hierarchy) if place.is_dir() and not place.is_symlink()]
        return any(is_temporary(name) for place in places for name in os.listdir(place))

    def recover(self, names: Iterable[str]) -> None:
        """Bring views that an interruption left half replaced into their old or new state, and remove leftovers."""
        if not self.has_leftovers():
            return
        for name in names:
            if not self.folder.is_symlink():
                recover_folder(self.folder / name, VIEW_FILES)
            if not self.hierarchy.is_symlink():
                self._recover_hierarchy(name)
        sweep(self.folder, _MASKS)
        sweep(self.hierarchy, _HIERARCHY)

    def state(self, name: str, picture: np.ndarray) -> State:
        """What lies where a view's masks go: nothing, the masks of this picture, the program's own of before, others'.

        Args:
            name: Name of the view.
            picture: Its picture at working size.
        """
        if self.find_work(name) is None:
            return "absent"
        entry = self._entries.get(name)
        if entry is None or not self._is_ours(name, entry):
            return "foreign"
        whole = entry.packed or all(file.is_file() for file in self._hierarchy_files(name).values())
        present = self._packed_file(name).is_file() if entry.packed else (self.folder / name).is_dir()
        same = (entry.picture, entry.method) == (_digest_array(picture), self.method)
        return "done" if whole and present and same and entry.packed == (self.form == "packed") else "stale"

    def find_work(self, name: str) -> Path | None:
        """The first file of whatever kind that lies where a view's masks and hierarchy go, None if there is none."""
        for entry in self._lying(name):
            if entry.is_symlink() or not entry.is_dir():
                return entry
            for file in files_below(entry):
                return file
        return None

    def count(self, name: str) -> int:
        """How many masks a view has that are done."""
        if self.form == "packed":
            return packed_header(self._packed_file(name))[0]
        return sum(1 for _ in files_below(self.folder / name))

    def announcing(self, name: str, picture: np.ndarray) -> Announce:
        """A function for `write_masks` or `write_packed_masks` that notes down what is about to appear."""

        def announce(masks: Path, hierarchy: dict[str, np.ndarray]) -> None:
            digests = {kind: _digest_array(hierarchy[kind]) if hierarchy else "" for kind in ("inside", "same")}
            content = _digest_files(masks) if hierarchy else _digest_bytes(masks)
            self._entries[name] = _Entry(_digest_array(picture), self.method, content, **digests)
            views = {view: asdict(entry) for view, entry in sorted(self._entries.items())}
            write_json(self.folder / _NAME, {"format": 1, "views": views}, indent=None)

        return announce

    def _lying(self, name: str) -> list[Path]:
        """What lies where a view's masks go, by its name; the folders are listed once."""
        if self._listed is None:
            self._listed = {}
            for place in (self.folder, self.hierarchy):
                for entry in sorted(place.iterdir()) if place.is_dir() else ():
                    for view in _views_of(entry.name):
                        self._listed.setdefault(view, []).append(entry)
        return self._listed.get(name, [])

    def _hierarchy_files(self, name: str) -> dict[str, Path]:
        return hierarchy_files(self.root, self.split, name)

    def _packed_file(self, name: str) -> Path:
        return packed_file(self.root, self.split, name)

    def _is_ours(self, name: str, entry: _Entry) -> bool:
        """Whether all that lies there is what the entry says; parts of it may be missing."""
        if entry.packed:
            file = self._packed_file(name)
            return self._lying(name) == [file] and file.is_file() and _digest_bytes(file) == entry.masks
        files = self._hierarchy_files(name)
        if any(path != self.folder / name and path not in files.values() for path in self._lying(name)):
            return False
        if (self.folder / name).exists() and not self._holds(name, entry):
            return False
        present = [kind for kind, file in files.items() if os.path.lexists(file)]
        return all(_digest_npy(files[kind]) == getattr(entry, kind) for kind in present)

    def _holds(self, name: str, entry: _Entry) -> bool:
        """Whether the folder of masks is the one that the entry says."""
        folder = self.folder / name
        return folder.is_dir() and not folder.is_symlink() and _digest_files(folder) == entry.masks

    def _recover_hierarchy(self, name: str) -> None:
        """Put hierarchy files that were set aside back, unless the masks that they belong to have been replaced."""
        entry = self._entries.get(name)
        replaced = entry is not None and self._holds(name, entry)
        for file in self._hierarchy_files(name).values():
            for earlier in temporaries(file, "old"):
                if not replaced and not os.path.lexists(file):
                    earlier.rename(file)


def _views_of(file: str) -> list[str]:
    """Names of views to whose masks a file or folder of this name may belong."""
    names = [file]
    names += [file[:index] for index, character in enumerate(file) if character == "." and index]
    names += [file.removesuffix(f"_{kind}.npy") for kind in ("inside", "same") if file.endswith(f"_{kind}.npy")]
    return names


def _read(file: Path) -> dict[str, _Entry]:
    """The entries of a journal; none if there is none or if it is garbled, as then everything counts as the user's."""
    if not file.is_file():
        return {}
    try:
        return {str(name): _Entry(**entry) for name, entry in read_json(file)["views"].items()}
    except (SceneError, TypeError, KeyError, AttributeError):
        return {}


def _digest_files(folder: Path) -> str:
    """A digest of the names and contents of all files below a folder; links and other odd things count by name only."""
    digest = hashlib.sha256()
    for file in files_below(folder):
        content = read_bytes(file) if file.is_file() and not file.is_symlink() else b""
        digest.update(f"{file.relative_to(folder).as_posix()}\0{len(content)}\0".encode("utf-8", "surrogateescape"))
        digest.update(content)
    return digest.hexdigest()


def _digest_bytes(file: Path) -> str:
    """A digest of a file's content; of a link's, a name that no content has."""
    return "a link" if file.is_symlink() else hashlib.sha256(read_bytes(file)).hexdigest()


def _digest_npy(file: Path) -> str | None:
    try:
        return None if file.is_symlink() else _digest_array(read_npy(file))
    except SceneError:
        return None


def _digest_array(array: np.ndarray) -> str:
    data: Any = np.ascontiguousarray(array)
    return hashlib.sha256(f"{data.dtype.str}{list(data.shape)}".encode() + data.tobytes()).hexdigest()
