"""Seen, hidden, seen through: a point before, on and behind a wall."""

from __future__ import annotations

import numpy as np

from ultrafield.segment.sight import look
from ultrafield.types import Cameras

CAMERA = Cameras.pinhole(np.eye(4)[None, :3], [20.0, 20.0, 10.0, 10.0], [20, 20])
TOWARDS = np.array([0.0, 0.0, -1.0])


def sight(point: list[float], *, normal: np.ndarray = TOWARDS, wall: float = 2.0) -> tuple[bool, bool]:
    """Whether the camera sees the point, and whether it sees through it, before a wall at z = 2 (0 for none)."""
    found = look(np.array([point]), normal[None], np.full((20, 20), wall), CAMERA, 0, voxel=0.05)
    return bool(found.sees[0]), bool(found.passes[0])


def test_a_point_on_the_wall_is_seen() -> None:
    assert sight([0.1, 0.1, 2.04]) == (True, False)
    assert sight([0.1, 0.1, 1.96]) == (True, False)


def test_a_point_behind_the_wall_is_hidden() -> None:
    assert sight([0.1, 0.1, 2.3]) == (False, False)


def test_a_point_before_the_wall_or_before_nothing_is_seen_through() -> None:
    assert sight([0.1, 0.1, 1.5]) == (False, True)
    depth = np.zeros((20, 20))
    depth[0, 0] = 2.0
    found = look(np.array([[0.1, 0.1, 1.5]]), TOWARDS[None], depth, CAMERA, 0, 0.05)
    assert (found.sees[0], found.passes[0]) == (False, True)


def test_a_view_that_shows_nothing_is_no_witness() -> None:
    assert sight([0.1, 0.1, 1.5], wall=0.0) == (False, False)


def test_a_surface_turned_away_is_not_seen() -> None:
    assert sight([0.1, 0.1, 2.0], normal=-TOWARDS) == (False, False)
    assert sight([0.1, 0.1, 2.0], normal=np.zeros(3)) == (True, False)


def test_a_slanted_surface_gets_more_room_than_a_facing_one() -> None:
    slanted = np.array([0.9, 0.0, -np.sqrt(1 - 0.81)])
    assert sight([0.0, 0.1, 2.12], normal=slanted) == (True, False)
    assert sight([0.0, 0.1, 2.12]) == (False, False)


def test_outside_the_picture_nothing_is_said() -> None:
    assert sight([5.0, 0.0, 2.0]) == (False, False)
    assert sight([0.0, 0.0, -2.0]) == (False, False)
