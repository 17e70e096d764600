"""Id maps: one picture or array in which every segment of a view has a number or a colour of its own.

0, black and transparent mean none, as do negative numbers; in a picture with a palette without black, index 0 does.
A map that is full of traces of compression or smoothing is refused, see `noise`; but if it is a single mask with a soft
border, or the cut-out of a photograph, it is read as one mask, as `files` says.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from ..cameras.pixels import resize_nearest
from ..errors import SceneError
from ..reading import read_ids
from .files import inside, is_array, is_lossy, read_flags, says_something
from .hierarchy import disjoint_mask_set
from .mask_set import MaskSet
from .noise import Thinness, is_noise, is_soft_mask, thinness
from .packing import check_budget, pack_labels
from .sizes import Size, row_bands

_MOST_LOSSY = 32  # ids of a JPEG file
_PHOTOGRAPH = 0.5  # part of the pixels in 2x2 of one colour, below which a cut-out is one of a photograph
_LARGE = 1 << 20  # pixels, from which a picture in which most neighbours differ is not looked at more closely


@dataclass(frozen=True, eq=False)
class IdMap:
    """The segments of an id map.

    Attributes:
        labels: Index of the segment of each pixel [H, W], int32, −1 for none; indices follow the order of the ids.
        count: Number of segments.
    """

    labels: np.ndarray
    count: int

    @property
    def shape(self) -> tuple[int, int]:
        """Height and width in pixels."""
        return self.labels.shape[0], self.labels.shape[1]

    def resized(self, size: tuple[int, int]) -> IdMap:
        """The map at another size (nearest pixel), without the segments that hold no pixel there."""
        if self.labels.shape == size:
            return self
        labels = resize_nearest(self.labels, size)
        kept = np.bincount(labels[labels >= 0], minlength=self.count) > 0
        renumbered = np.append(np.cumsum(kept) - 1, -1).astype(np.int32)  # the last one is for −1
        return IdMap(renumbered[labels], int(kept.sum()))


def read_id_map(file: Path) -> IdMap:
    """Read a map of ids or colours.

    Raises:
        SceneError: The file cannot be read, its values are no ids, or it is full of ids that only compression,
            smoothing or a photograph leave.
    """
    picture = read_flags(file) if is_array(file) else read_ids(file)
    if is_array(file) and (picture.ndim != 2 or picture.size == 0):
        raise SceneError(f"{file}: expected an id map [H, W], found an array of shape {list(picture.shape)}")
    if picture.dtype.kind not in "buif":
        raise SceneError(f"{file}: expected ids, found {picture.dtype}")
    if picture.dtype.kind == "f" and not _whole(picture):
        return _one_mask(inside(file, picture))
    cut_out = inside(file, picture) if _has_cut_out(picture) else None
    distinct = _distinct(picture, cut_out)
    if distinct is not None:
        return _checked(file, picture, _labels(picture, cut_out, distinct), distinct)
    if cut_out is not None:
        return _one_mask(cut_out)
    raise SceneError(f"{file}: most neighbouring pixels differ, as in a photograph; expected an id map or a mask")


def number_ids(ids: np.ndarray) -> IdMap:
    """The segments of a map of integers [H, W], of which 0 and negative ones mean none."""
    distinct, labels = np.zeros(0, ids.dtype), np.empty(ids.shape, np.int32)
    for first, last in row_bands(ids.shape):
        band = ids[first:last]
        distinct = np.union1d(distinct, band[band > 0])
    for first, last in row_bands(ids.shape):
        band = ids[first:last]
        labels[first:last] = np.where(band > 0, np.searchsorted(distinct, band), -1)
    return IdMap(labels, len(distinct))


def id_map_set(id_map: IdMap, size: Size, where: object) -> MaskSet:
    """The masks of an id map at a size, without those that hold no pixel there; `where` names it in messages.

    Raises:
        SceneError: They take more memory than the limit.
    """
    id_map = id_map.resized(size)
    check_budget(where, id_map.count, size)
    return disjoint_mask_set(*pack_labels(id_map.labels, id_map.count))


def _whole(picture: np.ndarray) -> bool:
    """Whether floats are whole numbers, a few rows at a time."""
    bands = (picture[first:last] for first, last in row_bands(picture.shape))
    return all(bool((np.isfinite(band) & (band == np.round(band))).all()) for band in bands)


def _runs(ids: np.ndarray) -> np.ndarray:
    """The first pixel of each stretch of equal ids [R], int64."""
    return np.flatnonzero(np.concatenate([[True], ids[1:] != ids[:-1]])[: len(ids)])


def _distinct(picture: np.ndarray, cut_out: np.ndarray | None) -> np.ndarray | None:
    """The ids of a map, ascending; None if it is large and most of its neighbouring pixels differ."""
    distinct, runs = np.zeros(0, np.int64), 0
    for first, last in row_bands(picture.shape):
        ids = _ids(picture[first:last], None if cut_out is None else cut_out[first:last])
        starts = _runs(ids)
        runs += len(starts)
        if last * picture.shape[1] > _LARGE and 2 * runs > last * picture.shape[1]:
            return None
        distinct = np.union1d(distinct.astype(ids.dtype), ids[starts])
    return distinct


def _labels(picture: np.ndarray, cut_out: np.ndarray | None, distinct: np.ndarray) -> np.ndarray:
    """Index of each pixel's id among all ids [H, W], int32."""
    labels = np.empty(picture.shape[:2], np.int32)
    for first, last in row_bands(picture.shape):
        ids = _ids(picture[first:last], None if cut_out is None else cut_out[first:last])
        starts = _runs(ids)
        indices = np.searchsorted(distinct, ids[starts]).astype(np.int32)
        labels[first:last] = np.repeat(indices, np.diff(starts, append=len(ids))).reshape(
            last - first, picture.shape[1]
        )
    return labels


