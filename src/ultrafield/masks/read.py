"""Reading the masks of views, whatever files they lie in; `folder` says where, `files` and `id_maps` what they mean."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np

from ..errors import SceneError
from ..reading import npy_header
from .distinct import distinct_rows
from .files import is_array, masks_in, read_flags, read_masks_of
from .folder import MaskFolder, MaskSource, Names, is_companion, mask_size
from .hierarchy import build_mask_set, distinct_mask_set, packed_mask_set, resized_mask_set
from .id_maps import id_map_set, read_id_map
from .mask_set import MaskSet
from .own.generated import metadata_qualities
from .own.listed import Listed
from .packed import ENDING, read_packed, read_qualities
from .packing import MaskPacker, check_budget
from .sizes import Size, check_aspect, same_aspect, size_text

__all__ = [
    "Size",
    "check_aspect",
    "find_masks",
    "mask_files",
    "mask_size",
    "read_mask_files",
    "read_masks",
    "same_aspect",
    "size_text",
]


def read_masks(root: Path | MaskFolder, split: str, names: Names, size: Size | None = None) -> MaskSet | None:
    """Read the masks of one view, with the hierarchy on disk if there is one.

    Args:
        root: Folder that holds `{split}_seg`; a `MaskFolder` lists it once for all views, and keeps what is skipped.
        split: Name of the split; empty for the folder `seg`.
        names: Name of the view, or several, best first; they may have folders in them.
        size: Height and width to deliver; masks of another size are resampled (nearest pixel), and those that vanish
            thereby are dropped. None keeps the size on disk.

    Returns:
        The view's masks, none of them empty; or None where the folder has nothing for this view (or nothing but an
        empty list of masks, and no `size` to tell how large they would be).

    Raises:
        SceneError: A file is no picture or array of masks, or its size differs from the first mask's or has another
            aspect ratio than `size`; a hierarchy file does not fit the masks; they take too much memory.
    """
    folder = root if isinstance(root, MaskFolder) else MaskFolder(root)
    source = folder.find(split, names)
    if source is None:
        return None
    if isinstance(source, Listed):
        return read_listed(source, size)[0]
    if not source.files:
        _note_strangers(folder, source)
        return None if size is None else build_mask_set(np.zeros((0, *size), bool))
    if source.files[0].suffix.lower() == ENDING:
        return _from_packed(source.files[0], size)
    if source.id_map and not _is_stack(source.files[0]):
        return _from_id_map(source.files[0], size)
    if not source.id_map:
        _note_strangers(folder, source)
    return _from_files(folder, source, size)


def find_masks(root: Path | MaskFolder, split: str, names: Names) -> Path | None:
    """The first file that holds masks of this view, None if there is none; arguments as for `read_masks`."""
    folder = root if isinstance(root, MaskFolder) else MaskFolder(root)
    source = folder.find(split, names)
    if isinstance(source, Listed):
        return source.place
    return source.files[0] if source is not None and source.files else None


def read_with_qualities(
    root: Path | MaskFolder, split: str, names: Names
) -> tuple[MaskSet, dict[str, np.ndarray], Path] | None:
    """Read the masks of one view, what their maker says of each by the names of `packed.QUALITIES`, and where they lie.

    Arguments and errors are those of `read_masks`; the masks keep their size on disk.
    """
    folder = root if isinstance(root, MaskFolder) else MaskFolder(root)
    source = folder.find(split, names)
    if isinstance(source, Listed):
        masks, kept = read_listed(source)
        found = {name: values for name, values in source.qualities().items() if len(values) == len(kept)}
        return masks, {name: values[kept] for name, values in found.items()}, source.place
    read = read_masks(folder, split, names)
    if source is None or read is None:
        return None
    if source.files[0].suffix.lower() == ENDING:
        return read, read_qualities(source.files[0]), source.place
    qualities = metadata_qualities(source.place, [file.stem for file in source.files]) if not source.id_map else {}
    whole = len(read) == len(source.files)  # no file without pixels, nor one with several masks
    return read, qualities if whole else {}, source.place


def read_listed(source: Listed, size: Size | None = None) -> tuple[MaskSet, np.ndarray]:
    """Read the masks of a picture, however they are stored.

    Args:
        source: The masks.
        size: As for `read_masks`.

    Returns:
        The masks that hold a pixel, and which of all masks these are [M], bool.

    Raises:
        SceneError: They cannot be read, have another aspect ratio than `size`, or take too much memory.
    """
    on_disk = source.size()
    if size is not None:
        check_aspect(source.place, on_disk, size)
    count, masks = source.read()
    check_budget(source.place, count, size or on_disk)
    packer = MaskPacker(count, size or on_disk)
    kept = np.array([packer.add(mask) for mask in masks], bool)
    return packed_mask_set(*packer.finish()), kept


def mask_files(folder: Path) -> tuple[Path, ...]:
    """The mask files in a folder, in the lexical order of their stems, which is that of the hierarchy files."""
    return MaskFolder(folder).mask_files(folder)


def read_mask_files(files: tuple[Path, ...]) -> MaskSet:
    """The set of the masks in files, in their order.

    Args:
        files: At least one file.

    Raises:
        SceneError: A file cannot be read, holds a mask without pixels, or differs in size from the first one; they
            take too much memory.
    """
    packer, kept = _packed(files, files[0].parent, None)
    empty = [file for file, holds_pixels in kept if not holds_pixels]
    if empty:
        raise SceneError(f"{empty[0]}: mask holds no pixel")
    return packed_mask_set(*packer.finish())


def _is_stack(file: Path) -> bool:
    return is_array(file) and len(npy_header(file)[0]) > 2


def _note_strangers(folder: MaskFolder, source: MaskSource) -> None:
    """Keep in mind which files of a view's folder are no masks."""
    masks = {file.name for file in source.files}
    for name, is_folder in folder.entries(source.place).items():
        if not is_folder and name not in masks and not is_companion(name):
            folder.skipped.append((source.place / name, "not a mask file"))


