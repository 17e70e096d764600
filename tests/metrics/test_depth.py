"""Errors of depth in pixel footprints, against counts by hand."""

from __future__ import annotations

import math

import numpy as np
import pytest

from ultrafield.cameras import Cameras
from ultrafield.metrics import evaluate_depth


def _cameras(count: int, size: int, focal: float) -> Cameras:
    pose, half = np.tile(np.eye(3, 4), (count, 1, 1)), size / 2
    intrinsics = np.tile([focal, focal, half, half], (count, 1))
    return Cameras(pose, intrinsics, np.full((count, 2), size), np.zeros(count, np.int64), np.zeros((count, 8)))


def test_depth_is_counted_in_footprints() -> None:
    exact = np.full((1, 10, 10), 2.0, np.float32)
    exact[0, 0] = 0.0  # background, of whatever depth
    rendered = exact.copy()
    rendered[0, 0] = 7.0
    footprint = 2.0 / 50.0
    rendered[0, 1, :] = 0.0  # transparent
    rendered[0, 2, :] += 1.5 * footprint
    rendered[0, 3, :] -= 3 * footprint
    rendered[0, 4, :4] += 6 * footprint
    scores = evaluate_depth(rendered, exact, _cameras(1, 10, 50.0))
    assert scores.pixels == 90
    assert scores.off == pytest.approx((24 / 90, 14 / 90, 4 / 90))
    assert scores.transparent == pytest.approx(10 / 90)
    assert scores.median == 0.0


def test_the_median_is_positive_behind_the_surface_and_scales_with_the_depth_map() -> None:
    exact = np.full((2, 8, 8), 3.0)
    behind = [np.full((16, 16), 3.0 * (1 + 0.5 / 100))] * 2  # half a footprint of 100 pixels, one of the finer map's
    scores = evaluate_depth(behind, exact, _cameras(2, 8, 50.0))
    assert scores.median == pytest.approx(0.5)
    assert scores.pixels == 512


def test_nothing_shown_and_nothing_there() -> None:
    exact = np.ones((1, 4, 4))
    scores = evaluate_depth(np.zeros((1, 4, 4)), exact, _cameras(1, 4, 10.0))
    assert math.isnan(scores.median)
    assert scores.transparent == 1.0
    assert evaluate_depth(exact, np.zeros((1, 4, 4)), _cameras(1, 4, 10.0)).pixels == 0


def test_numbers_that_do_not_fit_are_refused() -> None:
    with pytest.raises(ValueError, match="depths: got 1 maps, 2 exact ones and 2 cameras"):
        evaluate_depth(np.ones((1, 4, 4)), np.ones((2, 4, 4)), _cameras(2, 4, 10.0))
