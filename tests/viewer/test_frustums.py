"""Cameras in the scene: what is drawn of them, and which one a ray meets."""

from __future__ import annotations

import numpy as np
import pytest

from ultrafield.cameras import Cameras
from ultrafield.viewer.frustums import Frustums


def ring(count: int = 8) -> Cameras:
    """Cameras around the origin that look at it."""
    angles = 2 * np.pi * np.arange(count) / count
    forward = -np.stack([np.cos(angles), np.sin(angles), np.zeros(count)], axis=1)
    down = np.tile([0.0, 0.0, -1.0], (count, 1))
    turn = np.stack([np.cross(down, forward), down, forward], axis=2)
    poses = np.concatenate([turn, -2.0 * forward[:, :, None]], axis=2)
    intrinsics = np.tile([50.0, 60.0, 30.0, 20.0], (count, 1))
    return Cameras(poses, intrinsics, np.tile([80, 40], (count, 1)), np.zeros(count, np.int64), np.zeros((count, 8)))


def test_the_corners_are_those_of_the_pictures() -> None:
    cameras = ring()
    frustums = Frustums(cameras, np.ones(8, bool))
    assert len(frustums) == 8
    lines = frustums.edges.reshape(8, 8, 2, 3).astype(np.float64)
    for index in range(8):
        assert np.abs(lines[index, :4, 0] - cameras.c2w[index, :, 3]).max() < 1e-6
        seen = (lines[index, :4, 1] - cameras.c2w[index, :, 3]) @ cameras.c2w[index, :, :3]
        fx, fy, cx, cy = cameras.intrinsics[index]
        pixels = np.stack([fx * seen[:, 0] / seen[:, 2] + cx, fy * seen[:, 1] / seen[:, 2] + cy], axis=1)
        assert np.abs(pixels - [[0, 0], [80, 0], [80, 40], [0, 40]]).max() < 1e-3
        assert np.ptp(seen[:, 2]) < 1e-6


def test_a_ray_meets_the_nearest_camera_that_is_not_looked_through() -> None:
    cameras = ring()
    frustums = Frustums(cameras, np.ones(8, bool))
    index, away = frustums.met(np.array([5.0, 0, 0]), np.array([-3.0, 0, 0]))
    assert index == 0
    assert away == pytest.approx(5 - 2 + 0.06, abs=0.02)
    index, away = frustums.met(cameras.c2w[0, :, 3], cameras.c2w[0, :, 2])  # through the first one's own eye
    assert index == 4
    assert frustums.met(np.array([5.0, 0, 0]), np.array([1.0, 0, 0])) == (-1, float("inf"))
    assert frustums.met(np.array([5.0, 0, 1.0]), np.array([-1.0, 0, 0])) == (-1, float("inf"))


def test_the_chosen_camera_stands_out_and_held_out_ones_differ() -> None:
    frustums = Frustums(ring(), np.arange(8) < 5)
    colors = frustums.colors(2).reshape(8, 8, 2, 3)
    assert (colors == colors[:, :1, :1]).all()
    each = colors[:, 0, 0]
    assert (each[:5] == each[0]).all(axis=1).tolist() == [True, True, False, True, True]
    assert (each[5:] == each[5]).all()
    assert (each[5] != each[0]).any()
    assert np.array_equal(frustums.colors(-1).reshape(8, -1)[2], frustums.colors(0).reshape(8, -1)[2])


def test_no_cameras() -> None:
    nothing = Frustums(None, np.zeros(0, bool))
    assert len(nothing) == 0
    assert nothing.edges.shape == (0, 2, 3)
    assert nothing.colors(-1).shape == (0, 2, 3)
    assert nothing.met(np.zeros(3), np.ones(3)) == (-1, float("inf"))
