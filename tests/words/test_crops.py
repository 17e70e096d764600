"""Pieces of pictures."""

from __future__ import annotations

import numpy as np

from ultrafield.words.crops import crop

PICTURE = np.random.default_rng(0).integers(0, 256, (60, 80, 3), dtype=np.uint8)


def test_a_piece_is_square_with_a_margin_and_grey_around_what_is_meant() -> None:
    mask = np.zeros((60, 80), bool)
    mask[20:40, 30:40] = True
    mask[20, 30] = False
    piece = crop(PICTURE, mask)
    assert piece.shape == (26, 26, 3)  # 20 and a margin of 3 on each side
    meant = PICTURE[20:40, 30:40]
    shown = piece[3:23, 8:18]
    np.testing.assert_array_equal(shown[1:], meant[1:])
    rest = np.ones((26, 26), bool)
    rest[3:23, 8:18] = False
    rest[3, 8] = True
    assert np.ptp(piece[rest].astype(int), axis=1).max() == 0  # no colour
    assert 63 < piece[rest].min() <= piece[rest].max() < 193  # faint
    around = PICTURE[17:43, 22:48].astype(float) @ [0.299, 0.587, 0.114]
    assert np.abs(piece[rest][:, 0] - (0.5 * around + 64)[rest]).max() <= 1


def test_what_lies_outside_of_the_picture_is_grey() -> None:
    mask = np.zeros((60, 80), bool)
    mask[:10, 70:] = True
    piece = crop(PICTURE, mask)
    assert piece.shape == (14, 14, 3)
    assert (piece[:2] == 128).all()
    assert (piece[:, 12:] == 128).all()
    np.testing.assert_array_equal(piece[2:12, 2:12], PICTURE[:10, 70:])


def test_masks_of_a_smaller_size_mark_the_same_place() -> None:
    mask = np.zeros((30, 40), bool)
    mask[10:20, 15:20] = True
    large = np.zeros((60, 80), bool)
    large[20:40, 30:40] = True
    np.testing.assert_array_equal(crop(PICTURE, mask), crop(PICTURE, large))


def test_a_whole_picture_and_a_single_pixel() -> None:
    assert crop(PICTURE, np.ones((60, 80), bool)).shape == (104, 104, 3)
    one = np.zeros((60, 80), bool)
    one[59, 79] = True
    piece = crop(PICTURE, one)
    assert piece.shape == (3, 3, 3)
    assert piece[1, 1].tolist() == PICTURE[59, 79].tolist()


def test_a_mark_that_vanishes_in_a_smaller_picture_shows_all() -> None:
    one = np.zeros((600, 800), bool)
    one[0, 0] = True
    assert crop(PICTURE, one).shape == (104, 104, 3)
