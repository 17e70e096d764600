"""Intersection over union of the regions of two labellings of the same pixels."""

from __future__ import annotations

import numpy as np

NONE = 0  # the number that `number_segments` gives to pixels without a segment

_DENSE = 16  # a table of at most this many entries per value is faster than sorting the values


def number_segments(labels: np.ndarray) -> np.ndarray:
    """Renumber segment ids, which may be large and sparse, without gaps.

    Args:
        labels: Segment ids [..., ] of any integer type, −1 for none.

    Returns:
        int64 of the same shape: 0 for none, then 1, 2, … in the order of the ids.

    Raises:
        TypeError: The ids are no integers.
        ValueError: An id is below −1.

    >>> number_segments(np.array([700, -1, 5, 700]))
    array([2, 0, 1, 2])
    """
    if not np.issubdtype(labels.dtype, np.integer):
        raise TypeError(f"labels: expected integers, got {labels.dtype}")
    if labels.size == 0:
        return labels.astype(np.int64)
    lowest = int(labels.min())
    if lowest < -1:
        raise ValueError(f"labels: ids must be −1 (none) or more, got {lowest}")
    bound = int(labels.max()) + 2  # −1 … max; none has number 0 even where it does not occur
    if bound > _DENSE * labels.size:
        with_none = np.append(labels.ravel().astype(np.int64), -1)
        return np.unique(with_none, return_inverse=True)[1][:-1].reshape(labels.shape)
    from .kernels.overlap_cpu import rank_cpu

    numbers = np.empty(labels.size, np.int64)
    rank_cpu(np.ascontiguousarray(labels).ravel(), -1, np.zeros(bound, np.int64), numbers)
    return numbers.reshape(labels.shape)


def overlap_iou(first: np.ndarray, second: np.ndarray, counts: np.ndarray) -> np.ndarray:
    """IoU, for every item, of the region that holds it in one labelling and the one that holds it in the other.

    Args:
        first: Region numbers [Q], int64, non-negative and without large gaps.
        second: Likewise [Q].
        counts: Number of pixels that each item stands for [Q], int64, at least 1.

    Returns:
        [Q], float64, above 0.
    """
    from ..labels.kernels.rows_cpu import group_cpu
    from .kernels.overlap_cpu import overlap_iou_cpu

    iou = np.empty(len(first))
    sizes, shared = np.zeros((2, int(first.max(initial=0)) + 1), np.int64)
    overlap_iou_cpu(first, counts, *group_cpu(second, int(second.max(initial=-1)) + 1), sizes, shared, iou)
    return iou


def best_overlap(
    segments: np.ndarray, truth: np.ndarray, counts: np.ndarray, *, none_counts: bool
) -> tuple[np.ndarray, np.ndarray]:
    """The best IoU, for every item, of a segment that holds it at any cut with the item's ground-truth mask.

    Args:
        segments: From `number_segments` [L, Q]; the cuts, finest first.
        truth: Ground-truth ids [Q], int64, without large gaps; 0 is the background.
        counts: Number of pixels that each item stands for [Q], int64, at least 1.
        none_counts: Whether the pixels without a segment form a segment for every mask. Otherwise they do for the
            background only, for which "no segment" is the right answer.

    Returns:
        The best IoU [Q], float64, and the cut that has it [Q], int64, the first one of equals.
    """
    from ..labels.kernels.rows_cpu import group_cpu
    from .kernels.overlap_cpu import best_overlap_cpu

    best, cut = np.empty(len(truth)), np.empty(len(truth), np.int64)
    order, bounds = group_cpu(truth, int(truth.max(initial=-1)) + 1)
    best_overlap_cpu(segments, counts, order, bounds, NONE, none_counts, best, cut)
    return best, cut
