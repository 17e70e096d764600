"""The published mask files: one picture per mask, or one id map per view.

A view's masks are found under `root`, in this order:

1. `{split}_seg/NAME/*.png`, any pixel that is not 0 being inside, with `{split}_seg_hierarchy/NAME_{inside,same}.npy`;
2. `{split}_seg_hierarchy/NAME/*.png`, the masks of the first README, which lie beside an id map;
3. `{split}_seg/NAME.png`, an id map: grey with 8 or 16 bits, or colours; 0, black and transparent mean none.

An empty split name stands for the folders `seg` and `seg_hierarchy` (PartNet). Masks are in the lexical order of their
file names, those of an id map in the order of the ids.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from ..cameras.pixels import resize_nearest
from ..errors import SceneError
from ..io import fresh_folder, write_image, write_npy
from ..names import check_name
from ..reading import read_image
from ..removal import check_ours, files_below, kinds
from .hierarchy import build_mask_set
from .mask_set import MaskSet

Size = tuple[int, int]  # height, width

_VIEW_FILES = kinds(r"\d+\.png")  # what `write_masks` puts into the folder of a view


def read_masks(root: Path, split: str, name: str, size: Size | None = None) -> MaskSet | None:
    """Read the masks of one view, with the hierarchy on disk if there is one.

    Args:
        root: Folder that holds `{split}_seg`.
        split: Name of the split; empty for the folder `seg`.
        name: Name of the view.
        size: Height and width to deliver; masks of another size are resampled (nearest pixel), and those that vanish
            thereby are dropped. None keeps the size on disk.

    Returns:
        The view's masks, none of them empty; or None where the folder has nothing for this view (or nothing but an
        empty list of masks, and no `size` to tell how large they would be).

    Raises:
        SceneError: A file is no picture, holds no pixel, or its size differs from the first mask's or has another
            aspect ratio than `size`; a hierarchy file does not fit the masks.
    """
    source = _find(Path(root), split, name)
    if source is None:
        return None
    if not source.files:
        return None if size is None else build_mask_set(np.zeros((0, *size), bool))
    loaded = _read_id_map(source.files[0]) if source.id_map else read_mask_files(source.files)
    hierarchy = _read_hierarchy(source, len(loaded))
    if size is not None and loaded.shape[1:] != size:
        check_aspect(source.files[0], loaded.shape[1:], size)
        loaded = resize_nearest(loaded, size)
    kept = loaded.any(axis=(1, 2))
    mask_set = build_mask_set(loaded[kept])
    if hierarchy is None:
        return mask_set
    inside, same = (matrix[np.ix_(kept, kept)] for matrix in hierarchy)
    return MaskSet._trusted(mask_set.bits, mask_set.areas, inside, same)


def find_masks(root: Path, split: str, name: str) -> Path | None:
    """The first file that holds masks of this view, None if there is none; arguments as for `read_masks`."""
    source = _find(Path(root), split, name)
    return source.files[0] if source is not None and source.files else None


def find_work(root: Path, split: str, name: str) -> Path | None:
    """The first file of whatever kind that lies where a view's masks and hierarchy go, None if there is none."""
    own = {name, f"{name}_inside.npy", f"{name}_same.npy"}
    for folder in _folders(Path(root), split):
        for entry in sorted(folder.iterdir()) if folder.is_dir() else ():
            if entry.name not in own and not entry.name.startswith(f"{name}."):
                continue
            if entry.is_symlink() or not entry.is_dir():
                return entry
            for file in files_below(entry):
                return file
    return None


def check_writable(root: Path, split: str, name: str) -> None:
    """Raise `SceneError` unless `write_masks` may replace what lies where a view's masks go; arguments as there."""
    check_name(name, f"{root}: view name")
    folder, hierarchy = _folders(Path(root), split)
    for place in (folder, hierarchy):
        if place.is_symlink():
            raise SceneError(f"{place}: is a link, through which no masks are written; name the folder that it means")
    check_ours(folder / name, _VIEW_FILES)


def write_masks(root: Path, split: str, name: str, masks: np.ndarray) -> None:
    """Write the masks of one view as `{split}_seg/NAME/J.png` with their hierarchy, replacing earlier ones.

    The folder of masks appears whole or not at all; a hierarchy never lies beside masks that it does not belong to.

    Args:
        root: Folder to hold `{split}_seg` and `{split}_seg_hierarchy`.
        split: Name of the split; empty for the folder `seg`.
        name: Name of the view.
        masks: [M, H, W] bool; mask J becomes J.png with 0 and 255.

    Raises:
        ValueError: A mask holds no pixel.
        SceneError: The name cannot be a file name, or the view's folder holds other files than masks J.png.
    """
    check_writable(root, split, name)
    folder, hierarchy = _folders(Path(root), split)
    order = sorted(range(len(masks)), key=str)  # lexical order of the file names: 0, 1, 10, 11, 2, …
    mask_set = build_mask_set(masks[order])
    files = {"inside": hierarchy / f"{name}_inside.npy", "same": hierarchy / f"{name}_same.npy"}
    with fresh_folder(folder / name, _VIEW_FILES) as temporary:
        for index, mask in enumerate(masks):
            write_image(temporary / f"{index}.png", mask.astype(np.uint8) * 255)
        for file in files.values():
            file.unlink(missing_ok=True)
    write_npy(files["inside"], mask_set.inside)
    write_npy(files["same"], mask_set.same)


