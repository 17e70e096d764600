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
    filled, holes = _without_small_holes(mask, least)
    whole, islands = _without_small_islands(filled, least)
    return whole, holes or islands


def _without_small_holes(mask: np.ndarray, least: int) -> tuple[np.ndarray, bool]:
    pieces, areas = _pieces(~mask)
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
    return pieces, statistics[:, cv2.CC_STAT_AREA]
