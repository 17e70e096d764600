"""Depth, features and the orbit."""

from __future__ import annotations

import numpy as np

from ultrafield.cameras import RenderedView
from ultrafield.export.renderings import FeatureColors, color_picture, depth_picture, normal_picture


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


def test_normals_have_the_usual_colours() -> None:
    """Towards the viewer is light blue, to the right reddish, upwards greenish; unknown is black."""
    half = np.sqrt(0.5)
    normals = np.array([[[0, 0, -1], [half, 0, -half]], [[0, -half, -half], [0, 0, 0]]], np.float32)
    picture = normal_picture(normals)
    assert picture.dtype == np.uint8
    assert picture.tolist() == [[[128, 128, 255], [218, 128, 218]], [[128, 218, 218], [0, 0, 0]]]


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
