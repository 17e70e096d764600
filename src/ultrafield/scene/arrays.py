"""Scenes from arrays: pictures, cameras and masks in memory, brought into the form that readers deliver."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

from ..cameras import Cameras, Similarity
from ..cameras.similarity import as_floats
from ..masks import MaskSet, resized_mask_set
from ..masks.hierarchy import mask_set_of
from ..masks.id_maps import IdMap, id_map_set, number_ids
from ..masks.read import same_aspect, size_text
from ..reading import PixelSize
from .images import Color
from .normalize import CAPTURE_NEAR, OBJECT_NEAR, capture_half_extent, capture_similarity, object_similarity
from .splits import check_hold_out, held_out_indices
from .view import Split
from .views import kept_photographs, make_photograph, make_view, working_size

Masks = np.ndarray | MaskSet | None
Stack = np.ndarray | MaskSet | IdMap | None  # an array is one of masks [M, H, W]
_WHITE: Color = (1.0, 1.0, 1.0)


@dataclass(frozen=True, eq=False)
class SceneParts:
    """Parts of a `Scene`, attributes as there; `to_normalised` maps the user's frame to the normalised one."""

    splits: dict[str, Split]
    to_normalised: Similarity
    background: np.ndarray | None
    half_extent: float
    near: float


def scene_parts(
    images: Sequence[np.ndarray] | np.ndarray,
    cameras: Cameras,
    masks: Sequence[Masks] | np.ndarray | None,
    *,
    background: ArrayLike | None,
    name: str,
    hold_out: int | None,
) -> SceneParts:
    """Splits and frames of a scene from arrays; arguments and errors as for `Scene.from_arrays`."""
    count = len(images)
    _check_counts(count, cameras, masks)
    check_hold_out(hold_out)
    names = [f"view_{index:03d}" for index in range(count)]
    pictures = [_picture(image, view) for image, view in zip(images, names, strict=True)]
    stacks = [_stack(None if masks is None else masks[index], view) for index, view in enumerate(names)]
    sizes = _working_sizes(pictures, stacks, names)
    color = _background(background, transparent=any(picture.shape[2] == 4 for picture in pictures))
    own = [(picture.shape[1], picture.shape[0]) for picture in pictures]
    kept = kept_photographs([None if native == size else native for native, size in zip(own, sizes, strict=True)])
    behind = color or _WHITE
    photographs = [
        None if native is None else make_photograph(picture, behind, native)
        for picture, native in zip(pictures, kept, strict=True)
    ]
    views = [
        make_view(view, picture, _mask_set(stack, size, view), size, behind, photograph=photograph)
        for view, picture, stack, size, photograph in zip(names, pictures, stacks, sizes, photographs, strict=True)
    ]
    for view, picture, size in zip(names, pictures, cameras.sizes.tolist(), strict=True):
        _check_aspect(f"cameras: {view}", size[::-1], picture.shape[:2])
    cameras = cameras.resized(sizes)
    to_normalised, half_extent, near = _frame(cameras, name, bounded=color is not None)
    normalised = cameras.moved(to_normalised)
    splits = {
        split: Split(tuple(views[index] for index in members), normalised[members], to_normalised.inverse())
        for split, members in held_out_indices(count, hold_out).items()
    }
    background = None if color is None else np.array(color, np.float32)
    return SceneParts(splits, to_normalised, background, half_extent, near)


def _check_counts(count: int, cameras: Cameras, masks: Sequence[Masks] | np.ndarray | None) -> None:
    """Raise unless there are at least two views, a camera for each, and masks for each or for none."""
    if not isinstance(cameras, Cameras):
        raise TypeError(f"cameras: expected Cameras (see Cameras.pinhole), got {type(cameras).__name__}")
    if count < 2:
        raise ValueError(f"images: expected at least 2 pictures, got {count}")
    if len(cameras) != count:
        raise ValueError(f"cameras: expected {count}, one per picture, got {len(cameras)}")
    if masks is not None and len(masks) != count:
        raise ValueError(f"masks: expected {count} items, one per picture (or None), got {len(masks)}")


