"""2D parsing: a view cut by itself, by the distances of neighbouring pixels' features."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from ..ultrametric import AffinityGraph
from .segment_ids import largest_first

PARSING_THRESHOLDS = np.arange(1, 101) / 100.0


def parse_view(features: np.ndarray, keep: int) -> Iterator[tuple[float, np.ndarray]]:
    """Segment one view by itself at every threshold.

    Neighbouring pixels whose features are nearer than the threshold belong together.

    Args:
        features: [H, W, D], float32.
        keep: Segments kept, the largest; pixels of all others get the id `keep`.

    Yields:
        Threshold and labels [H, W], int64, the largest segment being 0.
    """
    from ..ultrametric import build_tree, cut

    height, width, _ = features.shape
    tree = build_tree(_pixel_graph(features), linkage="single")
    for threshold in PARSING_THRESHOLDS:
        nodes = cut(tree, below(threshold))
        yield float(threshold), largest_first(nodes, keep).reshape(height, width)


def below(threshold: float) -> float:
    """The largest float32 under `threshold`: a cut there joins what is strictly nearer, as published."""
    return float(np.nextafter(np.float32(threshold), np.float32(0.0)))


def _pixel_graph(features: np.ndarray) -> AffinityGraph:
    """4-neighbouring pixels and the distances of their features."""
    height, width, _ = features.shape
    ids = np.arange(height * width).reshape(height, width)
    down = np.stack([ids[:-1].ravel(), ids[1:].ravel()], axis=1)
    right = np.stack([ids[:, :-1].ravel(), ids[:, 1:].ravel()], axis=1)
    vertical = np.linalg.norm(features[1:] - features[:-1], axis=-1).ravel()
    horizontal = np.linalg.norm(features[:, 1:] - features[:, :-1], axis=-1).ravel()
    distance = np.minimum(np.concatenate([vertical, horizontal]), 2.0).astype(np.float32)
    edges = np.concatenate([down, right]).astype(np.int64)
    return AffinityGraph(height * width, edges, distance, np.ones(len(edges), np.float32), 2.0)
