"""Many pictures on one page."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from ..io import write_image
from .pictures import scaled_to_height

_INK, _PAPER = (30, 30, 30), 255
_GAP, _MARGIN = 6, 12  # pixels between tiles, and around the page
_TEXT_HEIGHT, _LINE = 13, 24  # pixels of a capital letter, and of a line of text


def contact_sheet(
    path: str | Path,
    rows: Sequence[Sequence[np.ndarray]],
    *,
    title: str | None = None,
    row_captions: Sequence[str] | None = None,
    column_captions: Sequence[str] | None = None,
    tile_height: int = 240,
) -> None:
    """Write rows of pictures with captions as one picture, atomically.

    Args:
        path: Target, `.png` or `.jpg`.
        rows: Pictures [H, W, 3], uint8, of any size; each is scaled to `tile_height`. Rows may differ in length.
        title: Line above everything.
        row_captions: Line above each row [R].
        column_captions: Lines above the columns; shortened where they are wider than the column.
        tile_height: Height of every picture on the page, pixels.

    Raises:
        ValueError: There is no picture, or not one caption for each row.
    """
    if not any(len(row) > 0 for row in rows):
        raise ValueError("rows: expected at least one picture")
    if row_captions is not None and len(row_captions) != len(rows):
        raise ValueError(f"row_captions: expected {len(rows)}, one per row, got {len(row_captions)}")
    tiles = [[scaled_to_height(picture, tile_height) for picture in row] for row in rows]
    widths = _column_widths(tiles)
    page_width = sum(widths) + _GAP * (len(widths) - 1)
    strips = [] if title is None else [text_line(title, page_width)]
    if column_captions is not None:
        strips.append(_joined([text_line(*pair) for pair in zip(column_captions, widths, strict=False)], page_width))
    for index, row in enumerate(tiles):
        if row_captions is not None:
            strips.append(text_line(row_captions[index], page_width))
        strips.append(_joined([_padded(tile, width) for tile, width in zip(row, widths, strict=False)], page_width))
        strips.append(np.full((_GAP, page_width, 3), _PAPER, np.uint8))
    page = np.concatenate(strips)
    write_image(path, np.pad(page, ((_MARGIN,) * 2, (_MARGIN,) * 2, (0, 0)), constant_values=_PAPER))


def _column_widths(tiles: Sequence[Sequence[np.ndarray]]) -> list[int]:
    """Widest tile of each column."""
    columns = max(len(row) for row in tiles)
    return [max(row[column].shape[1] for row in tiles if column < len(row)) for column in range(columns)]


def _padded(tile: np.ndarray, width: int) -> np.ndarray:
    """The tile with paper on its right up to `width`."""
    return np.pad(tile, ((0, 0), (0, width - tile.shape[1]), (0, 0)), constant_values=_PAPER)


def _joined(parts: Sequence[np.ndarray], width: int) -> np.ndarray:
    """Parts of one height in a row with gaps, and paper up to `width`."""
    if len(parts) == 0:
        return np.zeros((0, width, 3), np.uint8)
    gap = np.full((parts[0].shape[0], _GAP, 3), _PAPER, np.uint8)
    row = [parts[0]]
    for part in parts[1:]:
        row += [gap, part]
    return _padded(np.concatenate(row, axis=1), width)


def text_line(text: str, width: int) -> np.ndarray:
    """A line of text as a picture [24, width, 3] uint8; shortened to fit. The font knows ASCII only."""
    import cv2

    font, line = cv2.FONT_HERSHEY_DUPLEX, np.full((_LINE, width, 3), _PAPER, np.uint8)
    scale = cv2.getFontScaleFromHeight(font, _TEXT_HEIGHT, 1)
    text = text.encode("ascii", "replace").decode()
    caption = text
    while caption and cv2.getTextSize(caption, font, scale, 1)[0][0] > width:
        text = text[:-1]
        caption = text.rstrip() + "..." if text else ""
    cv2.putText(line, caption, (0, _LINE - 8), font, scale, _INK, 1, cv2.LINE_AA)
    return line
