"""Overlap of the regions of two labellings, compiled: one pass, no sorting of pairs."""

from __future__ import annotations

import numpy as np

from ...kernels.compile import compiled


@compiled()
def overlap_iou_cpu(regions, counts, order, bounds, sizes, shared, iou) -> None:
    """Fill `iou` [Q] with the IoU of the region and the group that hold each item.

    Args:
        regions: Region of each item [Q], int64, non-negative.
        counts: Number of pixels that each item stands for [Q], int64.
        order: Items group by group [Q], int64, from `group_cpu`.
        bounds: Where each group begins [G + 1].
        sizes: Zeros, one per region; zeros again afterwards.
        shared: Likewise.
        iou: Output [Q], float64, written fully.
    """
    for item in range(len(regions)):
        sizes[regions[item]] += counts[item]
    for group in range(len(bounds) - 1):
        members, pixels = order[bounds[group] : bounds[group + 1]], 0
        for item in members:
            shared[regions[item]] += counts[item]
            pixels += counts[item]
        for item in members:
            both = shared[regions[item]]
            iou[item] = both / (sizes[regions[item]] + pixels - both)
        for item in members:
            shared[regions[item]] = 0
    for item in range(len(regions)):
        sizes[regions[item]] = 0


@compiled()
def best_overlap_cpu(
    segments: np.ndarray,
    counts: np.ndarray,
    order: np.ndarray,
    bounds: np.ndarray,
    none: int,
    none_counts: bool,
    best: np.ndarray,
    cut: np.ndarray,
) -> None:
    """Fill `best` and `cut`, see `best_overlap`.

    Args:
        segments: Segment number of each item at each cut [L, Q], int64.
        counts: Number of pixels that each item stands for [Q], int64.
        order: Items, ground-truth mask by mask, the background first [Q], from `group_cpu`.
        bounds: Where each mask begins [G + 1].
        none: Number of items without a segment.
        none_counts: Whether these form a segment for every mask, or for the background only.
        best: Output [Q], float64, written fully.
        cut: Output [Q], int64, written fully.
    """
    regions = 1
    for ids in segments:
        for item in range(len(ids)):
            regions = max(regions, ids[item] + 1)
    sizes, shared, iou = np.zeros(regions, np.int64), np.zeros(regions, np.int64), np.empty(segments.shape[1])
    background = order[: bounds[1]] if len(bounds) > 1 else order[:0]
    in_mask = np.zeros(segments.shape[1], np.bool_)  # where "no segment" scores 0
    if not none_counts:
        in_mask[:] = True
        in_mask[background] = False
    best[:] = -1.0
    cut[:] = 0
    for index in range(len(segments)):
        overlap_iou_cpu(segments[index], counts, order, bounds, sizes, shared, iou)
        for item in range(len(iou)):
            value = 0.0 if in_mask[item] and segments[index, item] == none else iou[item]
            if value > best[item]:
                best[item], cut[item] = value, index


@compiled()
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
