"""Finding the masks of views: which files and folders belong to which view, and which to none.

A view's masks are looked up under each of its names, in this order:

1. `{split}_seg/NAME/`, a folder of mask files, see `files`, with `{split}_seg_hierarchy/NAME_{inside,same}.npy`;
2. `{split}_seg_hierarchy/NAME/`, the masks of the first README, which lie beside an id map;
3. `{split}_seg/NAME.npz`, packed masks, see `packed`, or a stack of them, see `own.stacks`;
4. `{split}_seg/NAME.png` (or another ending), an id map, see `id_maps`, or an array of masks.

NAME may have folders in it (`front/0001`). An empty split name stands for the folders `seg` and `seg_hierarchy`
(PartNet). A folder that the user named and that holds no such folders may hold what lies in `{split}_seg` itself, files
of annotations (see `own.catalogue`), or masks that are sorted otherwise (see `own.scattered`); and the user may name
such a file. Hidden files, and those that systems put into folders, do not count.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from ..errors import SceneError, reason_of
from ..names import spellings
from .files import MASK_ENDINGS, masks_in
from .own.catalogue import Catalogue, open_catalogue
from .own.listed import Listed
from .own.scattered import maps_of_view, objects_of_view
from .own.stacks import is_view_stack, view_stack
from .packed import ENDING, is_packed, packed_header
from .sizes import Size

Names = str | Sequence[str]

_SYSTEM_FILES = {"thumbs.db", "desktop.ini", "__macosx", "@eadir"}
_COMPANIONS = (".csv", ".json", ".npz", ".pkl")  # what segmenters write beside their masks


@dataclass(frozen=True)
class MaskSource:
    """Where a view's masks come from.

    Attributes:
        files: Mask files in the lexical order of their stems, which is that of the hierarchy files; or one id map.
        id_map: Whether it is an id map, or a file of packed masks.
        place: The view's folder, or its id map.
        hierarchy: The hierarchy files that there are, by kind ("inside", "same").
    """

    files: tuple[Path, ...]
    id_map: bool
    place: Path
    hierarchy: dict[str, Path]


class MaskFolder:
    """A folder of masks, whose subfolders are listed once, or whatever else the user named.

    Args:
        root: Folder that holds `{split}_seg`.
        direct: Whether the user named it, so that it may hold the masks of the split "train" itself, in any form.

    Attributes:
        skipped: What was passed over while masks were read: files, each with the reason.
    """

    def __init__(self, root: str | Path, *, direct: bool = False) -> None:
        self.root = Path(root)
        self.skipped: list[tuple[Path, str]] = []
        self._direct = direct
        self._listed: dict[Path, dict[str, bool]] = {}
        self._stems: dict[Path, dict[str, list[str]]] = {}
        self._found: dict[tuple[str, tuple[str, ...]], MaskSource | Listed | None] = {}
        self._catalogue: list[Catalogue | None] = []  # one, once it was looked for
        self._owners: dict[Path, str] = {}
        self._named: set[PurePosixPath] = set()  # where views may have their masks

    @property
    def catalogue(self) -> Catalogue | None:
        """The annotations that the user named, if that is what they are; errors as for `open_catalogue`."""
        if not self._catalogue:
            looked_for = self._direct and (not self.root.is_dir() or self._is_direct())
            self._catalogue.append(open_catalogue(self.root) if looked_for else None)
        return self._catalogue[0]

    def find(self, split: str, names: Names) -> MaskSource | Listed | None:
        """Where the masks of a view lie, None if nowhere; a folder without masks counts only if there is nothing else.

        Args:
            split: Name of the split; empty for the folder `seg`.
            names: Names of the view, the first one being that by which it is known elsewhere.

        Raises:
            SceneError: A folder cannot be listed, or what is found belongs to another view too.
        """
        key = split, (names,) if isinstance(names, str) else tuple(names)
        if key not in self._found:
            self._found[key] = self._find(*key) if self.catalogue is None else self._listed_in(self.catalogue, *key)
        return self._found[key]

    def size(self, split: str, names: Names) -> Size | None:
        """Height and width of a view's masks, as the header of their first file says; None if there are none."""
        source = self.find(split, names)
        if isinstance(source, Listed):
            return source.size()
        return None if source is None or not source.files else mask_size(source.files[0])

    def name(self, names: Names) -> None:
        """Note that some names are those of a view that is not looked for, so that its masks count as named."""
        names = (names,) if isinstance(names, str) else tuple(names)
        self._named.update(_paths(names))
        if self.catalogue is not None:
            self.catalogue.find(names)

    def places(self, split: str) -> list[tuple[Path, Path]]:
        """The folders in which a split's masks lie, each with that of their hierarchy."""
        return [(self.root, self.root) if split == "train" and self._is_direct() else split_folders(self.root, split)]

    def _is_direct(self) -> bool:
        """Whether the folder holds the masks of the split "train" itself."""
        return self._direct and not any(name == "seg" or name.endswith("_seg") for name in self.entries(self.root))

    def entries(self, folder: Path) -> dict[str, bool]:
        """Names in a folder, and whether each is a folder itself; nothing for a folder that does not exist."""
        if folder not in self._listed:
            self._listed[folder] = _list(folder)
        return self._listed[folder]

    def unnamed(self, split: str) -> list[Path]:
        """Masks of the split that have no view's name: files, and folders of files."""
        around = {parent for path in self._named for parent in path.parents}
        return [path for folder, _ in self.places(split) for path in self._unnamed(folder, folder, around)]

    def mask_files(self, folder: Path) -> tuple[Path, ...]:
        """The mask files in a folder in the lexical order of their stems."""
        entries = self.entries(folder)
        return tuple(sorted((folder / name for name in entries if _is_mask(name)), key=lambda file: file.stem))

    def holds_masks(self, folder: Path) -> bool:
        """Whether a folder holds mask files, or folders that do."""
        if self.mask_files(folder):
            return True
        return any(is_folder and self.mask_files(folder / name) for name, is_folder in self.entries(folder).items())

    def _find(self, split: str, names: tuple[str, ...]) -> MaskSource | Listed | None:
        paths, nothing = _paths(names), None
        self._named.update(paths)
        for place in self.places(split):
            for source in (source for path in paths for source in self._sources(place, path)):
                if isinstance(source, Listed) or source.files:
                    self._check_owner(source.place, names[0])
                    return source
                nothing = nothing or source
        return nothing or (self._scattered(paths, names[0]) if split == "train" and self._is_direct() else None)

    def _listed_in(self, catalogue: Catalogue, split: str, names: tuple[str, ...]) -> Listed | None:
        found = catalogue.find(names) if split == "train" else None
        if found is not None:
            self._check_owner(found.place / found.item, names[0])
        return found

    def _scattered(self, paths: Sequence[PurePosixPath], view: str) -> Listed | None:
        """Masks of a view that share their folders with those of others."""
        folders = {
            name: tuple(self._by_stem(self.root / name)) for name, is_dir in self.entries(self.root).items() if is_dir
        }
        files = [name for name, is_folder in self.entries(self.root).items() if not is_folder and _is_mask(name)]
        for path in paths:
            found = objects_of_view(self.root, path.name, folders, files, self._file_of) or maps_of_view(
                self.root, path.name, files
            )
            if found is not None:
                for file in found.files:
                    self._check_owner(file, view)
                    self._named.add(PurePosixPath(file.relative_to(self.root).with_suffix("").as_posix()))
                return found
        return None

    def _file_of(self, folder: str, stem: str) -> Path | None:
        """The mask file of a stem in a folder below the root."""
        files = self._by_stem(self.root / folder).get(stem, [])
        return self.root / folder / files[0] if files else None

    def _check_owner(self, place: Path, view: str) -> None:
        owner = self._owners.setdefault(place, view)
        if owner != view:
            raise SceneError(f"{place}: belongs to two views, {owner} and {view}; name it after one of them")

    def _sources(self, place: tuple[Path, Path], relative: PurePosixPath) -> Iterator[MaskSource | Listed]:
        """What there is of one name, best first."""
        folder, hierarchy = (root / relative.parent for root in place)
        for parent in (folder, hierarchy) if folder != hierarchy else (folder,):
            if self._reached(parent) and self.entries(parent).get(relative.name, False):
                path = parent / relative.name
                yield MaskSource(self.mask_files(path), False, path, self._hierarchy(hierarchy, relative))
        archive = folder / f"{relative.name}{ENDING}"
        if self._reached(folder) and archive.name in self.entries(folder):
            if is_packed(archive):
                yield MaskSource((archive,), True, archive, {})
            elif is_view_stack(archive):
                yield view_stack(archive)
        for file in self._by_stem(folder).get(relative.name, ()):
            yield MaskSource((folder / file,), True, folder / file, self._hierarchy(hierarchy, relative))

    def _reached(self, folder: Path) -> bool:
        """Whether a folder exists, by the listings of those around it."""
        if folder in self._listed or folder == self.root:
            return True
        return self._reached(folder.parent) and self.entries(folder.parent).get(folder.name, False)

    def _by_stem(self, folder: Path) -> dict[str, list[str]]:
        """The mask files of a folder by their stems."""
        if folder not in self._stems:
            stems: dict[str, list[str]] = {}
            for name, is_folder in self.entries(folder).items() if self._reached(folder) else ():
                if not is_folder and _is_mask(name):
                    stems.setdefault(Path(name).stem, []).append(name)
            self._stems[folder] = {stem: sorted(files, key=_ending_rank) for stem, files in stems.items()}
        return self._stems[folder]

    def _hierarchy(self, folder: Path, relative: PurePosixPath) -> dict[str, Path]:
        if not self._reached(folder):
            return {}
        names = {kind: f"{relative.name}_{kind}.npy" for kind in ("inside", "same")}
        return {kind: folder / name for kind, name in names.items() if name in self.entries(folder)}

    def _unnamed(self, root: Path, folder: Path, around: set[PurePosixPath]) -> Iterator[Path]:
        """Masks in a folder below the split's, `root`, without a view's name; `around` are folders of views' masks."""
        for name, is_folder in sorted(self.entries(folder).items()) if self._reached(folder) else ():
            path, relative = folder / name, PurePosixPath((folder / name).relative_to(root).as_posix())
            if (relative if is_folder else relative.with_suffix("")) in self._named:
                continue
            if is_folder and relative in around:
                yield from self._unnamed(root, path, around)
            elif self.holds_masks(path) if is_folder else _is_mask(name):
                yield path


