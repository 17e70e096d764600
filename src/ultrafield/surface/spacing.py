"""How far apart surface points lie."""

from __future__ import annotations

import numpy as np

from .surface import Surface

_RANK = 3
_RANK_DISTANCE = 1.5  # voxels from a point to its third nearest one on a densely sampled surface, at most about


def nearest_points(points: np.ndarray, count: int, *, of: np.ndarray | None = None) -> tuple[np.ndarray, np.ndarray]:
    """The nearest points of each point, usually itself first: points may coincide.

    Args:
        points: [N, 3], N ≥ 1.
        count: Number of nearest points; no more than N are returned.
        of: Places whose nearest points are asked for [M, 3]; the points themselves if None.

    Returns:
        Distances, ascending, and indices [M, min(count, N)].
    """
    from scipy.spatial import cKDTree

    tree, places = cKDTree(points), points if of is None else of
    distances, nearest = tree.query(places, k=np.arange(1, min(count, len(points)) + 1), workers=-1)
    return np.asarray(distances), np.asarray(nearest)


def expected_spacing(distances: np.ndarray) -> np.ndarray:
    """Distance at which each point's neighbours are to be expected, by its third nearest one.

    Args:
        distances: Distances to the nearest other points, ascending [N, K]; infinite for none.

    Returns:
        [N], float64; 0 without a neighbour.
    """
    if distances.shape[1] == 0:
        return np.zeros(len(distances))
    reached = distances[:, min(_RANK, distances.shape[1]) - 1] / _RANK_DISTANCE
    return np.where(np.isfinite(reached), reached, 0.0)


def local_spacing(surface: Surface, distances: np.ndarray) -> np.ndarray:
    """Distance at which each point's neighbours are to be expected.

    That is the voxel where views sampled the surface densely, and more where their pixels are larger than voxels, as
    behind a captured object; "a few spacings" then means the same everywhere.

    Args:
        surface: N points.
        distances: Distances to the nearest other points, ascending [N, K]; infinite for none.

    Returns:
        [N], float64, normalised units.
    """
    return np.maximum(surface.voxel, expected_spacing(distances))