def same_aspect(size: Size, other: Size) -> bool:
    """Whether two sizes show the same picture: a common factor explains both, up to rounding to whole pixels."""
    (height, width), (other_height, other_width) = sorted([size, other])
    factor = max(other_height / height, other_width / width)
    return abs(height * factor - other_height) <= factor and abs(width * factor - other_width) <= factor


def check_aspect(file: Path, size: Size, expected: Size) -> None:
    """Raise `SceneError` unless masks of `size` can belong to a picture of size `expected`."""
    if not same_aspect(size, expected):
        raise SceneError(
            f"{file}: expected a mask with the aspect ratio of its picture ({size_text(expected)}), "
            f"found {size_text(size)}"
        )


@dataclass(frozen=True)
class _Source:
    """Where a view's masks come from: files in lexical order, and the stem of its hierarchy files."""

    files: tuple[Path, ...]
    id_map: bool
    hierarchy: Path


def _folders(root: Path, split: str) -> tuple[Path, Path]:
    """The folders of a split's masks and of their hierarchy."""
    prefix = f"{split}_" if split else ""
    return root / f"{prefix}seg", root / f"{prefix}seg_hierarchy"


def _find(root: Path, split: str, name: str) -> _Source | None:
    """Locate the masks of one view, None if there are none."""
    folder, hierarchy = _folders(root, split)
    for masks in (folder / name, hierarchy / name):
        if masks.is_dir():
            return _Source(mask_files(masks), False, hierarchy / name)
    id_map = folder / f"{name}.png"
    return _Source((id_map,), True, hierarchy / name) if id_map.is_file() else None


def mask_files(folder: Path) -> tuple[Path, ...]:
    """The mask pictures in a folder, in the lexical order of their stems, which is that of the hierarchy files."""
    files = (file for file in folder.iterdir() if file.suffix.lower() == ".png")
    return tuple(sorted(files, key=lambda file: file.stem))


def read_mask_files(files: tuple[Path, ...]) -> np.ndarray:
    """Masks [M, H, W] bool from one picture each; the first channel counts.

    Args:
        files: At least one picture.

    Raises:
        SceneError: A picture cannot be read, holds no pixel, or differs in size from the first one.
    """
    masks: list[np.ndarray] = []
    for file in files:
        picture = read_image(file)
        mask = (picture if picture.ndim == 2 else picture[..., 0]) != 0
        if masks and mask.shape != masks[0].shape:
            expected = f"{size_text(masks[0].shape)} like {files[0].name}"
            raise SceneError(f"{file}: expected {expected}, found {size_text(mask.shape)}")
        if not mask.any():
            raise SceneError(f"{file}: mask holds no pixel")
        masks.append(mask)
    return np.stack(masks)


def _read_id_map(file: Path) -> np.ndarray:
    """Masks [M, H, W] bool from a map of ids or colours, in ascending order of the ids."""
    picture = read_image(file)
    ids = picture.astype(np.int64)
    if picture.ndim == 3:
        # Whether the id is in one channel or spread over three, equal colours are equal ids.
        ids = ids[..., 0] << 32 | ids[..., 1] << 16 | ids[..., 2]
        if picture.shape[2] == 4:
            ids[picture[..., 3] == 0] = 0
    distinct = np.unique(ids)
    return ids[None] == distinct[distinct != 0][:, None, None]


def _read_hierarchy(source: _Source, count: int) -> tuple[np.ndarray, np.ndarray] | None:
    """Containment and sameness [M, M] from disk, None if either file is missing."""
    stem = source.hierarchy
    files = [stem.with_name(f"{stem.name}_{kind}.npy") for kind in ("inside", "same")]
    if source.id_map or not all(file.is_file() for file in files):
        return None
    inside, same = (_read_matrix(file, count) for file in files)
    return inside, same


def _read_matrix(file: Path, count: int) -> np.ndarray:
    """One hierarchy file as bool [count, count]."""
    try:
        matrix = np.load(file, allow_pickle=False)
    except (ValueError, OSError, EOFError) as error:
        raise SceneError(f"{file}: not a readable array ({error})") from None
    if matrix.shape != (count, count):
        raise SceneError(f"{file}: expected shape ({count}, {count}) for {count} masks, found {matrix.shape}")
    return matrix.astype(bool)


def size_text(size: tuple[int, ...]) -> str:
    """A size (height, width) as text: "640x480 pixels"."""
    return f"{size[1]}x{size[0]} pixels"
