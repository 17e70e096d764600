"""The point that cameras look at."""

from __future__ import annotations

import numpy as np
from scipy.spatial.transform import Rotation

from ultrafield.cameras import focus_point


def looking(eyes: np.ndarray, forward: np.ndarray, up: np.ndarray) -> np.ndarray:
    """Poses [N, 3, 4] with OpenCV axes."""
    forward = forward / np.linalg.norm(forward, axis=1, keepdims=True)
    right = np.cross(forward, up)
    right /= np.linalg.norm(right, axis=1, keepdims=True)
    return np.stack([right, np.cross(forward, right), forward, eyes], axis=2)


def test_parallel_cameras_have_a_focus_in_front() -> None:
    eyes = np.array([[0.0, 0, 0], [1, 0, 0], [0, 1, 0], [1, 1, 0]])
    c2w = looking(eyes, np.tile([0.0, 0, 1], (4, 1)), np.array([0.0, 1, 0]))
    np.testing.assert_allclose(focus_point(c2w), [0.5, 0.5, 2 * np.sqrt(0.5)], atol=1e-9)


def test_a_drone_looking_down_focuses_below_itself() -> None:
    """Axes parallel but for a tenth of a degree of wind; the ground lies as far below as the flight is wide."""
    rng = np.random.default_rng(0)
    columns, rows = np.meshgrid(np.arange(6) * 10.0, np.arange(6) * 10.0)
    eyes = np.stack([columns.ravel(), rows.ravel(), np.full(36, 50.0)], axis=1)
    wind = Rotation.from_rotvec(np.deg2rad(0.1) * rng.standard_normal((36, 3))).as_matrix()
    c2w = looking(eyes, wind @ [0.0, 0, -1], np.array([0.0, 1, 0]))
    focus = focus_point(c2w)
    spread = np.linalg.norm(eyes - eyes.mean(axis=0), axis=1).mean()
    np.testing.assert_allclose(focus[:2], [25.0, 25.0], atol=1.0)
    assert spread < 50.0 - focus[2] < 4 * spread


def test_a_single_camera_has_a_focus_in_front() -> None:
    c2w = looking(np.array([[1.0, 2, 3]]), np.array([[0.0, 1, 0]]), np.array([0.0, 0, 1]))
    np.testing.assert_allclose(focus_point(c2w), [1, 4, 3], atol=1e-9)


def test_outward_cameras_focus_on_their_centroid() -> None:
    angles = np.arange(9) * 2 * np.pi / 9
    offsets = np.stack([3 * np.cos(angles), 3 * np.sin(angles), np.full(9, 1.0)], axis=1)
    np.testing.assert_allclose(focus_point(looking(offsets, offsets, np.array([0.0, 0, 1]))), [0, 0, 1], atol=1e-12)
