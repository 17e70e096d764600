"""Label pictures, overlays and rows of pictures."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from ultrafield.export import label_picture, overlay, side_by_side, write_label_picture
from ultrafield.export.pictures import label_borders, scaled_to_height
from ultrafield.reading import read_image

COLORS = np.array([[10, 0, 0], [0, 20, 0], [0, 0, 30]], np.uint8)
LABELS = np.array([[0, 0, 2], [0, -1, 2]])


def test_labels_become_their_colours() -> None:
    picture = label_picture(LABELS, COLORS)
    assert picture[0, 0].tolist() == [10, 0, 0]
    assert picture[1, 2].tolist() == [0, 0, 30]
    assert picture[1, 1].tolist() == [255, 255, 255]
    assert label_picture(LABELS, COLORS, none=(1, 2, 3))[1, 1].tolist() == [1, 2, 3]
    assert (label_picture(np.full((2, 3), -1), COLORS[:0]) == 255).all()
    with pytest.raises(IndexError):
        label_picture(np.full((2, 3), len(COLORS)), COLORS)


def test_none_may_be_transparent(tmp_path: Path) -> None:
    write_label_picture(tmp_path / "a" / "0.500.png", LABELS, COLORS, none=None)
    found = read_image(tmp_path / "a" / "0.500.png")
    assert found[..., 3].tolist() == [[255, 255, 255], [255, 0, 255]]
    np.testing.assert_array_equal(found[LABELS >= 0, :3], COLORS[LABELS[LABELS >= 0]])


def test_an_overlay_mixes_marks_borders_and_leaves_the_rest() -> None:
    labels = np.full((4, 6), 1)
    labels[:, 3:] = 2
    labels[3] = -1
    photo = np.full((4, 6, 3), 100, np.uint8)
    found = overlay(photo, labels, COLORS, opacity=0.5)
    assert found[0, 0].tolist() == [50, 60, 50]
    assert found[0, 5].tolist() == [50, 50, 65]
    assert found[0, 2].tolist() == [20, 20, 20]  # the border lies on its left pixel
    assert found[3, 0].tolist() == [100, 100, 100]
    assert found[2].tolist() == [[20, 20, 20]] * 6
    assert photo.min() == 100


def test_an_overlay_takes_labels_of_another_size() -> None:
    labels = np.array([[0, 1]])
    found = overlay(np.zeros((4, 8, 3), np.uint8), labels, COLORS, opacity=1.0)
    assert found[0, 0].tolist() == [10, 0, 0]
    assert found[3, 7].tolist() == [0, 20, 0]
    assert found[1, 3].tolist() == [20, 20, 20]


def test_borders_are_where_labels_change() -> None:
    assert label_borders(LABELS).tolist() == [[False, True, False], [True, True, False]]
    assert not label_borders(np.zeros((3, 3), int)).any()


def test_pictures_stand_side_by_side() -> None:
    row = side_by_side([np.zeros((10, 4, 3), np.uint8), np.full((20, 30, 3), 9, np.uint8)], gap=2)
    assert row.shape == (10, 4 + 2 + 15, 3)
    assert (row[:, 4:6] == 255).all()
    assert (row[:, 6:] == 9).all()
    with pytest.raises(ValueError, match="pictures: expected at least one"):
        side_by_side([])


def test_enlarging_invents_no_colour() -> None:
    small = label_picture(LABELS, COLORS)
    large = scaled_to_height(small, 10)
    assert large.shape == (10, 15, 3)
    np.testing.assert_array_equal(np.unique(large.reshape(-1, 3), axis=0), np.unique(small.reshape(-1, 3), axis=0))


def test_a_photo_must_have_three_channels() -> None:
    with pytest.raises(ValueError, match=r"photo: expected shape \[\*, \*, 3\], got \[4, 4\]"):
        overlay(np.zeros((4, 4), np.uint8), LABELS, COLORS)
