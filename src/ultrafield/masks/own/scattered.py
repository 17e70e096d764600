"""Masks of views that share their folders: one folder for each object of a video, or several maps of a view side by
side.

- `OBJECT/NAME.png`: a folder for each object with a picture for each view, as SAM 2 writes what it follows through a
  video (`--per_obj_png_file`). Folders whose files are merely numbered (`0.png`, `1.png`, …) are folders of views.
- `NAME_seg_objects.tif`, `NAME_mask_3.png`, `mask_NAME.png`: words that only say what the file is, before or after the
  view's name. Each is a map of ids, or a mask.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from .maps import Maps

_WORDS = (
    "masks?|seg|segm|segments?|segmentation|instances?|inst|parts?|objects?|obj|collections?|ids?|labels?|panoptic|"
    "semantic|gt|sam2?"
)
_AROUND = rf"(?:{_WORDS})(?:[_\-. ]?(?:{_WORDS}|\d+))*"


def objects_of_view(
    root: Path,
    name: str,
    folders: Mapping[str, Sequence[str]],
    files: Sequence[str],
    file_of: Callable[[str, str], Path | None],
) -> Maps | None:
    """The masks of a view in a folder that holds a folder for each object; None if it is no such folder.

    Args:
        root: The folder.
        name: Name of the view.
        folders: Stems of the mask files in each folder below it.
        files: Mask files in it.
        file_of: Gives the file of a stem in a folder.
    """
    stems = {stem for own in folders.values() for stem in own}
    numbered = all(stem.isdecimal() and str(int(stem)) == stem for stem in stems)
    if files or numbered or stems & set(folders) or name not in stems:
        return None
    found = [file_of(folder, name) for folder in sorted(folders)]
    return Maps(root, name, tuple(file for file in found if file is not None), single=True)


def maps_of_view(root: Path, name: str, files: Sequence[str]) -> Maps | None:
    """The maps of a view among files of several views; None if there are none."""
    pattern = re.compile(rf"{re.escape(name)}[_\-. ]{_AROUND}|{_AROUND}[_\-. ]{re.escape(name)}", re.IGNORECASE)
    found = sorted(file for file in files if pattern.fullmatch(file.rpartition(".")[0]))
    return Maps(root, name, tuple(root / file for file in found), single=False) if found else None
