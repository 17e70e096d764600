"""Small holes filled, small islands removed."""

from __future__ import annotations

import numpy as np


def without_small_regions(mask: np.ndarray, least: int) -> tuple[np.ndarray, bool]:
    """A mask without holes and without pieces of fewer than `least` pixels; pixels that touch at a corner connect.

    Holes are filled first. If all pieces are smaller, the largest stays.

    Args:
        mask: [H, W], bool.
        least: Pixels.

    Returns:
        The mask, and whether it changed.
    """
    rows, columns = np.flatnonzero(mask.any(axis=1)), np.flatnonzero(mask.any(axis=0))
    if len(rows) == 0:
        return mask, False
    spans = [_with_margin(places, length) for places, length in zip((rows, columns), mask.shape, strict=True)]
    around = _around(spans, mask.shape)
    if any(0 < area < least for area in around):  # then it may be a small hole itself
        spans, around = [slice(0, length) for length in mask.shape], [0, 0, 0, 0]
    box = (spans[0], spans[1])
    filled, holes = _without_small_holes(mask[box], least, around)
    whole, islands = _without_small_islands(filled, least)
    if not holes and not islands:
        return mask, False
    changed = np.zeros_like(mask)
    changed[box] = whole
    return changed, True


def _with_margin(places: np.ndarray, length: int) -> slice:
    """From the pixel before the first of some places to the one after the last, within a picture."""
    return slice(max(0, int(places[0]) - 1), min(length, int(places[-1]) + 2))


def _around(spans: list[slice], size: tuple[int, ...]) -> list[int]:
    """Pixels of a picture above, below, left and right of a box; beside one of these lies the margin of the box."""
    (top, low), (left, right) = ((span.start, span.stop) for span in spans)
    return [top * size[1], (size[0] - low) * size[1], left * (low - top), (size[1] - right) * (low - top)]


def _without_small_holes(mask: np.ndarray, least: int, around: list[int]) -> tuple[np.ndarray, bool]:
    """A mask in its box without small holes; what is around the box, if anything, is none and begins at its margins."""
    pieces, areas = _pieces(~mask)
    for piece, area in zip((pieces[0, 0], pieces[-1, 0], pieces[0, 0], pieces[0, -1]), around, strict=True):
        areas[piece] += area
    small = areas < least
    small[0] = False  # the mask itself
    return (mask | small[pieces], True) if small.any() else (mask, False)


def _without_small_islands(mask: np.ndarray, least: int) -> tuple[np.ndarray, bool]:
    pieces, areas = _pieces(mask)
    small = areas < least
    small[0] = False  # what is around the mask
    if not small.any():
        return mask, False
    kept = ~small
    kept[0] = False
    if not kept.any():
        kept[1 + int(np.argmax(areas[1:]))] = True
    return kept[pieces], True


def _pieces(mask: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Number of each pixel's piece [H, W] int32, 0 outside of the mask, and the pixels of each."""
    import cv2

    _, pieces, statistics, _ = cv2.connectedComponentsWithStats(mask.astype(np.uint8), connectivity=8)
    return pieces, statistics[:, cv2.CC_STAT_AREA].copy()
