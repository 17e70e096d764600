"""Edges between neighbouring surface points."""

from __future__ import annotations

import numpy as np

from ..surface import Surface
from ..surface.spacing import local_spacing, nearest_points

REACH = 3.0  # longest edge in local spacings, so that nothing jumps over a gap


def neighbor_edges(surface: Surface, neighbors: int, *, reach: float = REACH) -> np.ndarray:
    """Undirected edges between each point and its nearest ones.

    Args:
        surface: N points.
        neighbors: How many nearest points each one is joined with, ≥ 1.
        reach: Longest edge, in the smaller spacing of its two ends (see `local_spacing`).

    Returns:
        [E, 2], int64, ascending, each edge once, the smaller index first.

    Raises:
        ValueError: `neighbors` is below 1, or `reach` is not positive.
    """
    if neighbors < 1:
        raise ValueError(f"neighbors: expected at least 1, got {neighbors}")
    if not reach > 0:
        raise ValueError(f"reach: expected a positive number, got {reach}")
    count = len(surface)
    distances, nearest = nearest_points(surface.points, neighbors + 1)
    first = np.broadcast_to(np.arange(count)[:, None], nearest.shape)
    other = nearest != first
    # A point is not always its own first neighbour: points may coincide.
    spacing = local_spacing(surface, distances[:, 1:])
    short = distances <= reach * np.minimum(spacing[:, None], spacing[nearest])
    first, second = first[other & short], nearest[other & short]
    # Several times as fast as np.unique, whose hash table suffers from millions of different keys.
    keys = np.sort(np.minimum(first, second).astype(np.int64) * count + np.maximum(first, second))
    keys = keys[np.diff(keys, prepend=-1) > 0]
    return np.stack([keys // count, keys % count], axis=1)
