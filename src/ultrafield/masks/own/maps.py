"""Several files that together are the masks of a view: maps of ids, and pictures of single objects."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import chain
from pathlib import Path

import numpy as np

from ...errors import SceneError
from ...reading import npy_header
from ..files import is_array, masks_in, read_masks_of
from ..id_maps import IdMap, read_id_map
from ..sizes import Size, size_text
from .listed import Listed


@dataclass(frozen=True, eq=False)
class Maps(Listed):
    """Files of one view, in the order of their names.

    Attributes:
        files: At least one.
        single: Whether each is one mask; otherwise each is a map of ids.
    """

    files: tuple[Path, ...]
    single: bool

    def size(self) -> Size:
        return masks_in(self.files[0])[1]

    def read(self) -> tuple[int, Iterator[np.ndarray]]:
        size = self.size()
        for file in self.files:
            found = masks_in(file)[1]
            if found != size:
                raise SceneError(f"{file}: expected {size_text(size)} like {self.files[0]}, found {size_text(found)}")
        parts = [self._of(file) for file in self.files]
        return sum(count for count, _ in parts), chain.from_iterable(masks for _, masks in parts)

    def _of(self, file: Path) -> tuple[int, Iterator[np.ndarray]]:
        count = masks_in(file)[0]
        if self.single or (is_array(file) and len(npy_header(file)[0]) > 2):
            return count, read_masks_of(file)
        return segments(read_id_map(file))


def segments(id_map: IdMap) -> tuple[int, Iterator[np.ndarray]]:
    """The number of an id map's segments, and each of them [H, W] bool."""
    return id_map.count, (id_map.labels == index for index in range(id_map.count))