def _from_packed(file: Path, size: Size | None) -> MaskSet:
    if size is not None:
        check_aspect(file, mask_size(file), size)
    masks = read_packed(file)
    return masks if size is None else resized_mask_set(masks, size)


def _from_id_map(file: Path, size: Size | None) -> MaskSet:
    on_disk = mask_size(file)
    if size is not None:
        check_aspect(file, on_disk, size)  # from the header, before anything is decoded
    return id_map_set(read_id_map(file), size or on_disk, file)


def _from_files(folder: MaskFolder, source: MaskSource, size: Size | None) -> MaskSet:
    """The set of the masks in a view's files."""
    if size is not None:
        check_aspect(source.files[0], masks_in(source.files[0])[1], size)
    empty: list[bool] = []

    def note(file: Path, is_empty: bool) -> None:
        empty.append(is_empty)
        if is_empty:
            folder.skipped.append((file, "no pixel inside"))

    packer, kept = _packed(source.files, source.place, size, note)
    hierarchy = _read_hierarchy(source, np.array(empty, bool), np.array([inside for _, inside in kept], bool))
    bits, areas = packer.finish()
    rows, numbers = distinct_rows(bits)
    del bits  # many masks of a large picture
    if hierarchy is None:
        return distinct_mask_set(rows, numbers, areas)
    return MaskSet._trusted((rows, numbers), areas, *hierarchy)


def _packed(
    files: tuple[Path, ...],
    place: Path,
    size: Size | None,
    note: Callable[[Path, bool], None] = lambda file, is_empty: None,
) -> tuple[MaskPacker, list[tuple[Path, bool]]]:
    """The masks in files, each packed as soon as it is read.

    Args:
        files: At least one file.
        place: Names them all in messages.
        size: Height and width to pack; those of the first mask if None.
        note: Told about every mask whether it holds no pixel at its own size.

    Returns:
        The masks, and of each its file and whether it holds a pixel at the size.
    """
    on_disk = masks_in(files[0])[1]
    most = sum(masks_in(file)[0] if is_array(file) else 1 for file in files)
    check_budget(place, most, size or on_disk)
    packer, kept = MaskPacker(most, size or on_disk), []
    for file in files:
        for mask in read_masks_of(file):
            _check_size(file, mask.shape, on_disk, files[0])
            kept.append((file, packer.add(mask)))
            note(file, not kept[-1][1] and not mask.any())
    return packer, kept


def _check_size(file: Path, size: tuple[int, ...], expected: tuple[int, ...], first: Path) -> None:
    if size != expected:
        raise SceneError(f"{file}: expected {size_text(expected)} like {first.name}, found {size_text(size)}")


def _read_hierarchy(source: MaskSource, empty: np.ndarray, kept: np.ndarray) -> tuple[np.ndarray, np.ndarray] | None:
    """Containment and sameness from disk of the masks that are kept, None if either file is missing.

    Args:
        source: Where the files are.
        empty: Which masks hold no pixel on disk [M]; the files may leave them out.
        kept: Which masks hold one at working size [M].
    """
    if len(source.hierarchy) < 2:
        return None
    inside, same = (_read_matrix(source.hierarchy[kind], empty, kept) for kind in ("inside", "same"))
    return inside, same


def _read_matrix(file: Path, empty: np.ndarray, kept: np.ndarray) -> np.ndarray:
    matrix, count = read_flags(file), len(empty)
    if matrix.shape == (count - empty.sum(),) * 2:
        kept = kept[~empty]
    elif matrix.shape != (count, count):
        raise SceneError(f"{file}: expected shape ({count}, {count}) for {count} masks, found {matrix.shape}")
    if matrix.dtype != bool and (matrix.dtype.kind not in "uif" or not np.isin(matrix, (0, 1)).all()):
        raise SceneError(f"{file}: expected flags (true or false, 0 or 1), found other values or dtype {matrix.dtype}")
    return matrix[np.ix_(kept, kept)].astype(bool)
