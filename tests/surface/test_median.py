"""The median of numbers that come in parts."""

from __future__ import annotations

import numpy as np
import pytest

from ultrafield.surface.median import median_of_parts


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("sizes", [(1,), (2,), (0, 3, 1), (1000, 1, 0, 998), (4096, 5001)])
def test_it_is_that_of_all_numbers_together(sizes: tuple[int, ...], dtype: type) -> None:
    rng = np.random.default_rng(sum(sizes))
    parts = [rng.lognormal(0, 3, size).astype(dtype) for size in sizes]
    assert median_of_parts(parts.__getitem__, len(parts)) == float(np.median(np.concatenate(parts)))


def test_the_two_in_the_middle_may_lie_far_apart() -> None:
    parts = [np.array([1e-30, 0.0], np.float32), np.array([3e30, 1e30], np.float32)]
    assert median_of_parts(parts.__getitem__, 2) == float(np.median(np.concatenate(parts)))


def test_equal_numbers_are_no_matter() -> None:
    parts = [np.full(7, 0.25, np.float32), np.full(8, 0.25, np.float32)]
    assert median_of_parts(parts.__getitem__, 2) == 0.25


def test_without_numbers_there_is_none() -> None:
    assert np.isnan(median_of_parts(lambda index: np.zeros(0, np.float32), 2))
    assert np.isnan(median_of_parts(lambda index: np.zeros(0, np.float32), 0))
