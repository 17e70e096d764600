"""Holes closed where a solid results."""

from __future__ import annotations

import numpy as np
import pytest
import trimesh

from ultrafield.export.holes import boundary_loops, close_solid


def mesh(vertices: np.ndarray, faces: np.ndarray) -> trimesh.Trimesh:
    return trimesh.Trimesh(vertices, faces, process=False)


@pytest.mark.parametrize("missing", [[0], [0, 7, 100], [0, 1, 2, 3, 4, 5, 6, 7]])
def test_a_ball_with_holes_becomes_whole(missing: list[int]) -> None:
    ball = trimesh.creation.icosphere(2)
    vertices, faces, closed = close_solid(ball.vertices, np.delete(ball.faces, missing, axis=0))
    assert closed
    assert mesh(vertices, faces).is_watertight
    assert mesh(vertices, faces).is_winding_consistent
    assert mesh(vertices, faces).volume == pytest.approx(ball.volume, rel=0.1)


def test_what_is_whole_or_a_sheet_stays() -> None:
    box = trimesh.creation.box()
    vertices, faces, closed = close_solid(np.array(box.vertices), np.array(box.faces))
    assert closed
    assert np.array_equal(faces, box.faces)
    sheet = np.array([[0, 1, 2], [1, 3, 2]])
    corners = np.array([[0.0, 0, 0], [1, 0, 0], [0, 1, 0], [1, 1, 0]])
    vertices, faces, closed = close_solid(corners, sheet)
    assert not closed
    assert np.array_equal(faces, sheet)
    assert np.array_equal(vertices, corners)


def test_loops_that_meet_in_a_vertex_are_two() -> None:
    faces = np.array([[0, 1, 2], [0, 3, 4]])
    assert sorted(sorted(loop.tolist()) for loop in boundary_loops(faces)) == [[0, 1, 2], [0, 3, 4]]
    assert boundary_loops(np.zeros((0, 3), int)) == []
