"""Where a picture is asked for masks: a grid of points, and crops that are asked again at a larger scale."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from ..sizes import Size


@dataclass(frozen=True)
class Crop:
    """A rectangle of a picture.

    Attributes:
        left, top, right, bottom: Its edges, pixels; right and bottom are outside.
        layer: 0 for the whole picture, 1 for crops of half its edges, and so on.
    """

    left: int
    top: int
    right: int
    bottom: int
    layer: int = 0

    @property
    def size(self) -> Size:
        """Height and width."""
        return self.bottom - self.top, self.right - self.left

    @property
    def box(self) -> tuple[int, int, int, int]:
        """The edges as (left, top, right, bottom)."""
        return self.left, self.top, self.right, self.bottom


def point_grid(points_per_side: int) -> np.ndarray:
    """Centres of equal cells over the unit square, row by row [N², 2], (x, y) in (0, 1)."""
    centres = (np.arange(points_per_side) + 0.5) / points_per_side
    return np.stack(np.meshgrid(centres, centres), axis=-1).reshape(-1, 2)


def layer_points(points_per_side: int, layer: int, factor: int) -> int:
    """Points along each side of a crop in a layer: `factor` times fewer in each further layer, at least one."""
    return max(1, int(points_per_side / factor**layer))


def crops(size: Size, layers: int, overlap_ratio: float) -> list[Crop]:
    """The whole picture, then the crops of each layer: 2, 4, 8, … along each side, column by column.

    Those that lie outside, as a picture has fewer pixels than crops, are left out.

    Args:
        size: Height and width of the picture.
        layers: Layers of crops.
        overlap_ratio: Overlap of neighbouring crops of the first layer, as a part of the picture's shorter side; it
            halves in each further layer.

    Source: Kirillov et al., "Segment Anything", 2023, appendix B.
    """
    height, width = size
    found = [Crop(0, 0, width, height)]
    for layer in range(1, layers + 1):
        count = 2**layer
        overlap = int(overlap_ratio * min(size) * (2 / count))
        across, down = (_spans(length, count, overlap) for length in (width, height))
        found += [Crop(left, top, right, bottom, layer) for left, right in across for top, bottom in down]
    return found


def _spans(length: int, count: int, overlap: int) -> list[tuple[int, int]]:
    """First and one past the last pixel of `count` overlapping stretches that cover `length` pixels."""
    each = math.ceil((overlap * (count - 1) + length) / count)
    starts = [(each - overlap) * index for index in range(count)]
    return [(start, min(start + each, length)) for start in starts if start < length]
