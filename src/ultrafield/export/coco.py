"""Label maps as COCO instances and as COCO panoptic segmentation, a file for each split."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import numpy as np

from ..errors import ConfigError
from ..io import write_image, write_json
from ..parallel import in_threads, workers_for
from .rle import EncodedMask, encode_labels
from .segments import Segments
from .views import ExportViews

_UNNAMED = "segment"
_CODES = 1 << 24  # ids that a panoptic picture can hold
_BYTES_PER_PIXEL = 100

Progress = Callable[[Iterable[Any], int, str], Iterable[Any]]


def write_coco(folder: Path, segments: Segments, views: ExportViews, track: Progress) -> None:
    """Write `SPLIT.json` in COCO's format of instances: compressed RLE, a category for each name.

    Besides what COCO asks for, an annotation has `node` (the segment's lasting id), `level` (the column's name) and
    `parent_id` (the annotation of the same view, one level coarser, that it is part of; null at the coarsest).
    """
    categories = _categories(segments)
    for split in views.split_names:
        chosen = views.of_split(split)
        images: list[dict[str, Any]] = []
        annotations: list[dict[str, Any]] = []
        masks = in_threads(lambda index: _encoded(views, index), chosen, workers=_workers(views))
        for index, per_level in zip(chosen, track(masks, len(chosen), split), strict=True):
            width, height = views.cameras.sizes[index].tolist()
            image = {"id": index + 1, "file_name": views.files[index], "width": width, "height": height}
            images.append(image)
            annotations += _annotations(segments, per_level, image, len(annotations) + 1)
        content = {"info": _info(segments), "images": images, "annotations": annotations}
        write_json(folder / f"{split}.json", content | {"categories": _listed(categories)}, indent=None)


def write_panoptic(folder: Path, segments: Segments, views: ExportViews, track: Progress) -> None:
    """Write COCO panoptic segmentation: `SPLIT_LEVEL.json` and a picture `SPLIT_LEVEL/VIEW.png` for each view.

    A pixel's colour is its segment's lasting id plus one, red lowest (0 is none), and so is `id` in `segments_info`,
    which has `node`, the lasting id itself, and `parent_id`, the `id` of the tree's node around it, besides.

    Raises:
        ConfigError: Ids that the pictures cannot hold.
    """
    if int(segments.ids.max()) + 1 >= _CODES:
        raise ConfigError(f"panoptic pictures hold ids below {_CODES}; the tree has {segments.ids.max()}", setting="to")
    categories = _categories(segments)
    for split in views.split_names:
        chosen = views.of_split(split)
        rows: list[list[dict[str, Any]]] = [[] for _ in segments.levels]

        def write(index: int, split: str = split) -> list[dict[str, Any]]:
            maps = views.labels(index)
            found = []
            for level, labels in zip(segments.levels, maps, strict=True):
                name = f"{split}_{level.column}/{views.names[index]}.png"
                write_image(folder / name, _coded(labels))
                info = _segments_info(segments, encode_labels(labels), categories)
                found.append({"image_id": index + 1, "file_name": f"{views.names[index]}.png", "segments_info": info})
            return found

        written = in_threads(write, chosen, workers=_workers(views))
        for per_level in track(written, len(chosen), split):
            for row, item in zip(rows, per_level, strict=True):
                row.append(item)
        images = [
            {"id": index + 1, "file_name": views.files[index], "width": size[0], "height": size[1]}
            for index in chosen
            for size in [views.cameras.sizes[index].tolist()]
        ]
        for level, row in zip(segments.levels, rows, strict=True):
            content = {"info": _info(segments), "images": images, "annotations": row}
            content |= {"categories": [item | {"isthing": 1, "color": [128, 128, 128]} for item in _listed(categories)]}
            write_json(folder / f"{split}_{level.column}.json", content, indent=None)


def _workers(views: ExportViews) -> int:
    return workers_for(_BYTES_PER_PIXEL * views.cameras.most_pixels)


def _info(segments: Segments) -> dict[str, Any]:
    return {
        "description": "segments of ultrafield; labels.json explains ids and levels",
        "levels": {level.column: level.height for level in segments.levels},
    }


def _categories(segments: Segments) -> dict[str, int]:
    """Category of each name; nodes without one share the first."""
    names = dict.fromkeys([_UNNAMED, *sorted({name for name in segments.names if name})])
    return {name: index for index, name in enumerate(names, start=1)}


def _listed(categories: dict[str, int]) -> list[dict[str, Any]]:
    return [{"id": number, "name": name, "supercategory": ""} for name, number in categories.items()]


def _encoded(views: ExportViews, index: int) -> list[tuple[list[EncodedMask], list[int | None]]]:
    """Masks of a view at every level, and for each the id at the next coarser level that holds most of it."""
    maps = views.labels(index)
    found: list[tuple[list[EncodedMask], list[int | None]]] = []
    for level, labels in enumerate(maps):
        masks = encode_labels(labels)
        around: list[int | None] = [None] * len(masks)
        if level > 0:
            around = _around(labels, maps[level - 1], masks)
        found.append((masks, around))
    return found


def _around(labels: np.ndarray, coarser: np.ndarray, masks: list[EncodedMask]) -> list[int | None]:
    """The id of the coarser map that most pixels of each mask have; None if most have none."""
    inside = labels >= 0
    base = int(coarser.max(initial=-1)) + 2
    pairs, times = np.unique(labels[inside].astype(np.int64) * base + coarser[inside] + 1, return_counts=True)
    best: dict[int, int] = {}
    for place in np.argsort(times, kind="stable"):  # the most frequent comes last
        best[int(pairs[place] // base)] = int(pairs[place] % base) - 1
    return [best[mask.label] if best[mask.label] >= 0 else None for mask in masks]


def _annotations(
    segments: Segments,
    per_level: list[tuple[list[EncodedMask], list[int | None]]],
    image: dict[str, Any],
    first: int,
) -> list[dict[str, Any]]:
    categories = _categories(segments)
    annotations: list[dict[str, Any]] = []
    coarser: dict[int, int] = {}
    for level, (masks, around) in zip(segments.levels, per_level, strict=True):
        here: dict[int, int] = {}
        places = segments.index_of(np.array([mask.label for mask in masks], np.int64))
        for mask, outer, place in zip(masks, around, places.tolist(), strict=True):
            here[mask.label] = first + len(annotations)
            annotations.append(
                {
                    "id": here[mask.label],
                    "image_id": image["id"],
                    "category_id": categories[segments.names[place] or _UNNAMED],
                    "segmentation": {"size": [image["height"], image["width"]], "counts": mask.counts},
                    "area": mask.area,
                    "bbox": list(mask.box),
                    "iscrowd": 0,
                    "node": mask.label,
                    "level": level.column,
                    "parent_id": None if outer is None else coarser.get(outer),
                }
            )
        coarser = here
    return annotations


def _segments_info(segments: Segments, masks: list[EncodedMask], categories: dict[str, int]) -> list[dict[str, Any]]:
    infos = []
    places = segments.index_of(np.array([mask.label for mask in masks], np.int64))
    for mask, place in zip(masks, places.tolist(), strict=True):
        parent = int(segments.parents[place])
        infos.append(
            {
                "id": mask.label + 1,
                "category_id": categories[segments.names[place] or _UNNAMED],
                "area": mask.area,
                "bbox": list(mask.box),
                "iscrowd": 0,
                "node": mask.label,
                "parent_id": None if parent < 0 else int(segments.ids[parent]) + 1,
            }
        )
    return infos


def _coded(labels: np.ndarray) -> np.ndarray:
    """Ids plus one as colours [H, W, 3], red the lowest byte."""
    codes = (labels + 1).astype(np.uint32)
    return np.stack([codes & 255, codes >> 8 & 255, codes >> 16], axis=2).astype(np.uint8)
