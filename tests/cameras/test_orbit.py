"""The orbit."""

from __future__ import annotations

import numpy as np
import pytest

from ultrafield.cameras import Cameras, focus_point
from ultrafield.cameras.orbit import orbit


def ring(azimuths: np.ndarray, *, target: np.ndarray, up: np.ndarray) -> Cameras:
    """Cameras around `target`, looking at it from a little above."""
    side = np.cross(up, [0.3, 0.8, 0.1])
    side /= np.linalg.norm(side)
    ahead = np.cross(up, side)
    poses = []
    for angle in azimuths:
        centre = target + 2.0 * (np.cos(angle) * side + np.sin(angle) * ahead) + 0.7 * up
        forward = (target - centre) / np.linalg.norm(target - centre)
        right = np.cross(forward, up)
        right /= np.linalg.norm(right)
        poses.append(np.stack([right, np.cross(forward, right), forward, centre], axis=1))
    return Cameras.pinhole(np.array(poses), [50.0, 50.0, 20.0, 15.0], [40, 30])


@pytest.mark.parametrize("extent", [2 * np.pi, 1.5])
def test_the_orbit_stays_where_the_cameras_are(extent: float) -> None:
    target, up = np.array([0.3, -0.2, 0.1]), np.array([0.0, 0.6, 0.8])
    cameras = ring(np.arange(12) * extent / 12, target=target, up=up)
    np.testing.assert_allclose(focus_point(cameras.c2w), target, atol=1e-2)  # the prior's pull
    path = orbit(cameras, 30)
    assert len(path) == 30
    centres = path.c2w[:, :, 3]
    np.testing.assert_allclose(np.linalg.norm(centres - target, axis=1), np.hypot(2.0, 0.7), rtol=1e-2)
    for pose in path.c2w:
        np.testing.assert_allclose(pose[:, :3].T @ pose[:, :3], np.eye(3), atol=1e-9)
        assert np.linalg.det(pose[:, :3]) == pytest.approx(1.0)
        forward = (target - pose[:, 3]) / np.linalg.norm(target - pose[:, 3])
        assert forward @ pose[:, 2] > 0.999
        assert pose[:, 1] @ up < 0  # y points down
    distances = np.linalg.norm(centres[:, None] - cameras.c2w[None, :, :, 3], axis=2).min(axis=1)
    assert distances.max() < 0.7  # never far from a place that a photograph was taken from


def test_the_orbit_is_closed_and_turns_fully_around() -> None:
    cameras = ring(np.arange(12) * 2 * np.pi / 12, target=np.zeros(3), up=np.array([0.0, 0.0, 1.0]))
    centres = orbit(cameras, 60).c2w[:, :, 3]
    steps = np.linalg.norm(np.roll(centres, -1, axis=0) - centres, axis=1)
    np.testing.assert_allclose(steps, steps[0], rtol=1e-6)


@pytest.mark.parametrize("turning", [False, True])
def test_the_orbit_of_a_drone_looks_down_at_the_ground(turning: bool) -> None:
    """A grid of parallel cameras 50 above the ground z = 0; every other row may fly the other way."""
    poses = []
    for row in range(4):
        way = -1.0 if turning and row % 2 else 1.0
        for column in range(5):
            axes = np.array([[way, 0, 0], [0, -way, 0], [0, 0, -1.0]])  # right, down in the picture, forward
            poses.append(np.column_stack([axes, [10.0 * column, 10.0 * row, 50.0]]))
    cameras = Cameras.pinhole(np.array(poses), 50.0, [40, 30])
    path = orbit(cameras, 12)
    focus = focus_point(cameras.c2w)
    for camera in path:
        forward = camera.c2w[0, :, 2]
        assert forward[2] < -0.5
        np.testing.assert_allclose(np.cross(forward, focus - camera.c2w[0, :, 3]), 0, atol=1e-9)


@pytest.mark.parametrize("size", [[40, 30], [30, 40]])
def test_an_orbit_around_a_ball_shows_all_of_it_and_little_else(size: list[int]) -> None:
    from ultrafield.cameras import project

    cameras = ring(np.arange(12) * 2 * np.pi / 12, target=np.zeros(3), up=np.array([0.0, 0.0, 1.0]))
    cameras = cameras.resized(np.array(size))
    middle, reach = np.array([0.4, 0.1, 0.0]), 0.3
    path = orbit(cameras, 8, focus=middle, reach=reach)
    directions = np.random.default_rng(0).normal(size=(2000, 3))
    ball = middle + reach * directions / np.linalg.norm(directions, axis=1, keepdims=True)
    for index in range(len(path)):
        pixels, _ = project(path, index, ball)
        assert (pixels > 0).all()
        assert (pixels < np.array(size)).all()
        assert np.ptp(pixels, axis=0).max() > 0.85 * min(size)
