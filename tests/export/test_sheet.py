"""The contact sheet: everything is on it, in its place."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from ultrafield.export import contact_sheet
from ultrafield.reading import read_image

RED, BLUE = (np.broadcast_to(np.array(color, np.uint8), (20, 30, 3)) for color in ((200, 0, 0), (0, 0, 200)))


def dark_pixels(page: np.ndarray) -> int:
    """Pixels of ink: as dark as text and of no colour."""
    return int(((page.max(axis=2) < 120) & (np.ptp(page.astype(int), axis=2) < 20)).sum())


def test_tiles_keep_their_rows_columns_and_shape(tmp_path: Path) -> None:
    contact_sheet(tmp_path / "sheet.png", [[RED, BLUE], [BLUE]], tile_height=40)
    page = read_image(tmp_path / "sheet.png")
    assert page.shape == (12 + 2 * (40 + 6) + 12, 12 + 60 + 6 + 60 + 12, 3)
    assert (page[12:52, 12:72] == RED[0, 0]).all()
    assert (page[12:52, 78:138] == BLUE[0, 0]).all()
    assert (page[58:98, 12:72] == BLUE[0, 0]).all()
    assert (page[58:98, 78:138] == 255).all()
    assert dark_pixels(page) == 0


def test_every_caption_leaves_ink(tmp_path: Path) -> None:
    path = tmp_path / "sheet.png"
    inks = []
    for captions in (
        {},
        {"title": "Demo"},
        {"title": "Demo", "row_captions": ["r_0"]},
        {"title": "Demo", "row_captions": ["r_0"], "column_captions": ["photo", "0.500"]},
    ):
        contact_sheet(path, [[RED, BLUE]], tile_height=120, **captions)
        page = read_image(path)
        inks.append(dark_pixels(page))
        assert (page == RED[0, 0]).all(axis=2).sum() == 120 * 180
    assert inks == sorted(set(inks))


def test_long_captions_are_shortened_and_foreign_letters_replaced(tmp_path: Path) -> None:
    contact_sheet(tmp_path / "sheet.png", [[RED]], title="Höhe " * 50, column_captions=["x" * 100], tile_height=40)
    page = read_image(tmp_path / "sheet.png")
    assert page.shape[1] == 12 + 60 + 12
    assert (page[:, 72:] == 255).all()  # nothing is written beyond the tiles
    assert dark_pixels(page) > 50


def test_a_page_without_pictures_or_with_too_few_captions_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="rows: expected at least one picture"):
        contact_sheet(tmp_path / "sheet.png", [[]])
    with pytest.raises(ValueError, match="row_captions: expected 2, one per row, got 1"):
        contact_sheet(tmp_path / "sheet.png", [[RED], [RED]], row_captions=["a"])
    assert list(tmp_path.iterdir()) == []
