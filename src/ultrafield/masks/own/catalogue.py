"""The masks that files of annotations hold, by the names of their pictures."""

from __future__ import annotations

import re
import unicodedata
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

from ...errors import SceneError
from ...reading import read_json
from ..files import MASK_ENDINGS
from .coco import coco_pictures, is_coco
from .generated import Generated, is_generated
from .listed import Listed
from .stacks import all_views

_SNIFFED = 4096  # bytes at the beginning of a file by which that of one picture is recognised
_ONE_PICTURE = re.compile(
    rb'\s*(\[\s*(\]\s*$|\{\s*"(segmentation|area|bbox|predicted_iou|point_coords|stability_score|crop_box)")'
    rb'|\{\s*"image"\s*:\s*\{)'
)
_FORMS = (
    "a folder of masks, a JSON file with 'images' and 'annotations' (COCO) or one of segment-anything's, or an .npz "
    "archive"
)


class Catalogue:
    """Masks of pictures, found by names.

    Args:
        place: The file or folder that they are from.
        kind: What it is, for the user.
        items: The masks of each picture.

    Raises:
        SceneError: Two items have the same name.
    """

    def __init__(self, place: Path, kind: str, items: Sequence[Listed]) -> None:
        self.place, self.kind, self.items = place, kind, tuple(items)
        self._found: set[int] = set()
        for name, times in Counter(_plain(item.item) for item in items).items():
            if times > 1:
                raise SceneError(f"{place}: {times} pictures are called {name!r}")
        names = [_names(item.item) for item in items]
        uses = Counter(name for own in names for name in own)
        # A name that fits two pictures, such as that of files of two folders, is nobody's.
        self._by_name = {name: index for index, own in enumerate(names) for name in own if uses[name] == 1}

    def find(self, names: Sequence[str]) -> Listed | None:
        """The masks of the picture with one of some names, best first; None if there are none."""
        for name in names:
            index = self._by_name.get(_plain(name))
            if index is not None:
                self._found.add(index)
                return self.items[index]
        return None

    def unnamed(self) -> list[str]:
        """Pictures that were never found."""
        return [item.item for index, item in enumerate(self.items) if index not in self._found]


def open_catalogue(place: Path) -> Catalogue | None:
    """The annotations in a file, or in the files of a folder; None for a folder without such files.

    Raises:
        SceneError: A file is broken, or none of those that are known.
    """
    if place.is_dir():
        return _of_folder(place)
    if place.suffix.lower() == ".npz":
        return Catalogue(place, "arrays", all_views(place))
    if place.suffix.lower() != ".json":
        raise SceneError(f"{place}: no masks that are known; expected {_FORMS}")
    values = read_json(place)
    if is_coco(values):
        return Catalogue(place, "COCO annotations", coco_pictures(place, values))
    if is_generated(values):
        return Catalogue(place, "masks of segment-anything", [Generated(place, place.stem)])
    raise SceneError(f"{place}: no masks that are known; expected {_FORMS}")


def _of_folder(folder: Path) -> Catalogue | None:
    """All annotations in a folder: one file for each picture, or files for many."""
    files = sorted(
        file for file in folder.iterdir() if file.suffix.lower() == ".json" and not file.name.startswith(".")
    )
    single = [file for file in files if _is_of_one_picture(file)]
    if single:
        return Catalogue(folder, "masks of segment-anything", [Generated(file, file.stem) for file in single])
    items: list[Listed] = []
    for file in files:
        values = read_json(file)
        if is_coco(values):
            items += coco_pictures(file, values)
    return Catalogue(folder, "COCO annotations", items) if items else None


def _is_of_one_picture(file: Path) -> bool:
    """Whether a file looks like one of segment-anything's, by its beginning."""
    if not file.is_file():
        return False
    with file.open("rb") as stream:
        return _ONE_PICTURE.match(stream.read(_SNIFFED)) is not None


def _plain(name: str) -> str:
    """A name in the form in which two that mean the same are equal."""
    return unicodedata.normalize("NFC", name.replace("\\", "/").removeprefix("./"))


def _names(item: str) -> set[str]:
    """What a picture may be called: its path and its file name, with and without ending."""
    path = _plain(item)
    ending = next((ending for ending in MASK_ENDINGS if path.lower().endswith(ending)), "")
    bare = path[: len(path) - len(ending)]
    return {path, bare, path.rpartition("/")[2], bare.rpartition("/")[2]}
