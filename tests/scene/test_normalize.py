"""Similarities from cameras."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.spatial.transform import Rotation

from ultrafield.cameras import Similarity, focus_point
from ultrafield.errors import SceneError
from ultrafield.scene.normalize import (
    capture_half_extent,
    capture_similarity,
    radius_similarity,
    rounded_up,
)


def looking(eyes: np.ndarray, forward: np.ndarray, up: np.ndarray) -> np.ndarray:
    """Poses [N, 3, 4] with OpenCV axes."""
    forward = forward / np.linalg.norm(forward, axis=1, keepdims=True)
    right = np.cross(forward, up)
    right /= np.linalg.norm(right, axis=1, keepdims=True)
    return np.stack([right, np.cross(forward, right), forward, eyes], axis=2)


def ring(target: np.ndarray, up: np.ndarray, count: int = 9) -> np.ndarray:
    """Cameras around `target`, looking at it."""
    sideways = Rotation.align_vectors([up], [[0, 0, 1]])[0].apply
    angles = np.arange(count) * 2 * np.pi / count
    offsets = sideways(np.stack([3 * np.cos(angles), 3 * np.sin(angles), np.full(count, 1.0)], axis=1))
    return looking(target + offsets, -offsets, up)


def test_radius_is_reached_on_average() -> None:
    c2w = np.zeros((2, 3, 4))
    c2w[0, 0, 3], c2w[1, 2, 3] = 2.0, 4.0
    assert radius_similarity(c2w, "file").scale == pytest.approx(0.5)


def test_ring_of_cameras() -> None:
    target, up = np.array([5.0, -2.0, 1.0]), np.array([0.6, 0.0, 0.8])
    c2w = ring(target, up)
    np.testing.assert_allclose(focus_point(c2w), target, atol=1e-2)  # the prior's pull
    similarity = capture_similarity(c2w, "file")
    moved = similarity.apply_poses(c2w)
    assert np.linalg.norm(moved[:, :, 3], axis=1).mean() == pytest.approx(1.0)
    np.testing.assert_allclose(similarity.rotation @ up, [0, 0, 1], atol=1e-12)
    assert np.linalg.det(similarity.rotation) == pytest.approx(1.0)


def test_cameras_at_one_point_are_refused() -> None:
    forward = np.array([[1.0, 0, 0], [0, 1, 0]])
    with pytest.raises(SceneError, match="file: all 2 cameras stand at the same point"):
        capture_similarity(looking(np.full((2, 3), 7.0), forward, np.array([0.0, 0, 1])), "file")


@given(
    angles=st.tuples(*[st.floats(-3, 3)] * 3),
    shift=st.tuples(*[st.floats(-10, 10)] * 3),
    scale=st.floats(0.01, 100),
)
def test_normalised_scene_does_not_depend_on_scale_and_place(
    angles: tuple[float, ...], shift: tuple[float, ...], scale: float
) -> None:
    c2w = ring(np.array([1.0, 2.0, 3.0]), np.array([0.0, 0.0, 1.0]))
    given_frame = Similarity(scale, Rotation.from_euler("xyz", angles).as_matrix(), np.array(shift))
    moved = given_frame.apply_poses(c2w)
    here = capture_similarity(c2w, "file").apply_poses(c2w)
    there = capture_similarity(moved, "file").apply_poses(moved)
    # All but the turn about z, which only the user's frame decides, is the same.
    np.testing.assert_allclose(
        np.linalg.norm(here[:, :2, 3], axis=1), np.linalg.norm(there[:, :2, 3], axis=1), atol=1e-6
    )
    np.testing.assert_allclose(here[:, 2], there[:, 2], atol=1e-6)


@pytest.mark.parametrize(
    ("up", "expected"),
    [((0, 0, 1), np.eye(3)), ((0, 0, -1), np.diag([1.0, -1.0, -1.0]))],
)
def test_extreme_up_directions(up: tuple[int, ...], expected: np.ndarray) -> None:
    c2w = ring(np.zeros(3), np.array([0.0, 0.0, 1.0]))
    c2w[:, :, :2] *= up[2]
    np.testing.assert_allclose(capture_similarity(c2w, "file").rotation, expected, atol=1e-12)


@pytest.mark.parametrize(("value", "expected"), [(0.1, 0.5), (0.5, 0.5), (0.51, 1), (1, 1), (5, 8), (8, 8), (8.1, 16)])
def test_box_edges_are_powers_of_two(value: float, expected: float) -> None:
    assert rounded_up(value) == expected


def test_half_extent_covers_cameras_and_the_listed_box() -> None:
    c2w = ring(np.zeros(3), np.array([0.0, 0, 1]))
    unit = Similarity()
    assert capture_half_extent(unit, c2w, aabb_scale=None, position_scale=None) == 8.0
    assert capture_half_extent(unit, c2w, aabb_scale=1, position_scale=None) == 4.0  # cameras reach 3
    assert capture_half_extent(unit, c2w, aabb_scale=16, position_scale=None) == 32.0  # 8 / 0.33 = 24.2
    assert capture_half_extent(unit, c2w, aabb_scale=16, position_scale=1.0) == 8.0
    assert capture_half_extent(Similarity(10.0), c2w, aabb_scale=None, position_scale=None) == 32.0
