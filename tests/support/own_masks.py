"""Masks in the forms in which other tools store them."""

from __future__ import annotations

import csv
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from ultrafield.io import write_image

Views = Mapping[str, np.ndarray]  # masks [M, H, W] bool by the names of their pictures, with ending


def example(height: int = 24, width: int = 32) -> dict[str, np.ndarray]:
    """Masks of three pictures: a nested pair, three of which two overlap, one."""
    masks = np.zeros((6, height, width), bool)
    masks[0, 2:20, 3:30] = True
    masks[1, 4:9, 5:12] = True
    masks[2, :, :10] = True
    masks[3, 10:, 5:25] = True
    masks[4, 1:3, 28:31] = True
    masks[5, 5:15, 8:24] = True
    return {"a.png": masks[:2], "b.png": masks[2:5], "c.png": masks[5:]}


def runs(mask: np.ndarray) -> dict[str, Any]:
    """A mask as COCO's lengths of runs."""
    flat = np.concatenate([[False], mask.T.ravel()])
    starts = np.flatnonzero(flat[1:] != flat[:-1])
    counts = np.diff(np.concatenate([[0], starts, [mask.size]])).tolist()
    return {"size": list(mask.shape), "counts": counts}


def records(masks: np.ndarray) -> list[dict[str, Any]]:
    """Masks as segment-anything's generator lists them."""
    return [
        {
            "segmentation": runs(mask),
            "area": int(mask.sum()),
            "predicted_iou": 0.9 + index / 100,
            "stability_score": 0.95 + index / 100,
            "point_coords": [[index + 0.5, 1.5]],
        }
        for index, mask in enumerate(masks)
    ]


def coco(views: Views) -> dict[str, Any]:
    """Masks as COCO's annotations."""
    images, annotations = [], []
    for identity, (name, masks) in enumerate(views.items()):
        height, width = masks.shape[1:]
        images.append({"id": identity, "file_name": name, "height": height, "width": width})
        for record in records(masks):
            annotations.append(record | {"id": len(annotations), "image_id": identity, "category_id": 1})
    return {"images": images, "annotations": annotations, "categories": [{"id": 1, "name": "thing"}]}


def write_json(file: Path, value: Any) -> Path:
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(json.dumps(value))
    return file


def write_panoptic(root: Path, views: Views) -> Path:
    """Masks, later ones above earlier ones, as a panoptic file and its folder."""
    images, annotations = [], []
    for identity, (name, masks) in enumerate(views.items()):
        ids = [70_000 * (index + 1) + 5 for index in range(len(masks))]
        write_image(root / "panoptic" / f"{name[:-4]}.png", colors(layered(masks, ids)))
        images.append({"id": identity, "file_name": name, "height": masks.shape[1], "width": masks.shape[2]})
        segments = [{"id": value, "category_id": 1} for value in ids]
        annotations.append({"image_id": identity, "file_name": f"{name[:-4]}.png", "segments_info": segments})
    return write_json(root / "panoptic.json", {"images": images, "annotations": annotations})


def layered(masks: np.ndarray, ids: list[int]) -> np.ndarray:
    """A map of ids [H, W] int64 in which later masks hide earlier ones."""
    found = np.zeros(masks.shape[1:], np.int64)
    for mask, identity in zip(masks, ids, strict=True):
        found[mask] = identity
    return found


def visible(masks: np.ndarray) -> np.ndarray:
    """What is left of masks in a map in which later ones hide earlier ones [M, H, W] bool."""
    return np.stack([layered(masks, list(range(1, len(masks) + 1))) == index + 1 for index in range(len(masks))])


def colors(ids: np.ndarray) -> np.ndarray:
    """Ids as COCO's colours [H, W, 3] uint8."""
    return np.stack([(ids >> shift) & 255 for shift in (0, 8, 16)], axis=-1).astype(np.uint8)


def write_generated(root: Path, views: Views) -> None:
    """Masks as folders of pictures with `metadata.csv`, as segment-anything's script writes them."""
    for name, masks in views.items():
        folder = root / name[:-4]
        for index, mask in enumerate(masks):
            write_image(folder / f"{index}.png", mask.astype(np.uint8) * 255)
        with (folder / "metadata.csv").open("w", newline="") as file:
            table = csv.writer(file)
            table.writerow(["id", "area", "predicted_iou", "stability_score"])
            for index, record in enumerate(records(masks)):
                table.writerow([index, record["area"], record["predicted_iou"], record["stability_score"]])