def _picture(image: ArrayLike, view: str) -> np.ndarray:
    """A picture as readers deliver it: RGB [H, W, 3] uint8 or, if any pixel is transparent, RGBA [H, W, 4] float32 in
    [0, 255]."""
    picture = np.asarray(image)
    if picture.ndim == 2:
        picture = np.repeat(picture[..., None], 3, axis=2)
    if picture.ndim != 3 or picture.shape[2] not in (3, 4) or picture.size == 0:
        raise ValueError(f"images: {view}: expected shape [H, W, 3] or [H, W, 4], got {list(picture.shape)}")
    if np.issubdtype(picture.dtype, np.floating):
        if not ((picture >= 0) & (picture <= 1)).all():
            raise ValueError(
                f"images: {view}: expected floats in [0, 1], got values from {picture.min():g} to {picture.max():g}"
            )
        picture = picture.astype(np.float32) * np.float32(255)
    elif picture.dtype != np.uint8:
        raise ValueError(f"images: {view}: expected uint8 or floats in [0, 1], got {picture.dtype}")
    if picture.shape[2] == 4 and (picture[..., 3] < 255).any():
        return picture.astype(np.float32)
    picture = picture[..., :3]
    return np.ascontiguousarray(picture if picture.dtype == np.uint8 else np.round(picture).astype(np.uint8))


def _stack(masks: Masks, view: str) -> Stack:
    """Masks of one view in one of three forms, from any that `Scene.from_arrays` accepts."""
    if masks is None or isinstance(masks, MaskSet):
        return masks
    array = np.asarray(masks)
    if array.dtype.kind not in "biu" or array.ndim not in (2, 3):
        raise ValueError(
            f"masks: {view}: expected bool [M, H, W] or an id map [H, W] of integers, got {array.dtype} "
            f"{list(array.shape)}"
        )
    if array.ndim == 3:
        return array
    return array[None] if array.dtype == bool else number_ids(array)


def _working_sizes(pictures: Sequence[np.ndarray], stacks: Sequence[Stack], names: Sequence[str]) -> list[PixelSize]:
    """Width and height to work at for each view: one for all pictures of a size, their masks' size if that is smaller.

    Raises:
        ValueError: Masks of another aspect ratio than their picture, or of several sizes for pictures of one size.
    """
    masked: dict[PixelSize, tuple[PixelSize, str]] = {}
    natives = [(picture.shape[1], picture.shape[0]) for picture in pictures]
    for native, stack, view in zip(natives, stacks, names, strict=True):
        if stack is None:
            continue
        height, width = stack.shape[-2:]
        _check_aspect(f"masks: {view}", (height, width), native[::-1])
        size, first = masked.setdefault(native, ((width, height), view))
        if size != (width, height):
            expected, actual = size_text(size[::-1]), size_text((height, width))
            raise ValueError(f"masks: {view}: expected {expected} as for {first}, got {actual}")
    return [working_size(native, masked[native][0] if native in masked else None) for native in natives]


def _check_aspect(item: str, size: tuple[int, ...], picture: tuple[int, ...]) -> None:
    """Raise `ValueError` unless `size` (height, width) has the aspect ratio of a picture."""
    if min(size) < 1 or not same_aspect((size[0], size[1]), (picture[0], picture[1])):
        expected = f"the aspect ratio of the picture ({size_text(picture)})"
        raise ValueError(f"{item}: expected {expected}, got {size_text(size)}")


def _mask_set(stack: Stack, size: PixelSize, view: str) -> MaskSet | None:
    """Masks packed at working size, one after the other; those without a pixel are dropped."""
    if stack is None:
        return None
    if isinstance(stack, MaskSet):
        return resized_mask_set(stack, (size[1], size[0]))
    if isinstance(stack, IdMap):
        return id_map_set(stack, (size[1], size[0]), f"masks: {view}")
    return mask_set_of((mask != 0 for mask in stack), len(stack), (size[1], size[0]))


def _background(background: ArrayLike | None, *, transparent: bool) -> Color | None:
    """The colour behind transparent pixels; None for a capture."""
    if background is None:
        return _WHITE if transparent else None
    values = as_floats("background", background)
    if values.shape != (3,) or not ((values >= 0) & (values <= 1)).all():
        raise ValueError(f"background: expected three numbers in [0, 1], got {np.asarray(background).tolist()}")
    red, green, blue = values.tolist()
    return red, green, blue


def _frame(cameras: Cameras, name: str, *, bounded: bool) -> tuple[Similarity, float, float]:
    """From the user's to the normalised frame; half the edge of the box to model; where rays begin."""
    if bounded:
        return object_similarity(cameras, name), 0.5, OBJECT_NEAR
    similarity = capture_similarity(cameras.c2w, name)
    half_extent = capture_half_extent(similarity, cameras.c2w, aabb_scale=None, position_scale=None)
    return similarity, half_extent, CAPTURE_NEAR
