"""Seen, hidden, seen through: a point before, on and behind a wall."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from ultrafield.cameras import Cameras, Lens
from ultrafield.cameras.projection import pixel_indices, project
from ultrafield.surface.samples import STEEPEST, focal_length
from ultrafield.surface.sight import look

CAMERA = Cameras.pinhole(np.eye(4)[None, :3], [20.0, 20.0, 10.0, 10.0], [20, 20])
TOWARDS = np.array([0.0, 0.0, -1.0])


def sight(point: list[float], *, normal: np.ndarray = TOWARDS, wall: float = 2.0) -> tuple[bool, bool]:
    """Whether the camera sees the point, and whether it sees through it, before a wall at z = 2 (0 for none)."""
    found = look(np.array([point]), normal[None], np.full((20, 20), wall), CAMERA, 0, spacing=0.05)
    return bool(found.sees[0]), bool(found.passes[0])


def test_a_point_on_the_wall_is_seen() -> None:
    assert sight([0.1, 0.1, 2.04]) == (True, False)
    assert sight([0.1, 0.1, 1.96]) == (True, False)


def test_a_point_behind_the_wall_is_hidden() -> None:
    assert sight([0.1, 0.1, 2.3]) == (False, False)


def test_a_point_before_the_wall_or_before_nothing_is_seen_through() -> None:
    assert sight([0.1, 0.1, 1.5]) == (False, True)
    depth = np.zeros((20, 20))
    depth[0, 0] = 2.0
    found = look(np.array([[0.1, 0.1, 1.5]]), TOWARDS[None], depth, CAMERA, 0, 0.05)
    assert (found.sees[0], found.passes[0]) == (False, True)


def test_a_view_that_shows_nothing_is_no_witness() -> None:
    assert sight([0.1, 0.1, 1.5], wall=0.0) == (False, False)


def test_a_surface_turned_away_is_not_seen() -> None:
    assert sight([0.1, 0.1, 2.0], normal=-TOWARDS) == (False, False)
    assert sight([0.1, 0.1, 2.0], normal=np.zeros(3)) == (True, False)


def test_a_slanted_surface_gets_more_room_than_a_facing_one() -> None:
    slanted = np.array([0.9, 0.0, -np.sqrt(1 - 0.81)])
    assert sight([0.0, 0.1, 2.12], normal=slanted) == (True, False)
    assert sight([0.0, 0.1, 2.12]) == (False, False)


def test_outside_the_picture_nothing_is_said() -> None:
    assert sight([5.0, 0.0, 2.0]) == (False, False)
    assert sight([0.0, 0.0, -2.0]) == (False, False)


def slow_look(
    points: np.ndarray, normals: np.ndarray, depth: np.ndarray, cameras: Cameras, voxel: float
) -> tuple[np.ndarray, np.ndarray]:
    """What `look` says, array by array."""
    pixels, z = project(cameras, 0, points)
    cell = pixel_indices(pixels, depth.shape[1], depth.shape[0])
    found = np.where(cell >= 0, depth.ravel()[cell], 0.0)
    to_camera = cameras.c2w[0, :, 3] - points
    length = np.linalg.norm(normals, axis=1) * np.linalg.norm(to_camera, axis=1)
    facing = np.where(length > 0, (normals * to_camera).sum(axis=1) / np.where(length > 0, length, 1.0), 1.0)
    cosine = np.clip(facing, 1.0 / STEEPEST, 1.0)
    tolerance = voxel + np.sqrt(0.5) * z / focal_length(cameras, 0) * np.sqrt(1.0 - cosine**2) / cosine
    sees = (found > 0) & (facing > 0) & (np.abs(z - found) <= tolerance)
    return sees, (cell >= 0) & ((found == 0) | (z < found - 3.0 * tolerance))


@pytest.mark.parametrize("cameras", [CAMERA, replace(CAMERA, lenses=np.array([Lens.OPENCV]))])
@pytest.mark.parametrize("count", [0, 1, 1024, 3001])
def test_random_points_before_a_random_wall(count: int, cameras: Cameras) -> None:
    rng = np.random.default_rng(count)
    points = rng.uniform(-2, 2, (count, 3)) + np.array([0.0, 0.0, 2.0])
    normals = rng.normal(size=(count, 3)) * (rng.random((count, 1)) < 0.9)
    depth = (rng.uniform(1.5, 2.5, (20, 20)) * (rng.random((20, 20)) < 0.8)).astype(np.float32)
    sees, passes = slow_look(points, normals, depth, cameras, 0.05)
    found = look(points, normals, depth, cameras, 0, 0.05)
    np.testing.assert_array_equal(found.sees, sees)
    np.testing.assert_array_equal(found.passes, passes)
    if count > 1:
        assert sees.any()
        assert passes.any()
