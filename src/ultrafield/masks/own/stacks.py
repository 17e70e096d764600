"""Masks in `.npz` archives: of one view, or of all views by their names.

Of one view (`NAME.npz`): an array [M, H, W] of masks, best called `masks`; or arrays [H, W], each a mask if it holds
flags and a map of ids if it holds whole numbers. Of all views: such an array under each view's name; or `masks`
[V, M, H, W] or id maps `ids` [V, H, W], with the views' `names` [V].
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import chain
from pathlib import Path
from typing import Any

import numpy as np

from ...budget import pixel_fault
from ...errors import SceneError
from ...reading import npz_headers, read_npz
from ..files import inside
from ..id_maps import number_ids
from ..sizes import Size
from .listed import Listed
from .maps import segments

_MASKS, _NAMES = "masks", "names"

Header = tuple[tuple[int, ...], np.dtype[Any]]


def view_stack(file: Path) -> Listed:
    """The masks of a view in an archive of its own.

    Raises:
        SceneError: It holds no masks.
    """
    headers = npz_headers(file)
    chosen = _of_one_view(headers)
    if not chosen:
        raise SceneError(f"{file}: holds no masks; expected an array [M, H, W], or arrays [H, W] of flags or ids")
    return Stack(file, file.stem, chosen, tuple(headers[name] for name in chosen))


def is_view_stack(file: Path) -> bool:
    """Whether an archive holds masks of one view; errors as for `npz_headers`."""
    return bool(_of_one_view(npz_headers(file)))


def all_views(file: Path) -> list[Listed]:
    """The masks of all views in an archive.

    Raises:
        SceneError: It holds none, or names and arrays do not fit each other.
    """
    headers = npz_headers(file)
    if _NAMES in headers:
        return _named(file, headers)
    found = [Stack(file, name, (name,), (header,)) for name, header in headers.items() if _is_masks(header)]
    if not found:
        raise SceneError(f"{file}: holds no masks; expected arrays [M, H, W] or [H, W] under the names of the views")
    return list(found)


@dataclass(frozen=True, eq=False)
class Stack(Listed):
    """Some arrays of an archive, each a stack of masks or a map; `view` picks one of a stack of views."""

    arrays: tuple[str, ...]
    headers: tuple[Header, ...]
    view: int | None = None

    def size(self) -> Size:
        sizes = {shape[-2:] for shape, _ in self.headers}
        if len(sizes) > 1:
            raise SceneError(f"{self.place}: its masks have several sizes: {sorted(sizes)}")
        height, width = sizes.pop()
        fault = "no pixels" if 0 in (height, width) else pixel_fault(width, height)
        if fault is not None:
            raise SceneError(f"{self.place}: {fault}")
        return height, width

    def read(self) -> tuple[int, Iterator[np.ndarray]]:
        arrays = read_npz(self.place, self.arrays, error=SceneError)
        chosen = [arrays[name] if self.view is None else arrays[name][self.view] for name in self.arrays]
        parts = [_masks_of(array, self.place) for array in chosen]
        return sum(count for count, _ in parts), chain.from_iterable(masks for _, masks in parts)


def _masks_of(array: np.ndarray, file: Path) -> tuple[int, Iterator[np.ndarray]]:
    if array.ndim > 2:
        masks = array.reshape(-1, *array.shape[-2:])
        return len(masks), (inside(file, values) for values in masks)
    if array.dtype == bool:
        return 1, iter([array])
    if array.dtype.kind == "f" and not (np.isfinite(array) & (array == np.round(array))).all():
        raise SceneError(f"{file}: expected flags or whole numbers in a map [H, W], found fractions")
    return segments(number_ids(array.astype(np.int64)))


def _is_masks(header: Header) -> bool:
    shape, dtype = header
    return dtype.kind in "buif" and (len(shape) in (2, 3) or (len(shape) == 4 and shape[1] == 1))


def _of_one_view(headers: dict[str, Header]) -> tuple[str, ...]:
    """The arrays that hold a view's masks; none if it is not clear which."""
    if _NAMES in headers:
        return ()
    stacks = [name for name, header in headers.items() if _is_masks(header) and len(header[0]) > 2]
    if _MASKS in headers and _is_masks(headers[_MASKS]):
        return (_MASKS,)
    if stacks:
        return (stacks[0],) if len(stacks) == 1 else ()
    maps = [name for name, header in headers.items() if _is_masks(header) and header[1].kind in "bui"]
    return tuple(maps) if len({headers[name][0] for name in maps}) == 1 else ()


def _named(file: Path, headers: dict[str, Header]) -> list[Listed]:
    names = read_npz(file, (_NAMES,), error=SceneError)[_NAMES]
    if names.ndim != 1 or names.dtype.kind != "U" or len(set(names.tolist())) < len(names):
        raise SceneError(f"{file}: expected 'names' [V] of text, each once, found {names.dtype} {list(names.shape)}")
    views = {
        name: header
        for name, header in headers.items()
        if len(header[0]) in (3, 4) and header[0][0] == len(names) and header[1].kind in "buif"
    }
    if len(views) != 1:
        raise SceneError(f"{file}: expected one array [{len(names)}, M, H, W] or [{len(names)}, H, W] beside 'names'")
    ((name, (shape, dtype)),) = views.items()
    return [Stack(file, str(view), (name,), ((shape[1:], dtype),), index) for index, view in enumerate(names.tolist())]
