"""Weights of masks by their size."""

from __future__ import annotations

import numpy as np

POWER = 0.5


def mask_weights(points: np.ndarray, *, power: float = POWER) -> np.ndarray:
    """Weight of each mask by its size on the surface: smaller masks are more informative.

    Two points in one mask of a whole table may be anything; two in one mask of a knob are very likely one part. Size
    is counted in surface points rather than pixels, so that a close-up and a distant view of a thing weigh alike.

    Args:
        points: Surface points that each mask holds [M], int64.
        power: Weights are points to the minus `power`; 0 weighs all masks alike.

    Returns:
        [M], float64; 0 for a mask that holds no point.

    >>> mask_weights(np.array([4, 0, 100])).tolist()
    [0.5, 0.0, 0.1]
    """
    return np.where(points > 0, np.maximum(points, 1).astype(np.float64) ** -power, 0.0)
