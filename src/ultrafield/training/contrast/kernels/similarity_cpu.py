"""Scalar products of pairs of rows, and their gradient, on the CPU without copies of the rows."""

from __future__ import annotations

import numpy as np

from ....kernels.compile import compiled

# Sums may be reordered, so that they vectorise; NaN and infinity keep their meaning.
_SUMS = {"reassoc", "contract"}


@compiled(fastmath=_SUMS)
def similarity_cpu(features, pairs):
    """Scalar product of the two rows of each pair [P]."""
    products = np.empty(len(pairs), features.dtype)
    for index in range(len(pairs)):
        first, second = features[pairs[index, 0]], features[pairs[index, 1]]
        total = features.dtype.type(0)
        for channel in range(features.shape[1]):
            total += first[channel] * second[channel]
        products[index] = total
    return products


@compiled(fastmath=_SUMS)
def similarity_gradient_cpu(features, pairs, gradient):
    """Gradient with respect to the features [N, D], from that with respect to the products [P]."""
    result = np.zeros_like(features)
    for index in range(len(pairs)):
        a, b = pairs[index, 0], pairs[index, 1]
        scale = gradient[index]
        for channel in range(features.shape[1]):
            result[a, channel] += scale * features[b, channel]
            result[b, channel] += scale * features[a, channel]
    return result
