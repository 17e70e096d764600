"""Bottleneck queries on the CPU."""

from __future__ import annotations

import numpy as np
from numba import prange

from ...kernels.compile import compiled


@compiled(parallel=True)
def minimax_cpu(parents, choices, mst_edges, pairs):
    """Limiting edge of each pair [P], int64, -1 where there is none; arguments as in `minimax`."""
    limits = np.empty(len(pairs), np.int64)
    for index in prange(len(pairs)):
        a, b = pairs[index, 0], pairs[index, 1]
        heaviest = -1
        # Both walk up level by level; at the last level every component is its own parent.
        while a != b:
            heaviest = max(heaviest, choices[a], choices[b])
            if parents[a] == a:
                heaviest = -1
                break
            a, b = parents[a], parents[b]
        limits[index] = mst_edges[heaviest] if heaviest >= 0 else -1
    return limits
