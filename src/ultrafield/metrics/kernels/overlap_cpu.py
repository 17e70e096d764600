"""Regions that two labellings put every pixel in, compiled: one pass over the pixels, no sorting of pairs."""

from __future__ import annotations

import numpy as np
from numba import njit


@njit(cache=True, nogil=True)
def group_cpu(ids: np.ndarray, count: int) -> tuple[np.ndarray, np.ndarray]:
    """Pixels in the order of their ids, and where each id's begin.

    Args:
        ids: [P], int64, in [0, count).
        count: Number of ids.

    Returns:
        Pixels [P], int64, those of equal ids ascending; and bounds [count + 1], int64.
    """
    bounds = np.zeros(count + 1, np.int64)
    for pixel in range(len(ids)):
        bounds[ids[pixel] + 1] += 1
    for group in range(count):
        bounds[group + 1] += bounds[group]
    order, filled = np.empty(len(ids), np.int64), bounds[:-1].copy()
    for pixel in range(len(ids)):
        order[filled[ids[pixel]]] = pixel
        filled[ids[pixel]] += 1
    return order, bounds


@njit(cache=True, nogil=True)
def overlap_iou_cpu(regions: np.ndarray, order: np.ndarray, bounds: np.ndarray, sizes, shared, iou: np.ndarray) -> None:
    """Fill `iou` [P] with the IoU of the region and the group that hold each pixel.

    Args:
        regions: Region of each pixel [P], int64, non-negative.
        order: Pixels group by group [P], from `group_cpu`.
        bounds: Where each group begins [G + 1].
        sizes: Zeros, one per region; zeros again afterwards.
        shared: Likewise.
        iou: Output [P], float64, written fully.
    """
    for pixel in range(len(regions)):
        sizes[regions[pixel]] += 1
    for group in range(len(bounds) - 1):
        members = order[bounds[group] : bounds[group + 1]]
        for pixel in members:
            shared[regions[pixel]] += 1
        for pixel in members:
            both = shared[regions[pixel]]
            iou[pixel] = both / (sizes[regions[pixel]] + len(members) - both)
        for pixel in members:
            shared[regions[pixel]] = 0
    for pixel in range(len(regions)):
        sizes[regions[pixel]] = 0


@njit(cache=True, nogil=True)
def best_overlap_cpu(
    segments: np.ndarray,
    order: np.ndarray,
    bounds: np.ndarray,
    none: int,
    none_counts: bool,
    best: np.ndarray,
    cut: np.ndarray,
) -> None:
    """Fill `best` and `cut`, see `best_overlap`.

    Args:
        segments: Segment numbers [L, P], int64.
        order: Pixels, ground-truth mask by mask, the background first [P], from `group_cpu`.
        bounds: Where each mask begins [G + 1].
        none: Number of pixels without a segment.
        none_counts: Whether these form a segment for every mask, or for the background only.
        best: Output [P], float64, written fully.
        cut: Output [P], int64, written fully.
    """
    regions = 1
    for ids in segments:
        for pixel in range(len(ids)):
            regions = max(regions, ids[pixel] + 1)
    sizes, shared, iou = np.zeros(regions, np.int64), np.zeros(regions, np.int64), np.empty(segments.shape[1])
    background = order[: bounds[1]] if len(bounds) > 1 else order[:0]
    held = np.zeros(segments.shape[1], np.bool_)  # in a mask that "no segment" is no answer for
    if not none_counts:
        held[:] = True
        held[background] = False
    best[:] = -1.0
    cut[:] = 0
    for index in range(len(segments)):
        overlap_iou_cpu(segments[index], order, bounds, sizes, shared, iou)
        for pixel in range(len(iou)):
            value = 0.0 if held[pixel] and segments[index, pixel] == none else iou[pixel]
            if value > best[pixel]:
                best[pixel], cut[pixel] = value, index


@njit(cache=True, nogil=True)
def rank_cpu(values: np.ndarray, lowest: int, rank: np.ndarray, numbers: np.ndarray) -> None:
    """Fill `numbers` with the rank of each value among the distinct ones, `lowest` counting as one of them.

    Args:
        values: [N], integers.
        lowest: At most the smallest value.
        rank: Zeros, one for each integer from `lowest` to the largest value; overwritten.
        numbers: Output [N], int64, written fully.
    """
    rank[0] = 1
    for item in range(len(values)):
        rank[values[item] - lowest] = 1
    total = -1
    for value in range(len(rank)):
        total += rank[value]
        rank[value] = total
    for item in range(len(values)):
        numbers[item] = rank[values[item] - lowest]
