"""What a surface promises to compiled loops, and its frames."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from toy_scene import TO_USER, Toy

from ultrafield.cameras import Similarity
from ultrafield.surface import Surface, cameras_of, pack_flags

GOOD: dict[str, Any] = {
    "points": np.zeros((9, 3), np.float32),
    "normals": np.zeros((9, 3), np.float32),
    "colors": np.zeros((9, 3), np.uint8),
    "visible": np.zeros((2, 2), np.uint8),
    "voxel": 0.5,
}


@pytest.mark.parametrize(
    ("name", "value", "error", "message"),
    [
        ("points", np.zeros((9, 3)), TypeError, "points: expected an array of float32, got float64"),
        ("points", [[0.0, 0.0, 0.0]] * 9, TypeError, "points: expected an array of float32, got list"),
        ("points", np.zeros((9, 2), np.float32), ValueError, r"points: expected shape \[\*, 3\], got \[9, 2\]"),
        ("points", np.full((9, 3), np.nan, np.float32), ValueError, "points: expected finite coordinates"),
        ("normals", np.zeros((8, 3), np.float32), ValueError, r"normals: expected shape \[9, 3\], got \[8, 3\]"),
        ("colors", np.zeros((9, 3), np.int64), TypeError, "colors: expected an array of uint8, got int64"),
        ("visible", np.zeros((2, 1), np.uint8), ValueError, r"visible: expected shape \[\*, 2\], got \[2, 1\]"),
        ("visible", np.zeros((2, 9), bool), TypeError, "visible: expected an array of uint8, got bool"),
        ("voxel", 0.0, ValueError, "voxel: expected a positive number, got 0.0"),
    ],
)
def test_what_compiled_loops_rely_on_is_checked(name: str, value: Any, error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=message):
        Surface(**(GOOD | {name: value}))


def test_arrays_that_are_not_contiguous_are_copied() -> None:
    wide = np.arange(54, dtype=np.float32).reshape(9, 6)
    surface = Surface(**(GOOD | {"points": wide[:, ::2]}))
    assert surface.points.flags.c_contiguous
    np.testing.assert_array_equal(surface.points, wide[:, ::2])
    assert Surface(**GOOD).normals is GOOD["normals"]


def test_a_surface_says_in_one_line_what_it_is_and_equals_itself_only(toy_surface: Surface) -> None:
    assert repr(Surface(**GOOD)) == "Surface(9 points, 2 views, 0.5 apart)"
    assert "\n" not in repr(toy_surface)
    assert len(Surface(**GOOD)) == 9
    assert Surface(**GOOD) != Surface(**GOOD)


def test_flags_come_back_from_their_bytes() -> None:
    flags = np.random.default_rng(0).random((3, 21)) < 0.5
    surface = Surface(
        np.zeros((21, 3), np.float32),
        np.zeros((21, 3), np.float32),
        np.zeros((21, 3), np.uint8),
        pack_flags(flags),
        1.0,
    )
    np.testing.assert_array_equal([surface.seen_from(view) for view in range(3)], flags)


def test_the_users_frame_is_one_similarity_away(toy_surface: Surface) -> None:
    assert toy_surface.points_user.dtype == np.float64
    np.testing.assert_allclose(TO_USER.inverse().apply(toy_surface.points_user), toy_surface.points, atol=1e-7)
    assert toy_surface.voxel_user == pytest.approx(2.0 * toy_surface.voxel)
    np.testing.assert_allclose(toy_surface.normals_user[:, 0], -toy_surface.normals[:, 1])


def test_cameras_come_into_the_frame_of_the_surface(toy: Toy, toy_surface: Surface) -> None:
    assert cameras_of(toy_surface, toy.scene) is toy.cameras
    moved = Similarity(0.5, np.diag([1.0, -1.0, -1.0]), np.array([9.0, 8.0, 7.0]))
    points = moved.inverse().apply(toy_surface.points_user).astype(np.float32)
    other = replace(toy_surface, points=points, to_user=moved)
    camera, before = cameras_of(other, toy.scene).c2w[3], toy.cameras.c2w[3]
    np.testing.assert_allclose(
        (points - camera[:, 3]) @ camera[:, :3] * moved.scale,
        (toy_surface.points - before[:, 3]) @ before[:, :3] * TO_USER.scale,
        atol=1e-5,
    )
