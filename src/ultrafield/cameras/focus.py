"""The point that cameras look at."""

from __future__ import annotations

import numpy as np

_PARALLEL = 1e-3  # weight of the prior on the focus: ties it where the optical axes are all but parallel


def focus_point(c2w: np.ndarray) -> np.ndarray:
    """The point [3] that cameras look at: least-squares nearest to all optical axes.

    Where the axes are nearly parallel (a drone looking down), a weak prior ties the point to one in front of the
    cameras, at twice their mean distance from their centroid. Where the cameras look outwards, the point is their
    centroid.

    Args:
        c2w: Poses [N, 3, 4], OpenCV axes, any frame.
    """
    centres, forward = c2w[:, :, 3], c2w[:, :, 2]
    middle = centres.mean(axis=0)
    spread = float(np.linalg.norm(centres - middle, axis=1).mean()) or 1.0
    prior = middle + 2.0 * spread * forward.mean(axis=0)
    across = np.eye(3) - forward[:, :, None] * forward[:, None, :]  # [N, 3, 3], projections across the axes
    left = across.mean(axis=0) + _PARALLEL * np.eye(3)
    right = (across @ centres[:, :, None]).mean(axis=0)[:, 0] + _PARALLEL * prior
    focus = np.linalg.solve(left, right)
    ahead = ((focus - centres) * forward).sum(axis=1)
    return focus if np.median(ahead) > 0 else middle
