"""Which point a click means: the pointer's ray, cast over all points that are shown."""

from __future__ import annotations

import numpy as np

from .kernels.points_cpu import first_met

_FEWEST_RADII = 0.75  # of the points' spacing: discs that wide cover a surface
_SLACK = 0.012  # of the distance: how far beside all points a click may be, some ten pixels


def pick(points: np.ndarray, shown: np.ndarray, origin: np.ndarray, direction: np.ndarray, spacing: float) -> int:
    """The point that a ray meets.

    Args:
        points: [N, 3], float32.
        shown: Which of them are there [N], bool.
        origin: Of the ray [3].
        direction: Of the ray [3], any length but 0.
        spacing: Typical distance of neighbouring points.

    Returns:
        Its index, −1 where the ray meets nothing.

    Raises:
        ValueError: The ray has numbers that are not finite, or no direction.
    """
    start, along = (np.asarray(vector, np.float64).reshape(3) for vector in (origin, direction))
    length = float(np.linalg.norm(along))
    if not (np.isfinite(start).all() and np.isfinite(length) and length > 0):
        raise ValueError("ray: expected a place and a direction")
    return int(first_met(points, shown, start, along / length, _FEWEST_RADII * spacing, _SLACK))
