"""COCO's files of annotations: instances as RLE or polygons, and panoptic maps of ids.

In a panoptic map, a picture of 8 bits, the id of a pixel is red + 256 · green + 65536 · blue. It lies in the folder
that is called like the file (`panoptic_val.json`, `panoptic_val/`), or beside the file.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from ...errors import SceneError
from ...reading import picture_size, read_image
from ..sizes import Size
from .listed import Listed
from .polygons import polygon_mask
from .rle import rle_mask
from .values import name_of, shown, size_of, unique


def is_coco(values: Any) -> bool:
    """Whether the content of a JSON file lists pictures and annotations."""
    return isinstance(values, dict) and all(isinstance(values.get(key), list) for key in ("images", "annotations"))


def coco_pictures(file: Path, values: dict[str, Any]) -> list[Listed]:
    """The pictures of a file of annotations in its order, those without any included.

    Args:
        file: The file.
        values: Its content, for which `is_coco` holds.

    Raises:
        SceneError: Pictures or annotations without what they must have, with the same ids, or of unknown pictures.
    """
    pictures = unique(values["images"], "id", str(file), "picture")
    names = {
        identity: name_of(picture, "file_name", f"{file}: picture {identity}") for identity, picture in pictures.items()
    }
    if any(isinstance(item, dict) and "segments_info" in item for item in values["annotations"]):
        return _panoptic(file, values["annotations"], pictures, names)
    unique(
        [item for item in values["annotations"] if isinstance(item, dict) and "id" in item],
        "id",
        str(file),
        "annotation",
    )
    annotations: dict[Any, list[tuple[int, Any]]] = {identity: [] for identity in pictures}
    for index, item in enumerate(values["annotations"]):
        annotations[_picture_of(item, pictures, f"{file}: annotation {index}")].append((index, item))
    return [
        _Instances(file, names[identity], size_of(picture, f"{file}: picture {identity}"), tuple(annotations[identity]))
        for identity, picture in pictures.items()
    ]


@dataclass(frozen=True, eq=False)
class _Instances(Listed):
    """Annotations of one picture with their numbers in the file."""

    shape: Size
    annotations: tuple[tuple[int, Any], ...]

    def size(self) -> Size:
        return self.shape

    def read(self) -> tuple[int, Iterator[np.ndarray]]:
        where = f"{self.place}: annotation"
        masks = (
            segmentation_mask(item, self.shape, f"{where} {index} ({self.item})") for index, item in self.annotations
        )
        return len(self.annotations), masks

    def qualities(self) -> dict[str, np.ndarray]:
        return annotation_qualities([item for _, item in self.annotations])


@dataclass(frozen=True, eq=False)
class _Panoptic(Listed):
    """A panoptic map and the ids that count."""

    file: Path
    ids: tuple[int, ...]

    def size(self) -> Size:
        width, height = picture_size(self.file)
        return height, width

    def read(self) -> tuple[int, Iterator[np.ndarray]]:
        return len(self.ids), self._masks()

    def _masks(self) -> Iterator[np.ndarray]:
        picture = read_image(self.file)
        if picture.dtype != np.uint8:
            raise SceneError(f"{self.file}: expected a panoptic map of 8 bits, found {picture.dtype}")
        if picture.ndim == 3:
            picture = picture[..., :3].astype(np.int32) @ np.array([1, 1 << 8, 1 << 16], np.int32)
        if self.ids and not np.isin(picture, self.ids).any():
            raise SceneError(f"{self.file}: no pixel has one of the {len(self.ids)} ids that {self.place} lists")
        yield from (picture == identity for identity in self.ids)


def segmentation_mask(item: Any, size: Size, where: str) -> np.ndarray:
    """The mask [H, W] bool of an annotation with a `segmentation`; `SceneError` if there is none of this size."""
    value = item.get("segmentation") if isinstance(item, dict) else None
    try:
        return rle_mask(value, size) if isinstance(value, dict) else polygon_mask(value, size)
    except ValueError as failure:
        raise SceneError(f"{where}: {failure}") from None


def annotation_qualities(items: list[Any]) -> dict[str, np.ndarray]:
    """What annotations say of their masks, as segment-anything writes it; only what all of them say."""
    found: dict[str, np.ndarray] = {}
    for name in ("predicted_iou", "stability_score"):
        values = [item.get(name) for item in items]
        if items and all(isinstance(value, int | float) for value in values):
            found[name] = np.array(values, np.float32)
    points = [item.get("point_coords") for item in items]
    if items and all(_is_point(point) for point in points):
        found["point_coords"] = np.array([point[0] for point in points], np.float32)
    return found


def _is_point(value: Any) -> bool:
    first = value[0] if isinstance(value, list) and value else None
    return isinstance(first, list) and len(first) == 2 and all(isinstance(number, int | float) for number in first)


def _picture_of(item: Any, pictures: dict[Any, Any], where: str) -> Any:
    identity = item.get("image_id") if isinstance(item, dict) else None
    if type(identity) not in (int, str) or identity not in pictures:
        raise SceneError(f"{where}: expected the 'image_id' of a picture that the file lists, got {shown(identity)}")
    return identity


def _panoptic(file: Path, annotations: list[Any], pictures: dict[Any, Any], names: dict[Any, str]) -> list[Listed]:
    folder = file.with_suffix("") if file.with_suffix("").is_dir() else file.parent
    found: list[Listed] = []
    seen: set[Any] = set()
    for index, item in enumerate(annotations):
        where = f"{file}: annotation {index}"
        identity = _picture_of(item, pictures, where)
        if identity in seen:
            raise SceneError(f"{where}: another annotation is of the same picture {names[identity]}")
        seen.add(identity)
        segments = item.get("segments_info")
        if not isinstance(segments, list):
            raise SceneError(f"{where}: expected a list 'segments_info', got {shown(segments)}")
        ids = unique(segments, "id", where, "segment")
        if not all(type(number) is int and 0 < number < 1 << 24 for number in ids):
            raise SceneError(f"{where}: expected ids of segments from 1 to {(1 << 24) - 1}")
        picture = folder / name_of(item, "file_name", where)
        found.append(_Panoptic(file, names[identity], picture, tuple(ids)))
    return found
