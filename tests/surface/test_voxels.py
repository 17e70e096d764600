"""Thinning against a dictionary."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ultrafield.cameras import Cameras
from ultrafield.surface import voxels as module
from ultrafield.surface.kernels.patches_cpu import COLUMNS
from ultrafield.surface.kernels.voxels_cpu import place_keys, view_sums
from ultrafield.surface.samples import surface_samples, view_arguments
from ultrafield.surface.shells import spacings
from ultrafield.surface.voxels import coarsen, fuse, thin, voxel_keys


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
    found = thin([rows], voxel)
    np.testing.assert_array_equal(found.table, by_dictionary(rows, voxel))
    assert found.table[:, 10].sum() == count


def test_means_divide_by_the_count() -> None:
    rows = random_rows(1, 50)
    found = thin([rows], 10.0)
    assert len(found) == 8  # one voxel per octant
    first = (rows[:, :3] < 0).all(axis=1)
    np.testing.assert_allclose(found.means(0, 3)[0], rows[first, :3].mean(axis=0))


def test_fuse_is_the_same_however_often_it_merges(monkeypatch: pytest.MonkeyPatch) -> None:
    parts = [random_rows(seed, 200) for seed in range(7)]
    at_once = fuse(parts, 0.2)
    monkeypatch.setattr(module, "_ROWS_BEFORE_MERGE", 100)
    np.testing.assert_array_equal(fuse(parts, 0.2).table, at_once.table)
    np.testing.assert_array_equal(at_once.table, by_dictionary(np.concatenate(parts), 0.2))


def test_coarsen_ends_below_the_limit_and_loses_no_pixel() -> None:
    fine = thin([random_rows(3, 3000)], 0.05)
    coarse = coarsen(fine, 100)
    assert len(coarse) <= 100 < len(fine)
    assert coarse.voxel > fine.voxel
    assert coarse.table[:, 10].sum() == 3000
    assert coarsen(fine, 3000) is fine


def test_nothing_stays_nothing_and_the_infinitely_far_is_dropped() -> None:
    assert len(fuse([], 1.0)) == 0
    rows = random_rows(4, 5)
    rows[0, 0] = 1e9
    assert thin([rows], 0.5).table[:, 10].sum() == 4


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
    np.testing.assert_array_equal(thin([rows], voxel, workers=workers).table, thin([rows], voxel).table)


def slow_keys(points: np.ndarray, voxel: float, inner: float) -> np.ndarray:
    """Keys of points [P, 3], array by array."""
    edges = voxel if np.isinf(inner) else spacings(points, voxel, inner)[:, None]
    cells = np.floor(points / edges) * (edges / voxel)
    within = (np.abs(cells) < 1 << 20).all(axis=1)
    x, y, z = (np.where(within[:, None], cells, 0).astype(np.int64) + (1 << 20)).T
    return np.where(within, (x << 42) | (y << 21) | z, -1)


@pytest.mark.parametrize("inner", [np.inf, 0.3, 1e-3])
@pytest.mark.parametrize("voxel", [0.01, 1e-6])
def test_keys_are_those_of_whole_arrays(voxel: float, inner: float) -> None:
    rows = random_rows(5, 2000)
    rows[:, 10] = np.random.default_rng(5).integers(1, 9, 2000)
    rows[:3, 0] = np.nan, np.inf, -np.inf
    with np.errstate(invalid="ignore"):
        expected = slow_keys(rows[3:, :3] / rows[3:, 10:], voxel, inner)
    np.testing.assert_array_equal(voxel_keys(rows, voxel, inner), [-1, -1, -1, *expected])
    assert (expected >= 0).any()


@pytest.mark.parametrize(("voxel", "inner"), [(0.02, np.inf), (0.01, 0.3)])
def test_the_sums_of_a_view_are_those_of_its_samples(voxel: float, inner: float) -> None:
    cameras = Cameras.pinhole(np.eye(3, 4)[None], [60.0, 60.0, 45.0, 30.0], [90, 60])
    rng = np.random.default_rng(2)
    depth = (1.0 + 0.1 * np.sin(np.arange(90) / 9) + 1e-3 * rng.random((60, 90))).astype(np.float32)
    depth[20:30, 20:60] = 0.0
    color = rng.integers(0, 256, (60, 90, 3), np.uint8)
    sums = view_sums(*view_arguments(depth, color, cameras, 0), voxel, inner)
    expected = thin([surface_samples(depth, color, cameras, 0)], voxel, inner).table
    assert 1024 < len(sums) < 4000  # the tables have grown
    np.testing.assert_array_equal(sums[np.argsort(voxel_keys(sums, voxel, inner))], expected)


@pytest.mark.parametrize("inner", [np.inf, 0.3])
def test_keys_of_places_are_those_of_whole_arrays(inner: float) -> None:
    places = np.random.default_rng(3).uniform(-2.0, 2.0, (5000, 3)).astype(np.float32)
    keys = np.empty(len(places), np.int64)
    place_keys(places, 0.01, inner, keys)
    np.testing.assert_array_equal(keys, slow_keys(places, 0.01, inner))
