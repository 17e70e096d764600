"""How far apart surface points lie."""

from __future__ import annotations

import numpy as np

from .surface import Surface

_RANK = 3
_RANK_DISTANCE = 1.5  # on a densely sampled surface the third nearest point is at most about so many voxels away


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
    if distances.shape[1] == 0:
        return np.full(len(surface), surface.voxel)
    reached = distances[:, min(_RANK, distances.shape[1]) - 1] / _RANK_DISTANCE
    return np.maximum(surface.voxel, np.where(np.isfinite(reached), reached, 0.0))
