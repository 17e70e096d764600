"""Writing the masks of a view: a packed file, or a folder of pictures with its hierarchy, whole or not at all."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Literal, Protocol

import numpy as np

from ..errors import SceneError
from ..io import fresh_folder, write_image, write_npy
from ..names import check_name
from ..removal import check_ours, kinds, remove_ours, temporary_name
from .folder import split_folders
from .hierarchy import packed_mask_set
from .mask_set import MaskSet
from .packed import ENDING, is_packed, write_packed
from .packing import MaskPacker

VIEW_FILES = kinds(r"\d+\.png")  # what is put into the folder of a view

Form = Literal["packed", "png"]
Announce = Callable[[Path, dict[str, np.ndarray]], None]


class Masks(Protocol):
    """Masks that are made one by one: an array [M, H, W] bool, or anything that gives mask after mask."""

    def __len__(self) -> int: ...

    def __getitem__(self, index: int, /) -> np.ndarray: ...


def check_writable(root: Path, split: str, name: str) -> None:
    """Raise `SceneError` unless what lies where a view's masks go, in either form, may be replaced.

    Arguments are those of `write_masks`.
    """
    check_name(name, f"{root}: view name")
    folder, hierarchy = split_folders(Path(root), split)
    for place in (folder, hierarchy):
        if place.is_symlink():
            raise SceneError(f"{place}: is a link, through which no masks are written; name the folder that it means")
        if place.exists() and not place.is_dir():
            raise SceneError(f"{place}: is no folder, so that no masks can be written into it")
    check_ours(folder / name, VIEW_FILES)
    packed = packed_file(root, split, name)
    for file in (packed, *hierarchy_files(root, split, name).values()):
        if file.is_symlink() or (file.exists() and not file.is_file()):
            raise SceneError(f"{file}: is a link or no file, so that it is not replaced; move it elsewhere")
    if packed.exists() and not _is_ours(packed):
        raise SceneError(f"{packed}: not a file that is written here, so that it is not replaced; move it elsewhere")


def packed_file(root: Path, split: str, name: str) -> Path:
    """The file of a view's packed masks."""
    return split_folders(Path(root), split)[0] / f"{name}{ENDING}"


def hierarchy_files(root: Path, split: str, name: str) -> dict[str, Path]:
    """The two files of a view's hierarchy by their kinds."""
    hierarchy = split_folders(Path(root), split)[1]
    return {kind: hierarchy / f"{name}_{kind}.npy" for kind in ("inside", "same")}


def write_masks(root: Path, split: str, name: str, masks: Masks | MaskSet, *, announce: Announce | None = None) -> None:
    """Write the masks of one view as `{split}_seg/NAME/J.png` with their hierarchy, replacing earlier ones of any form.

    The folder of masks appears whole or not at all; a hierarchy never lies beside masks that it does not belong to.

    Args:
        root: Folder to hold `{split}_seg` and `{split}_seg_hierarchy`.
        split: Name of the split; empty for the folder `seg`.
        name: Name of the view.
        masks: [M, H, W] bool, or masks that are made one by one; mask J becomes J.png with 0 and 255.
        announce: Called with the folder of masks before it appears under its name, and with its hierarchy by kind.

    Raises:
        ValueError: A mask holds no pixel.
        SceneError: The name cannot be a file name, or the view's folder holds other files than masks J.png.
    """
    check_writable(root, split, name)
    folder = split_folders(Path(root), split)[0]
    files = hierarchy_files(root, split, name)
    with fresh_folder(folder / name, VIEW_FILES) as temporary:
        arrays = _write_pictures(temporary, masks)
        packed_file(root, split, name).unlink(missing_ok=True)
        if announce is not None:
            announce(temporary, arrays)
        earlier = [_set_aside(file) for file in files.values() if file.exists()]
    for kind, file in files.items():
        write_npy(file, arrays[kind])
    for file in earlier:
        file.unlink(missing_ok=True)


def write_packed_masks(
    root: Path,
    split: str,
    name: str,
    masks: MaskSet,
    qualities: Mapping[str, np.ndarray] | None = None,
    *,
    announce: Announce | None = None,
) -> None:
    """Write the masks of one view with their hierarchy as `{split}_seg/NAME.npz`, replacing earlier ones of any form.

    Args:
        root: Folder to hold `{split}_seg`.
        split: Name of the split; empty for the folder `seg`.
        name: Name of the view.
        masks: The masks.
        qualities: What is known of each mask, see `packed`.
        announce: Called with the file before it appears under its name, and with no hierarchy.

    Raises:
        SceneError: The name cannot be a file name, or other files lie where the masks go.
    """
    check_writable(root, split, name)
    folder = split_folders(Path(root), split)[0] / name

    def make_way(file: Path) -> None:
        remove_ours(folder, VIEW_FILES)
        for earlier in hierarchy_files(root, split, name).values():
            earlier.unlink(missing_ok=True)
            with suppress(OSError):  # other views' hierarchies lie there, or it does not exist
                earlier.parent.rmdir()
        if announce is not None:
            announce(file, {})

    write_packed(packed_file(root, split, name), masks, qualities, announce=make_way)


def _is_ours(packed: Path) -> bool:
    try:
        return is_packed(packed)
    except SceneError:  # broken, or another archive
        return False


def _write_pictures(folder: Path, masks: Masks | MaskSet) -> dict[str, np.ndarray]:
    """Write the masks, and return their hierarchy in the lexical order of the file names: 0, 1, 10, 11, 2, …"""
    mask = masks.mask if isinstance(masks, MaskSet) else masks.__getitem__
    for index in range(len(masks)):
        write_image(folder / f"{index}.png", mask(index).astype(np.uint8) * 255)
    if len(masks) == 0:
        return {kind: np.zeros((0, 0), bool) for kind in ("inside", "same")}
    height, width = mask(0).shape
    packer = MaskPacker(len(masks), (height, width))
    for index in sorted(range(len(masks)), key=str):
        if not packer.add(mask(index)):
            raise ValueError(f"masks: mask {index} of {len(masks)} holds no pixel")
    mask_set = packed_mask_set(*packer.finish())
    return {"inside": mask_set.inside, "same": mask_set.same}


def _set_aside(file: Path) -> Path:
    """Rename a hierarchy file before its masks are replaced: it must not lie beside masks of others."""
    return file.rename(temporary_name(file, "old"))
