"""Depth, features and the orbit."""

from __future__ import annotations

import numpy as np
import pytest

from ultrafield.cameras import Cameras, RenderedView
from ultrafield.cameras.orbit import focus_point, orbit
from ultrafield.export.renderings import FeatureColors, color_picture, depth_picture


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
    np.testing.assert_allclose(focus_point(cameras), target, atol=1e-4)
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


def test_parallel_cameras_still_have_a_focus() -> None:
    pose = np.eye(3, 4)
    cameras = Cameras.pinhole(np.stack([pose, pose]), [50.0, 50.0, 20.0, 15.0], [40, 30])
    assert np.isfinite(focus_point(cameras)).all()


def test_depth_is_warm_when_near_and_black_where_nothing_is_seen() -> None:
    depth = np.linspace(1.0, 2.0, 16).reshape(4, 4)
    depth[0, 0], depth[3, 3] = 0.0, np.nan
    picture = depth_picture(depth).astype(int)
    assert (picture[0, 0] == 0).all()
    assert (picture[3, 3] == 0).all()
    assert picture[0, 1, 0] > picture[0, 1, 2]
    assert picture[3, 2, 2] > picture[3, 2, 0]
    assert (depth_picture(np.zeros((2, 2))) == 0).all()


def test_colours_are_rounded_and_clipped() -> None:
    view = RenderedView(np.array([[[-1.0, 0.5, 2.0]]]), np.ones((1, 1)), np.ones((1, 1)))
    assert color_picture(view).tolist() == [[[0, 128, 255]]]


def test_feature_colours_separate_what_differs() -> None:
    rng = np.random.default_rng(0)
    groups = np.repeat([0, 1, 2], 20)
    features = np.eye(8)[groups] + rng.normal(scale=0.01, size=(60, 8))
    colors = FeatureColors.fitted([features[:30], features[30:]])
    seen = np.ones((6, 10), bool)
    picture = colors.picture(features, seen).reshape(60, 3).astype(int)
    means = np.stack([picture[groups == group].mean(axis=0) for group in range(3)])
    assert np.linalg.norm(means[0] - means[1]) > 60
    assert np.linalg.norm(means[1] - means[2]) > 60
    seen[0, 0] = False
    assert (colors.picture(features[1:], seen)[0, 0] == 0).all()


def test_feature_colours_need_no_more_than_one_point() -> None:
    colors = FeatureColors.fitted([np.ones((1, 4))])
    assert colors.picture(np.ones((1, 4)), np.ones((1, 1), bool)).shape == (1, 1, 3)
