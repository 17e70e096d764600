"""What segment-anything's generator writes for each picture: `NAME.json` with masks as RLE, or as SA-1B has them.

Its other form, folders of pictures with `metadata.csv`, is read like all folders of masks; see `metadata_qualities`.
"""

from __future__ import annotations

import csv
import io
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from ...errors import SceneError, shortened
from ...reading import read_bytes, read_json
from ..sizes import Size
from .coco import annotation_qualities, segmentation_mask
from .listed import Listed
from .values import size_of

METADATA = "metadata.csv"
_COLUMNS = ("predicted_iou", "stability_score")


def is_generated(values: Any) -> bool:
    """Whether the content of a JSON file is that of one picture."""
    if isinstance(values, dict):
        return isinstance(values.get("image"), dict) and isinstance(values.get("annotations"), list)
    return isinstance(values, list) and all(isinstance(item, dict) and "segmentation" in item for item in values)


@dataclass(frozen=True, eq=False)
class Generated(Listed):
    """The masks of one picture in a file of its own; it is read whenever something is asked for."""

    def size(self) -> Size:
        items, size = self._content()
        if size is not None:
            return size
        if not items:
            raise SceneError(f"{self.place}: lists no masks, and does not say how large the picture is")
        first = items[0].get("segmentation")
        given = first.get("size") if isinstance(first, dict) else None
        if not isinstance(given, list) or len(given) != 2:
            raise SceneError(f"{self.place}: mask 0: expected an RLE with its 'size'")
        return size_of({"height": given[0], "width": given[1]}, f"{self.place}: mask 0")

    def read(self) -> tuple[int, Iterator[np.ndarray]]:
        size, (items, _) = self.size(), self._content()
        masks = (segmentation_mask(item, size, f"{self.place}: mask {index}") for index, item in enumerate(items))
        return len(items), masks

    def qualities(self) -> dict[str, np.ndarray]:
        return annotation_qualities(self._content()[0])

    def _content(self) -> tuple[list[Any], Size | None]:
        """The masks of the file, and the picture's size if the file has it."""
        values = read_json(self.place)
        if not is_generated(values):
            raise SceneError(
                f"{self.place}: expected a list of masks with 'segmentation', or 'image' and 'annotations'"
            )
        if isinstance(values, list):
            return values, None
        return values["annotations"], size_of(values["image"], str(self.place))


def metadata_qualities(folder: Path, masks: list[str]) -> dict[str, np.ndarray]:
    """What `metadata.csv` in a folder of masks says of them.

    Args:
        folder: The folder.
        masks: Stems of the masks' files, which are the ids in the table.

    Returns:
        Values of all masks by the names of the columns; without those that are missing or no numbers.
    """
    file = folder / METADATA
    if not file.is_file():
        return {}
    rows = {row.get("id"): row for row in csv.DictReader(io.StringIO(read_bytes(file).decode("utf-8", "replace")))}
    found = {}
    for name in _COLUMNS:
        values = [_number(rows[mask].get(name)) if mask in rows else None for mask in masks]
        numbers = [value for value in values if value is not None]
        if masks and len(numbers) == len(masks):
            found[name] = np.array(numbers, np.float32)
    return found


def _number(text: Any) -> float | None:
    try:
        return float(shortened(text, 40))
    except (TypeError, ValueError):
        return None
