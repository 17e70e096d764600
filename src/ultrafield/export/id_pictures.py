"""Label maps as 16-bit pictures with a legend, and masks of one node."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from ..errors import ConfigError
from ..io import write_image, write_json
from ..parallel import in_threads, workers_for
from .coco import Progress
from .segments import Segments
from .views import ExportViews

_CODES = (1 << 16) - 1  # of a 16-bit picture, besides 0 for none
_BYTES_PER_PIXEL = 60


def write_id_pictures(folder: Path, segments: Segments, views: ExportViews, track: Progress) -> None:
    """Write `LEVEL/SPLIT/VIEW.png`, 16 bits: a code for each segment, 0 for none; legend.json translates codes.

    Lasting ids need more than 16 bits, so a segment has a code instead: the same in every view and at every level.

    Raises:
        ConfigError: More segments than 16 bits tell apart.
    """
    shown = np.flatnonzero(segments.member.any(axis=1))
    if len(shown) > _CODES:
        raise ConfigError(
            f"the levels show {len(shown)} segments, and 16 bits tell {_CODES} apart; choose coarser ones, or --to "
            "panoptic",
            setting="level",
        )
    codes = np.zeros(len(segments) + 1, np.uint16)  # the last one stands for none
    codes[shown] = np.arange(1, len(shown) + 1)

    def write(index: int) -> None:
        for level, labels in zip(segments.levels, views.labels(index), strict=True):
            place = folder / level.column / views.splits[index] / f"{views.names[index]}.png"
            write_image(place, codes[segments.index_of(labels)])

    for _ in track(in_threads(write, range(len(views)), workers=_workers(views)), len(views), "pictures"):
        pass
    legend = {str(codes[place]): _entry(segments, int(place)) for place in shown}
    write_json(folder / "legend.json", {"0": None} | legend, indent=1)


def write_node_masks(folder: Path, views: ExportViews, track: Progress) -> None:
    """Write `masks/SPLIT/VIEW.png` of the only node whose pixels have labels: 255 where a view shows it, else 0.

    This is what nerfstudio's `mask_path` names: pixels that are not 0 are trained on.
    """

    def write(index: int) -> None:
        mask = views.labels(index)[-1] >= 0
        place = folder / "masks" / views.splits[index] / f"{views.names[index]}.png"
        write_image(place, np.where(mask, 255, 0).astype(np.uint8))

    for _ in track(in_threads(write, range(len(views)), workers=_workers(views)), len(views), "masks"):
        pass
    files = {
        split: {views.names[index]: f"masks/{split}/{views.names[index]}.png" for index in views.of_split(split)}
        for split in views.split_names
    }
    write_json(folder / "mask_paths.json", files, indent=1)


def _entry(segments: Segments, place: int) -> dict[str, Any]:
    return {
        "id": int(segments.ids[place]),
        "name": segments.names[place],
        "color": segments.colors[place].tolist(),
    }


def _workers(views: ExportViews) -> int:
    return workers_for(_BYTES_PER_PIXEL * views.cameras.most_pixels)