def mask_size(file: Path) -> Size:
    """Height and width of the masks in a file, as its header says."""
    if file.suffix.lower() != ENDING:
        return masks_in(file)[1]
    return packed_header(file)[1] if is_packed(file) else view_stack(file).size()


def split_folders(root: Path, split: str) -> tuple[Path, Path]:
    """The folders of a split's masks and of their hierarchy."""
    prefix = f"{split}_" if split else ""
    return root / f"{prefix}seg", root / f"{prefix}seg_hierarchy"


def is_companion(name: str) -> bool:
    """Whether a file is what segmenters write beside their masks."""
    return name.lower().endswith(_COMPANIONS)


def _list(folder: Path) -> dict[str, bool]:
    try:
        with os.scandir(folder) as entries:
            return {entry.name: _is_folder(entry) for entry in entries if not _is_hidden(entry.name)}
    except FileNotFoundError:
        return {}
    except OSError as failure:
        raise SceneError(f"{folder}: cannot be listed ({reason_of(failure)})") from None


def _is_folder(entry: os.DirEntry[str]) -> bool:
    """Whether an entry is a folder or leads to one; a link that leads to itself does not."""
    return os.path.isdir(entry.path) if entry.is_symlink() else entry.is_dir()


def _is_hidden(name: str) -> bool:
    return name.startswith(".") or name.lower() in _SYSTEM_FILES


def _is_mask(name: str) -> bool:
    return name.lower().endswith(MASK_ENDINGS)


def _ending_rank(name: str) -> tuple[int, str]:
    return MASK_ENDINGS.index(Path(name).suffix.lower()), name


def _paths(names: Sequence[str]) -> list[PurePosixPath]:
    """Paths below a folder of masks at which a view of these names may have its own; nothing leads out of it."""
    paths: dict[PurePosixPath, None] = {}
    for spelling in (spelling for name in names for spelling in spellings(name)):
        parts = [part for part in spelling.replace("\\", "/").split("/") if part not in ("", ".")]
        while parts and parts[0] == "..":
            parts.pop(0)
        if parts and ".." not in parts:
            paths[PurePosixPath(*parts)] = None
    return list(paths)
