"""Warps between views on scenes whose answer is known."""

from __future__ import annotations

import numpy as np
import pytest

from ultrafield.cameras import Cameras
from ultrafield.metrics import correspond
from ultrafield.metrics.correspondence import published_depth

HEIGHT, WIDTH, FOCAL = 12, 16, 20.0
EVERYWHERE = np.ones((HEIGHT, WIDTH), bool)
ROWS, COLUMNS = np.mgrid[:HEIGHT, :WIDTH]


def _camera(centre: tuple[float, float, float] = (0, 0, 0), turn: float = 0.0) -> Cameras:
    """A camera that looks along +z, turned about its own axis by `turn` radians."""
    cos, sin = np.cos(turn), np.sin(turn)
    rotation = np.array([[cos, -sin, 0], [sin, cos, 0], [0, 0, 1]])
    pose = np.concatenate([rotation, np.array(centre, float)[:, None]], axis=1)
    return Cameras.pinhole(pose[None], [FOCAL, FOCAL, WIDTH / 2, HEIGHT / 2], [WIDTH, HEIGHT])


def test_a_view_corresponds_with_itself() -> None:
    rng = np.random.default_rng(0)
    depth = rng.uniform(0.5, 3.0, (HEIGHT, WIDTH))
    found = correspond(depth, EVERYWHERE, EVERYWHERE, _camera(), _camera())
    np.testing.assert_array_equal(found.target, ROWS * WIDTH + COLUMNS)
    assert found.mutual.all()
    assert found.shape == (HEIGHT, WIDTH)


def test_moving_sideways_shifts_a_plane() -> None:
    depth = np.full((HEIGHT, WIDTH), 2.0)
    # The camera moves 3.3 pixels to the right, so the plane moves 3.3 to the left: c + 0.5 - 3.3 lies in pixel c - 3.
    found = correspond(depth, EVERYWHERE, EVERYWHERE, _camera(), _camera((3.3 * 2.0 / FOCAL, 0, 0)))
    expected = np.where(COLUMNS >= 3, ROWS * WIDTH + COLUMNS - 3, -1)
    np.testing.assert_array_equal(found.target, expected)
    np.testing.assert_array_equal(found.seen, COLUMNS >= 3)


def test_the_published_rounding_is_half_a_pixel_off() -> None:
    depth = published_depth(np.full((HEIGHT, WIDTH), 2.0))
    shift = 3.3 * depth[0, 0] / FOCAL
    found = correspond(depth, EVERYWHERE, None, _camera(), _camera((shift, 0, 0)), published=True)
    # c - 3.3 is truncated: pixel c - 4, where the point lies in c - 3; outside the picture, it is moved to the border.
    np.testing.assert_array_equal(found.target % WIDTH, np.maximum(np.trunc(COLUMNS - 3.3), 0))
    assert found.seen.all()


def test_a_half_turn_about_the_axis_flips_the_picture() -> None:
    depth = np.full((HEIGHT, WIDTH), 1.5)
    found = correspond(depth, EVERYWHERE, EVERYWHERE, _camera(), _camera(turn=np.pi))
    np.testing.assert_array_equal(found.target, (ROWS * WIDTH + COLUMNS)[::-1, ::-1])


def test_depth_is_along_the_axis_not_along_the_ray() -> None:
    # A step forward by 0.9 towards a plane at depth 2 enlarges the picture about its centre by 2 / 1.1.
    found = correspond(np.full((HEIGHT, WIDTH), 2.0), EVERYWHERE, EVERYWHERE, _camera(), _camera((0, 0, 0.9)))
    column = np.floor(2 / 1.1 * (COLUMNS + 0.5 - WIDTH / 2) + WIDTH / 2)
    row = np.floor(2 / 1.1 * (ROWS + 0.5 - HEIGHT / 2) + HEIGHT / 2)
    inside = (column >= 0) & (column < WIDTH) & (row >= 0) & (row < HEIGHT)
    np.testing.assert_array_equal(found.target, np.where(inside, row * WIDTH + column, -1))


def test_points_behind_the_other_camera_have_no_target() -> None:
    found = correspond(np.full((HEIGHT, WIDTH), 2.0), EVERYWHERE, EVERYWHERE, _camera(), _camera((0, 0, 5.0)))
    np.testing.assert_array_equal(found.target, -1)
    assert not found.seen.any()


def test_pixels_without_depth_have_no_target() -> None:
    depth = np.where(COLUMNS < 4, 0.0, 2.0)
    found = correspond(depth, EVERYWHERE, EVERYWHERE, _camera(), _camera())
    np.testing.assert_array_equal(found.target == -1, COLUMNS < 4)


def test_visibility_of_either_view() -> None:
    here, there = COLUMNS > 2, ROWS > 5
    found = correspond(np.full((HEIGHT, WIDTH), 2.0), here, there, _camera(), _camera())
    np.testing.assert_array_equal(found.seen, here)
    np.testing.assert_array_equal(found.mutual, here & there)
    found = correspond(np.full((HEIGHT, WIDTH), 2.0), here, None, _camera(), _camera())
    np.testing.assert_array_equal(found.mutual, here)


def test_published_depth_has_256_steps() -> None:
    step = 8 / 2.687419 / 256
    depth = np.linspace(step, 255 * step, 1000)
    coded = published_depth(depth)
    assert np.abs(coded - depth).max() <= step / 2 + 1e-12
    np.testing.assert_allclose(coded / step, np.rint(coded / step), atol=1e-9)
    np.testing.assert_allclose(published_depth(coded), coded, rtol=1e-12)
    np.testing.assert_allclose(published_depth(np.zeros(1)), 256 * step)


def test_sizes_must_agree() -> None:
    depth = np.ones((HEIGHT, WIDTH))
    with pytest.raises(ValueError, match=r"visible: expected shape \[12, 16\], got \[12, 15\]"):
        correspond(depth, EVERYWHERE[:, 1:], None, _camera(), _camera())
    with pytest.raises(ValueError, match=r"visible_other: expected shape \[12, 16\], got \[11, 16\]"):
        correspond(depth, EVERYWHERE, EVERYWHERE[1:], _camera(), _camera())
    with pytest.raises(ValueError, match=r"depth: expected shape \[12, 16\], got \[6, 16\]"):
        correspond(depth[:6], EVERYWHERE[:6], None, _camera(), _camera())
