"""Small holes and islands against SciPy's labels."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import ndimage

from ultrafield.masks.sam.regions import without_small_regions


def slowly(mask: np.ndarray, least: int) -> np.ndarray:
    """The same piece by piece."""
    mask, square = mask.copy(), np.ones((3, 3))
    pieces, count = ndimage.label(~mask, square)
    for number in range(1, count + 1):
        if (pieces == number).sum() < least:
            mask |= pieces == number
    pieces, count = ndimage.label(mask, square)
    areas = [int((pieces == number).sum()) for number in range(1, count + 1)]
    kept = [number for number, area in enumerate(areas, 1) if area >= least] or [1 + int(np.argmax([*areas, 0]))]
    return np.isin(pieces, kept) & mask


@pytest.mark.parametrize("least", [1, 2, 5, 20, 10_000])
@pytest.mark.parametrize("density", [0.02, 0.3, 0.6, 0.97, 1.0])
def test_small_holes_are_filled_and_small_islands_removed(least: int, density: float) -> None:
    for seed in range(5):
        noise = np.random.default_rng(seed).random((23, 31))
        mask = ndimage.uniform_filter(noise, 2) < np.quantile(ndimage.uniform_filter(noise, 2), density)
        found, changed = without_small_regions(mask, least)
        np.testing.assert_array_equal(found, slowly(mask, least))
        assert changed >= (found != mask).any()


@pytest.mark.parametrize("least", [3, 15, 40, 120, 200, 300])
def test_what_is_around_a_mask_counts_as_one_hole_or_two(least: int) -> None:
    generator = np.random.default_rng(least)
    for _ in range(60):
        mask = np.zeros((16, 20), bool)
        (top, low), (left, right) = np.sort(generator.integers(0, 17, 2)), np.sort(generator.integers(0, 21, 2))
        mask[top:low, left:right] = generator.random((low - top, right - left)) < generator.choice([0.4, 0.8, 1.0])
        if mask.any():
            np.testing.assert_array_equal(without_small_regions(mask, least)[0], slowly(mask, least))


def test_an_empty_mask_stays_empty() -> None:
    assert not without_small_regions(np.zeros((4, 4), bool), 100)[1]


def test_a_mask_without_small_regions_stays_as_it_is() -> None:
    mask = np.zeros((20, 20), bool)
    mask[2:9, 2:9] = True
    found, changed = without_small_regions(mask, 40)
    assert found is mask
    assert not changed


def test_pieces_that_touch_at_a_corner_are_one() -> None:
    mask = np.eye(8, dtype=bool)
    assert without_small_regions(mask, 8)[0].sum() == 8
