"""How much one mask counts beside others."""

from __future__ import annotations

import numpy as np

POWER = 0.5


def mask_weights(points: np.ndarray, *, power: float = POWER) -> np.ndarray:
    """Weight of each mask by its size on the surface: smaller masks say more.

    That two points share a mask of a whole table says little; that they share one of a knob says nearly all. Size is
    the number of surface points rather than of pixels, so that a close-up weighs a thing like a distant view of it.

    Args:
        points: Surface points that each mask holds [M], int64.
        power: Weights are points to the minus `power`; 0 weighs all masks alike.

    Returns:
        [M], float64; 0 for a mask that holds no point.

    >>> mask_weights(np.array([4, 0, 100])).tolist()
    [0.5, 0.0, 0.1]
    """
    return np.where(points > 0, np.maximum(points, 1).astype(np.float64) ** -power, 0.0)
