"""Nearest-pixel resampling."""

from __future__ import annotations

import numpy as np
import pytest

from ultrafield.cameras.pixels import resize_nearest


@pytest.mark.parametrize("size", [(3, 4), (12, 16), (24, 32), (18, 24), (1, 1)])
def test_resampling_takes_the_pixel_under_the_centre(size: tuple[int, int]) -> None:
    masks = np.random.default_rng(0).random((2, 12, 16)) < 0.5
    resized = resize_nearest(masks, size)
    assert resized.shape == (2, *size)
    for row in range(size[0]):
        for column in range(size[1]):
            source = masks[:, int((row + 0.5) * 12 / size[0]), int((column + 0.5) * 16 / size[1])]
            np.testing.assert_array_equal(resized[:, row, column], source)


def test_labels() -> None:
    index = np.arange(6).reshape(2, 3)
    np.testing.assert_array_equal(resize_nearest(index, (4, 6)), np.repeat(np.repeat(index, 2, 0), 2, 1))
    np.testing.assert_array_equal(resize_nearest(index, (1, 1)), [[4]])  # centre (1, 1.5): the lower middle pixel
    assert resize_nearest(index, (2, 3)) is index
