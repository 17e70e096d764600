"""Points of regions in the masks of views, counted and put side by side, compiled."""

from __future__ import annotations

import numpy as np
from numba import uint64

from ...kernels.bits_cpu import lowest_bit
from ...kernels.compile import compiled


@compiled()
def count_rows(
    codes: np.ndarray,
    seen: np.ndarray,
    order: np.ndarray,
    starts: np.ndarray,
    weights: np.ndarray,
    lengths: np.ndarray,
    columns: np.ndarray,
    counts: np.ndarray,
    visible: np.ndarray,
    weighted: np.ndarray,
) -> int:
    """How many points of each region each mask of one view holds, where it holds any.

    Args:
        codes: Packed mask memberships of every point in this view [N, W], uint64.
        seen: Whether the view sees the point [N], bool; others are not counted.
        order: The points, region by region [N], int64.
        starts: Where each region begins in them [R + 1], int64.
        weights: Weight of every mask, zero-padded [64 W], float64.
        lengths: Filled with the number of masks of each region [R].
        columns: Filled with these masks, ascending, region after region; as long as all masks have points together.
        counts: Filled with how many points they hold.
        visible: Filled with the seen points of each region [R], zeros before.
        weighted: Filled with the same points, each with the summed weights of the masks that hold it [R], zeros before.

    Returns:
        How many of `columns` and `counts` are filled.
    """
    regions, words = len(starts) - 1, codes.shape[1]
    held, union, at = np.zeros(64 * words, np.int64), np.zeros(words, np.uint64), 0
    for region in range(regions):
        for place in range(starts[region], starts[region + 1]):
            point = order[place]
            if seen[point]:
                visible[region] += 1
                for word in range(words):
                    bits = codes[point, word]
                    union[word] |= bits
                    while bits != uint64(0):
                        held[64 * word + lowest_bit(bits)] += 1
                        bits &= bits - uint64(1)
        begin = at
        for word in range(words):
            bits = union[word]
            union[word] = 0
            while bits != uint64(0):
                mask = 64 * word + lowest_bit(bits)
                columns[at], counts[at] = mask, held[mask]
                weighted[region] += held[mask] * weights[mask]
                held[mask] = 0
                at += 1
                bits &= bits - uint64(1)
        lengths[region] = at - begin
    return at


@compiled()
def place_rows(
    lengths: np.ndarray,
    columns: np.ndarray,
    first: int,
    counts: np.ndarray,
    at: np.ndarray,
    to_columns: np.ndarray,
    to_counts: np.ndarray,
) -> None:
    """Write the rows of one view behind what the rows of the regions have already.

    Args:
        lengths: Length of each region's row in this view [R], int32.
        columns: Its rows, region after region [nnz]: masks, numbered from 0.
        first: Number of its first mask among those of all views.
        counts: Points of the regions in these masks [nnz].
        at: Where each region's row goes on [R], int64; moved on.
        to_columns: The rows of all views, int32.
        to_counts: Likewise, float32.
    """
    place = 0
    for region in range(len(lengths)):
        to = at[region]
        for item in range(lengths[region]):
            to_columns[to + item], to_counts[to + item] = first + columns[place + item], counts[place + item]
        place += lengths[region]
        at[region] = to + lengths[region]
