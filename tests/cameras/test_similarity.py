"""Similarities: dtypes, lists and bad arguments."""

from __future__ import annotations

import numpy as np
import pytest

from ultrafield.cameras import Similarity

TURN = np.array([[0.0, -1.0, 0.0], [1.0, 0.0, 0.0], [0.0, 0.0, 1.0]])
SIMILARITY = Similarity(0.5, TURN, [0.25, 0.0, 0.0])


def test_arrays_may_be_written_to_afterwards() -> None:
    rotation, translation = np.eye(3), np.ones(3)
    similarity = Similarity(2.0, rotation, translation)
    rotation[:], translation[:] = 9, 9
    assert similarity.apply([1.0, 2.0, 3.0]).tolist() == [3.0, 5.0, 7.0]


def test_whole_numbers_are_not_truncated() -> None:
    mapped = SIMILARITY.apply(np.array([[1, 2, 3]]))
    assert mapped.dtype == np.float64
    assert mapped.tolist() == [[-0.75, 0.5, 1.5]]


def test_lists_are_accepted_and_float32_is_kept() -> None:
    assert SIMILARITY.apply([1, 2, 3]).tolist() == [-0.75, 0.5, 1.5]
    assert SIMILARITY.apply(np.ones((2, 3), np.float32)).dtype == np.float32
    assert SIMILARITY.apply(np.ones((2, 3))).dtype == np.float64


def test_the_inverse_undoes() -> None:
    points = np.random.default_rng(0).standard_normal((5, 3))
    np.testing.assert_allclose(SIMILARITY.inverse().apply(SIMILARITY.apply(points)), points, atol=1e-15)


def test_one_line() -> None:
    assert repr(SIMILARITY) == "Similarity(scale 0.5, rotation by 90°, translation (0.25, 0, 0))"


@pytest.mark.parametrize(
    ("arguments", "error"),
    [
        ({"scale": 0.0}, "scale: expected a positive number, got 0"),
        ({"scale": float("nan")}, "scale: expected a positive number, got nan"),
        ({"rotation": np.eye(2)}, r"rotation: expected shape \[3, 3\], got \[2, 2\]"),
        ({"rotation": 2 * np.eye(3)}, "rotation: expected a rotation matrix, got one that is off by 3"),
        ({"rotation": np.diag([1.0, 1, -1])}, "rotation: expected a rotation matrix, got one that is off by inf"),
        ({"translation": [0.0, np.inf, 0.0]}, "translation: expected finite numbers"),
    ],
)
def test_bad_arguments(arguments: dict, error: str) -> None:
    with pytest.raises(ValueError, match=error):
        Similarity(**arguments)
