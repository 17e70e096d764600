"""Scalar products of pairs of rows, and their gradient, on the CPU without copies of the rows."""

from __future__ import annotations

import numpy as np
from numba import prange

from ....kernels.compile import compiled

# Sums may be reordered, so that they vectorise; NaN and infinity keep their meaning.
_SUMS = {"reassoc", "contract"}


@compiled(parallel=True, fastmath=_SUMS)
def similarity_cpu(features, pairs):
    """Scalar product of the two rows of each pair [P]."""
    products = np.empty(len(pairs), features.dtype)
    for index in prange(len(pairs)):
        first, second = features[pairs[index, 0]], features[pairs[index, 1]]
        total = features.dtype.type(0)
        for channel in range(features.shape[1]):
            total += first[channel] * second[channel]
        products[index] = total
    return products


@compiled(parallel=True, fastmath=_SUMS)
def similarity_gradient_cpu(features, pairs, gradient):
    """Gradient with respect to the features [N, D], from that with respect to the products [P]."""
    starts, partners = _by_row(pairs, len(features))
    result = np.zeros_like(features)
    for row in prange(len(features)):  # each adds up its own pairs, in their order whatever the threads
        for place in range(starts[row], starts[row + 1]):
            scale, other = gradient[partners[place, 0]], partners[place, 1]
            for channel in range(features.shape[1]):
                result[row, channel] += scale * features[other, channel]
    return result


@compiled()
def _by_row(pairs, rows):
    """Where the pairs of each row begin [N + 1], and each of them with the row's partner in it [2 P, 2]."""
    starts = np.zeros(rows + 1, np.int64)
    for index in range(len(pairs)):
        starts[pairs[index, 0] + 1] += 1
        starts[pairs[index, 1] + 1] += 1
    starts = np.cumsum(starts)
    free = starts[:-1].copy()
    partners = np.empty((2 * len(pairs), 2), np.int32)
    for index in range(len(pairs)):
        for end in range(2):
            row = pairs[index, end]
            partners[free[row], 0], partners[free[row], 1] = index, pairs[index, 1 - end]
            free[row] += 1
    return starts, partners
