"""Thinning against a dictionary."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ultrafield.surface import voxels as module
from ultrafield.surface.voxels import COLUMNS, coarsen, fuse, thin


def random_rows(seed: int, count: int) -> np.ndarray:
    rng = np.random.default_rng(seed)
    rows = rng.uniform(-1.0, 1.0, (count, COLUMNS))
    rows[:, 10] = 1.0
    return rows


def by_dictionary(rows: np.ndarray, voxel: float) -> np.ndarray:
    cells: dict[tuple[int, ...], np.ndarray] = {}
    for row in rows:
        cell = tuple(np.floor(row[:3] / row[10] / voxel).astype(int))
        cells[cell] = cells.get(cell, 0) + row
    return np.array([cells[cell] for cell in sorted(cells)])


@settings(deadline=None)
@given(st.integers(0, 1000), st.integers(1, 60), st.sampled_from([0.1, 0.37, 5.0]))
def test_thin_sums_each_voxel(seed: int, count: int, voxel: float) -> None:
    rows = random_rows(seed, count)
    found = thin(rows, voxel)
    np.testing.assert_allclose(found.table, by_dictionary(rows, voxel), rtol=1e-12, atol=1e-12)
    assert found.table[:, 10].sum() == count


def test_means_divide_by_the_count() -> None:
    rows = random_rows(1, 50)
    found = thin(rows, 10.0)
    assert len(found) == 8  # one voxel per octant
    first = (rows[:, :3] < 0).all(axis=1)
    np.testing.assert_allclose(found.means(0, 3)[0], rows[first, :3].mean(axis=0))


def test_fuse_is_the_same_however_often_it_merges(monkeypatch: pytest.MonkeyPatch) -> None:
    parts = [random_rows(seed, 200) for seed in range(7)]
    at_once = fuse(parts, 0.2)
    monkeypatch.setattr(module, "_ROWS_BEFORE_MERGE", 100)
    np.testing.assert_allclose(fuse(parts, 0.2).table, at_once.table, rtol=1e-12)
    np.testing.assert_allclose(at_once.table, by_dictionary(np.concatenate(parts), 0.2), rtol=1e-12, atol=1e-12)


def test_coarsen_ends_below_the_limit_and_loses_no_pixel() -> None:
    fine = thin(random_rows(3, 3000), 0.05)
    coarse = coarsen(fine, 100)
    assert len(coarse) <= 100 < len(fine)
    assert coarse.voxel > fine.voxel
    assert coarse.table[:, 10].sum() == 3000
    assert coarsen(fine, 3000) is fine


def test_nothing_stays_nothing_and_the_infinitely_far_is_dropped() -> None:
    assert len(fuse([], 1.0)) == 0
    rows = random_rows(4, 5)
    rows[0, 0] = 1e9
    assert thin(rows, 0.5).table[:, 10].sum() == 4


def test_many_pixels_are_fused_in_larger_voxels_and_none_is_lost(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "_ROWS_BEFORE_MERGE", 500)
    generator = np.random.default_rng(0)
    parts = [np.concatenate([generator.random((400, 10)), np.ones((400, 1))], axis=1) for _ in range(6)]
    sums = fuse(iter(parts), 1e-3, most=100)
    assert len(sums) <= 100
    assert sums.voxel > 1e-3
    np.testing.assert_allclose(sums.table.sum(axis=0), np.concatenate(parts).sum(axis=0))


@settings(deadline=None)
@given(st.integers(0, 1000), st.integers(0, 80), st.integers(2, 5), st.sampled_from([0.3, 1e-7, 5.0]))
def test_threads_change_no_bit(seed: int, count: int, workers: int, voxel: float) -> None:
    rows = random_rows(seed, count)  # most of them out of reach of the smallest voxels
    np.testing.assert_array_equal(thin(rows, voxel, workers=workers).table, thin(rows, voxel).table)
