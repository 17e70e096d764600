"""Published segment numbers: by size, the largest being 0, and one number for everything beyond the largest few."""

from __future__ import annotations

import numpy as np

NONE_COLOR = 255


def largest_first(nodes: np.ndarray, keep: int) -> np.ndarray:
    """Number segments by size.

    Args:
        nodes: Segment id per element [N], int64, not negative; as small as those of a tree's nodes.
        keep: Segments that get a number of their own; all others get the number `keep`.

    Returns:
        Numbers [N], int64: 0 for the largest segment; of equally large ones the smaller id comes first.
    """
    counts = np.bincount(nodes)
    used = np.flatnonzero(counts)
    rank = np.empty(len(counts), np.int64)
    rank[used[np.argsort(-counts[used], kind="stable")]] = np.arange(len(used))
    return np.minimum(rank[nodes], keep)


def segment_palette(count: int) -> np.ndarray:
    """Well-separated colours of the numbers 0 … count − 1, then white for none [count + 1, 3], uint8."""
    import cv2

    # Hues a golden angle apart never come close to each other early on; two rows of saturation and value.
    index = np.arange(count)
    hue = (index * 0.61803398875) % 1.0 * 180.0
    saturation = np.where(index % 2 == 0, 200, 130)
    value = np.where(index % 3 == 0, 235, 190)
    hsv = np.stack([hue, saturation, value], axis=1).astype(np.uint8)[None]
    colors = cv2.cvtColor(hsv, cv2.COLOR_HSV2RGB)[0]
    return np.concatenate([colors, np.full((1, 3), NONE_COLOR, np.uint8)])
