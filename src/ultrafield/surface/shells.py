"""How far apart points lie outside of the scene's box: the farther, the wider.

What surrounds a captured object is seen in larger and larger pixels, takes up more and more of space, and matters less.
With voxels of one size it would hold most of the points. Outside of the inner box voxels double with each box twice as
large, as the boxes of the hash grid do.
"""

from __future__ import annotations

import numpy as np


def doublings(points: np.ndarray, inner: float) -> np.ndarray:
    """How often a box has to be doubled to hold each point.

    Args:
        points: [N, 3].
        inner: Half the edge of the box, which lies around the origin; infinite if all points are inside.

    Returns:
        [N], int64; 0 for points inside.
    """
    if np.isinf(inner):
        return np.zeros(len(points), np.int64)
    reach = np.abs(points).max(axis=1, initial=0.0) / inner
    return np.ceil(np.log2(np.maximum(reach, 1.0))).astype(np.int64)


def spacings(points: np.ndarray, voxel: float, inner: float) -> np.ndarray:
    """Edge of the voxel that thins the surface at each point [N], float64; `voxel` within the box."""
    return voxel * np.exp2(doublings(points, inner))