def _checked(file: Path, picture: np.ndarray, labels: np.ndarray, distinct: np.ndarray) -> IdMap:
    """The map, if its ids can be meant; the mask that it is, if they are not."""
    found = thinness(labels, len(distinct))
    if is_lossy(file):
        clean, suspicious = found.count == 0 and len(distinct) <= _MOST_LOSSY, True
    else:
        clean, suspicious = not is_noise(picture, labels, found), found.count > 0
    if suspicious and len(distinct) > 2 and is_soft_mask(picture, labels, found):
        return _one_mask(inside(file, picture))
    if not clean and _has_cut_out(picture):
        mask = inside(file, picture)
        if mask.any() and found.squares[mask].mean() < _PHOTOGRAPH:
            return _one_mask(mask)
    if not clean:
        raise SceneError(_refusal(file, found))
    if len(distinct) and distinct[0] == 0:
        labels -= np.int32(1)
        return IdMap(labels, len(distinct) - 1)
    return IdMap(labels, len(distinct))


def _ids(picture: np.ndarray, cut_out: np.ndarray | None) -> np.ndarray:
    """The id of each pixel [H · W], 0 for none; equal colours are equal ids, whether in one channel or three.

    Args:
        picture: Ids or colours.
        cut_out: What belongs to the picture [H, W] bool; None for everything.
    """
    if picture.ndim == 2:
        whole = picture.astype(np.int64) if picture.dtype.kind == "f" else picture
        return np.asarray(whole if whole.dtype.kind in "bu" else np.maximum(whole, 0)).reshape(-1)
    bits = 8 * picture.dtype.itemsize
    ids = np.zeros(picture.shape[:2], np.uint32 if bits == 8 else np.uint64)
    for channel in range(3):
        ids = (ids << np.uint8(bits)) | picture[..., channel]
    if cut_out is not None:
        ids[~cut_out] = 0
    return np.asarray(ids).reshape(-1)


def _has_cut_out(picture: np.ndarray) -> bool:
    """Whether an alpha channel says what belongs to the picture."""
    return picture.ndim == 3 and picture.shape[2] == 4 and says_something(picture[..., 3])


def _one_mask(mask: np.ndarray) -> IdMap:
    return IdMap(mask.astype(np.int32) - np.int32(1), 1) if mask.any() else IdMap(np.full(mask.shape, -1, np.int32), 0)


def _refusal(file: Path, found: Thinness) -> str:
    ids = len(found.thin)
    remedy = "save id maps without loss (PNG, no smoothing, nearest-neighbour resizing)"
    if is_lossy(file) and found.count == 0:
        return f"{file}: {ids} ids in a JPEG file, which changes values; {remedy}"
    return (
        f"{file}: {found.count} of its {ids} ids nowhere hold 2x2 pixels, as JPEG compression, smoothing or a "
        f"photograph leave them; {remedy}"
    )
