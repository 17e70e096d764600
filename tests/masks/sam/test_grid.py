"""Points and crops."""

from __future__ import annotations

import numpy as np
import pytest

from ultrafield.masks.sam.grid import Crop, crops, layer_points, point_grid


def test_points_are_centres_of_cells_row_by_row() -> None:
    assert point_grid(1).tolist() == [[0.5, 0.5]]
    assert point_grid(2).tolist() == [[0.25, 0.25], [0.75, 0.25], [0.25, 0.75], [0.75, 0.75]]
    assert point_grid(32).shape == (1024, 2)


@pytest.mark.parametrize(("layer", "factor", "expected"), [(0, 2, 32), (1, 2, 16), (2, 2, 8), (4, 64, 1), (3, 1, 32)])
def test_further_layers_may_get_fewer_points(layer: int, factor: int, expected: int) -> None:
    assert layer_points(32, layer, factor) == expected


def test_crops_of_a_picture_are_those_of_the_published_generator() -> None:
    # A picture of 1500x1000 pixels with two layers, worked out by hand: overlap int(1000 · 512/1500) = 341, then 170.
    found = crops((1000, 1500), 2, 512 / 1500)
    assert found[0] == Crop(0, 0, 1500, 1000, 0)
    wide, high = 921, 671  # ceil((1500 + 341) / 2), ceil((1000 + 341) / 2)
    expected = [
        Crop(x, y, min(x + wide, 1500), min(y + high, 1000), 1) for x in (0, wide - 341) for y in (0, high - 341)
    ]
    assert found[1:5] == expected
    assert len(found) == 1 + 4 + 16
    assert {crop.layer for crop in found[5:]} == {2}
    assert found[6] == Crop(0, 208, 503, 586, 2)  # 503 = ceil((1500 + 3 · 170) / 4), 378 = ceil((1000 + 3 · 170) / 4)


@pytest.mark.parametrize("size", [(1, 1), (3, 2), (97, 401), (480, 640)])
@pytest.mark.parametrize("layers", [0, 1, 3])
def test_the_crops_of_a_layer_cover_the_picture(size: tuple[int, int], layers: int) -> None:
    found = crops(size, layers, 0.3)
    for layer in range(layers + 1):
        covered = np.zeros(size, bool)
        for crop in (crop for crop in found if crop.layer == layer):
            covered[crop.top : crop.bottom, crop.left : crop.right] = True
        assert covered.all()
    assert all(0 <= crop.left <= crop.right <= size[1] and 0 <= crop.top <= crop.bottom <= size[0] for crop in found)
