"""Which pixels of a depth map lie on a surface, and how that surface is turned."""

from __future__ import annotations

import numpy as np
import pytest
from slow_samples import slow_normal_map, slow_samples

from ultrafield.cameras import Cameras, Lens
from ultrafield.cameras.projection import back_project
from ultrafield.surface.kernels.patches_cpu import COLUMNS, patch_rows
from ultrafield.surface.samples import focal_length, normal_map, surface_samples, view_arguments

POSE = np.array([[0.0, 0.6, -0.8, 1.0], [-1.0, 0.0, 0.0, -2.0], [0.0, 0.8, 0.6, 0.5]])
WIDTH, HEIGHT, FOCAL = 20, 12, 40.0


def camera() -> Cameras:
    return Cameras.pinhole(POSE[None], [FOCAL, FOCAL, WIDTH / 2, HEIGHT / 2], [WIDTH, HEIGHT])


def plane(normal: np.ndarray, distance: float) -> np.ndarray:
    """z-depth [H, W] of the plane n · x = −distance in camera axes, n facing the camera."""
    columns, rows = np.meshgrid(np.arange(WIDTH) + 0.5, np.arange(HEIGHT) + 0.5)
    rays = np.stack([(columns - WIDTH / 2) / FOCAL, (rows - HEIGHT / 2) / FOCAL, np.ones((HEIGHT, WIDTH))], -1)
    return -distance / (rays @ normal)


def samples(depth: np.ndarray) -> np.ndarray:
    color = np.arange(depth.size * 3).reshape(*depth.shape, 3) % 256
    return surface_samples(depth, color, camera(), 0)


@pytest.mark.parametrize("degrees", [0.0, 40.0, 62.0])
def test_a_plane_has_its_own_normal_at_every_pixel(degrees: float) -> None:
    angle = np.deg2rad(degrees)
    normal = np.array([np.sin(angle), 0.0, -np.cos(angle)])
    depth = plane(normal, 2.0)
    rows = samples(depth)
    inner = (rows[:, 10] == 1).sum()
    assert inner == WIDTH * HEIGHT if degrees < 60 else inner >= (WIDTH - 3) * HEIGHT
    np.testing.assert_allclose(rows[:, 3:6], np.broadcast_to(POSE[:, :3] @ normal, (len(rows), 3)), atol=1e-9)


def test_rows_hold_position_colour_and_footprint() -> None:
    depth = np.full((HEIGHT, WIDTH), 3.0)
    rows = samples(depth)
    np.testing.assert_allclose(rows[:, :3], back_project(camera(), 0, depth).reshape(-1, 3), atol=1e-6)
    assert rows[:, 6:9].astype(int).ravel().tolist() == [value % 256 for value in range(depth.size * 3)]
    np.testing.assert_allclose(rows[:, 9], 3.0 / FOCAL)
    assert focal_length(camera(), 0) == FOCAL


