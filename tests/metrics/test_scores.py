"""Means and the published form of scores."""

from __future__ import annotations

import json

import numpy as np
import pytest

from ultrafield.metrics import Scores, SegmentationScores, published_scores

NAN = float("nan")


def test_means_leave_out_what_has_no_score() -> None:
    scores = Scores(np.array([[0.2, NAN, 1.0], [0.4, NAN, NAN]]))
    np.testing.assert_allclose(scores.levels, [0.3, NAN, 1.0])
    assert scores.mean == pytest.approx(0.65)


def test_no_score_at_all_is_nan() -> None:
    assert np.isnan(Scores(np.zeros((0, 3))).mean)


def test_mean_is_the_mean_of_the_levels() -> None:
    scores = Scores(np.array([[0.0, 0.5, 1.0], [0.2, 0.7, 0.6]]))
    assert scores.mean == pytest.approx((0.1 + 0.6 + 0.8) / 3)


def test_published_names() -> None:
    result = published_scores(["r_0", "r_1"], Scores(np.array([[0.2, 0.5, 1.0], [0.4, 0.7, NAN]])), "vc")
    assert result["r_1"] == {"vc_scores_0": 0.4, "vc_scores_1": 0.7, "vc_scores_2": None}
    assert list(result) == ["r_0", "r_1", "vc_scores_0", "vc_scores_1", "vc_scores_2", "vc_scores_mean"]
    assert result["vc_scores_0"] == pytest.approx(0.3)
    assert result["vc_scores_mean"] == pytest.approx((0.3 + 0.6 + 1.0) / 3)
    assert json.loads(json.dumps(result, allow_nan=False)) == result


def test_names_must_match_the_views() -> None:
    with pytest.raises(ValueError, match="names: expected 1, one per view, got 2"):
        published_scores(["a", "b"], Scores(np.zeros((1, 3))), "nc")


def test_one_line_says_what_was_scored() -> None:
    scores = Scores(np.array([[0.2, NAN, 1.0], [0.4, NAN, NAN]]))
    assert repr(scores) == "Scores(views=2, parts=0.3, objects=nan, foreground=1)"
    every = SegmentationScores(("a", "b"), scores, scores, None, None)
    assert repr(every) == "SegmentationScores(views=2, nc=0.65, nc_dense=0.65, vc=None, vc_truth=None)"
