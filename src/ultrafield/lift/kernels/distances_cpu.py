"""Distances of features across the edges of a graph; compiled."""

from __future__ import annotations

import numpy as np

from ...kernels.compile import compiled
from ...ultrametric.kernels.spans import even_spans, on_threads, thread_count


def edge_distances(features: np.ndarray, edges: np.ndarray, most: float) -> np.ndarray:
    """Distance of the features at both ends of each edge, `most` at most [M], float32.

    Args:
        features: [N, D], float32.
        edges: [M, 2], int64.
        most: What larger distances become.
    """
    distance = np.empty(len(edges), np.float32)
    spans = even_spans(len(edges), thread_count(len(edges)))
    on_threads(_distances, spans, np.ascontiguousarray(features), edges, np.float32(most), distance)
    return distance


@compiled(fastmath={"reassoc", "contract"})  # so that sums become vector instructions
def _distances(features, edges, most, distance, begin, end):
    for edge in range(begin, end):
        first, second = features[edges[edge, 0]], features[edges[edge, 1]]
        total = np.float32(0.0)
        for channel in range(features.shape[1]):
            difference = first[channel] - second[channel]
            total += difference * difference
        distance[edge] = min(np.sqrt(total), most)