def test_both_sides_of_a_sharp_step_stay() -> None:
    depth = np.full((HEIGHT, WIDTH), 2.0)
    depth[:, WIDTH // 2 :] = 4.0
    rows = samples(depth)
    assert len(rows) == depth.size
    np.testing.assert_allclose(rows[:, 3:6], np.broadcast_to(-POSE[:, 2], (len(rows), 3)), atol=1e-9)


@pytest.mark.parametrize("between", [[2.9], [2.4, 3.5], [2.15, 2.45, 3.2]])
def test_what_lies_between_two_surfaces_goes(between: list[float]) -> None:
    depth = np.full((HEIGHT, WIDTH), 2.0)
    depth[:, 10:] = 4.0
    depth[:, 10 - len(between) : 10] = between
    kept = samples(depth)
    z = (kept[:, :3] - POSE[:, 3]) @ POSE[:, 2]
    assert set(z.round(6)) == {2.0, 4.0}
    assert len(kept) == depth.size - HEIGHT * len(between)


def test_lone_and_empty_pixels_are_no_surface() -> None:
    depth = np.zeros((HEIGHT, WIDTH))
    assert samples(depth).shape == (0, 11)
    depth[5, 5] = 2.0
    assert len(samples(depth)) == 0
    depth[5:7, 5:7] = 2.0
    assert len(samples(depth)) == 4


def rough(seed: int, width: int, height: int) -> np.ndarray:
    """z-depth [H, W] of a slope with holes, jumps and noise, some of it steep."""
    rng = np.random.default_rng(seed)
    depth = 2.0 + 0.04 * np.arange(width) + rng.choice([0.0, 0.1, 0.2], (height, 1)) * np.arange(height)[:, None]
    depth += 0.05 * rng.normal(size=depth.shape) * (rng.random(depth.shape) < 0.4)
    depth[rng.random(depth.shape) < 0.1] = 0.0
    return depth


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("lens", [Lens.PINHOLE, Lens.OPENCV])
@pytest.mark.parametrize(("width", "height"), [(1, 1), (1, 7), (7, 1), (2, 2), (37, 23)])
def test_samples_and_normals_are_those_of_whole_arrays(width: int, height: int, lens: Lens, dtype: type) -> None:
    intrinsics = np.array([[FOCAL, 1.1 * FOCAL, width / 2, height / 2 + 0.3]])
    distortion = np.array([[-0.1, 0.02, 0.001, 0.0, 0.0, 0.0, 0.0, 0.0]]) * (lens != Lens.PINHOLE)
    cameras = Cameras(POSE[None], intrinsics, np.array([[width, height]]), np.array([lens]), distortion)
    for seed in range(5):
        depth = rough(seed, width, height).astype(dtype)
        color = np.random.default_rng(seed).integers(0, 256, (height, width, 3), np.uint8)
        rows = surface_samples(depth, color, cameras, 0)
        np.testing.assert_array_equal(rows, slow_samples(depth, color, cameras, 0))
        np.testing.assert_array_equal(normal_map(depth, cameras, 0), slow_normal_map(depth, cameras, 0))
    assert 100 < len(rows) < depth.size or depth.size < 100


@pytest.mark.parametrize("rows", [1, 3, 5])
def test_bands_of_rows_give_what_the_whole_map_gives(rows: int) -> None:
    depth = rough(0, WIDTH, HEIGHT)
    view = view_arguments(depth, np.zeros((*depth.shape, 3), np.uint8), camera(), 0)
    whole, parts = samples(depth), []
    for first in range(0, HEIGHT, rows):
        band, places = np.full((rows * WIDTH, COLUMNS), np.nan), np.empty(rows * WIDTH, np.int64)
        count = patch_rows(*view, False, first, min(HEIGHT, first + rows), band, places)
        assert (depth.ravel()[places[:count]] > 0).all()
        parts.append(band[:count])
    assert 50 < len(whole) < depth.size
    np.testing.assert_array_equal(np.concatenate(parts)[:, :6], whole[:, :6])


@pytest.mark.parametrize("rows_at_once", [None, 3])
def test_a_normal_map_has_the_normals_of_the_samples(rows_at_once: int | None, monkeypatch: pytest.MonkeyPatch) -> None:
    """In the camera's axes, towards it; nothing where the depth map is empty or jumps."""
    from ultrafield.surface import samples as module

    if rows_at_once is not None:
        monkeypatch.setattr(module, "_AT_ONCE", rows_at_once * WIDTH)
    angle = np.deg2rad(40.0)
    normal = np.array([0.0, -np.sin(angle), -np.cos(angle)])  # a floor that rises away from the camera
    depth = plane(normal, 2.0)
    depth[:, :4] = 0.0
    found = normal_map(depth, camera(), 0)
    assert (found.shape, found.dtype) == ((HEIGHT, WIDTH, 3), np.float32)
    np.testing.assert_allclose(found[:, 4:], np.broadcast_to(normal, (HEIGHT, WIDTH - 4, 3)), atol=1e-6)
    assert (found[:, :4] == 0).all()
    known = (found != 0).any(axis=2)
    np.testing.assert_allclose(samples(depth)[:, 3:6], found[known] @ POSE[:, :3].T, atol=1e-6)


def test_a_normal_map_has_few_gaps() -> None:
    """A slope with a noisy pixel that no surface point is made of; only a lone pixel is unknown."""
    depth = plane(np.array([0.0, -np.sin(1.0), -np.cos(1.0)]), 2.0)
    depth[6, 8] += 3.0 * depth[6, 8] / FOCAL
    known = (normal_map(depth, camera(), 0) != 0).any(axis=2)
    assert known.all()
    assert len(samples(depth)) < depth.size
    depth[:] = 0.0
    depth[5, 5] = 2.0
    assert not normal_map(depth, camera(), 0).any()
