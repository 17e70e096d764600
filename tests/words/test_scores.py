"""Scores of hand-made embeddings, whose answers are known."""

from __future__ import annotations

import numpy as np
import pytest

from ultrafield.words.scores import joined, prompts, relevancy, unit

AXES = np.eye(4, dtype=np.float32)  # mug, box, and two canonical phrases


def test_the_word_that_fits_scores_best() -> None:
    things = unit(np.array([[3, 1, 1, 0], [0, 2, 1, 1], [0, 0, 1, 0]], np.float32))
    scores = relevancy(things, AXES[:2], AXES[2:], 10.0)
    assert scores.argmax(axis=1).tolist()[:2] == [0, 1]
    cosine = 3 / np.sqrt(11)
    assert scores[0, 0] == pytest.approx(1 / (1 + np.exp(-10 * (cosine - 1 / np.sqrt(11)))), abs=1e-6)
    assert (scores[2] < 0.5).all()  # fits "object" better than either word
    assert relevancy(things, AXES[2:3], AXES[2:], 10.0)[2, 0] == pytest.approx(0.5)


def test_scores_stay_finite_and_in_range() -> None:
    scores = relevancy(AXES, AXES, AXES[3:], 1e6)
    assert ((scores >= 0) & (scores <= 1)).all()


def test_prompts_of_a_word_are_joined() -> None:
    assert prompts(["mug", "red box"]) == ["mug", "a photo of mug", "red box", "a photo of red box"]
    vectors = joined(AXES)
    half = np.sqrt(0.5)
    np.testing.assert_allclose(vectors, [[half, half, 0, 0], [0, 0, half, half]], atol=1e-6)
    assert unit(np.zeros((1, 3))).tolist() == [[0, 0, 0]]
