"""Which point a click means: the pointer's ray, cast over all points that are shown."""

from __future__ import annotations

import numpy as np

from .kernels.points_cpu import balls_around, first_met

_FEWEST_RADII = 0.75  # of the points' spacing: discs that wide cover a surface
_SLACK = 0.012  # of the distance: how far beside all points a click may be, some ten pixels
_BLOCK = 1024  # points that are looked at or left out together


class PointIndex:
    """Points that rays are cast over, in blocks with a ball around each.

    Args:
        points: [n, 3], float32; quick if neighbours in the list lie near one another.
    """

    def __init__(self, points: np.ndarray) -> None:
        self._points = np.ascontiguousarray(points, np.float32)
        self._middles, self._radii = balls_around(self._points, _BLOCK)

    def first_met(self, origin: np.ndarray, direction: np.ndarray, spacing: float) -> int:
        """The point that a ray meets.

        Args:
            origin: Of the ray [3].
            direction: Of the ray [3], any length but 0.
            spacing: Typical distance of neighbouring points.

        Returns:
            Its place in the list, −1 where the ray meets nothing.

        Raises:
            ValueError: The ray has numbers that are not finite, or no direction.
        """
        start, along = (np.asarray(vector, np.float64).reshape(3) for vector in (origin, direction))
        length = float(np.linalg.norm(along))
        if not (np.isfinite(start).all() and np.isfinite(length) and length > 0):
            raise ValueError("ray: expected a place and a direction")
        balls = (self._middles, self._radii, _BLOCK)
        return int(first_met(self._points, *balls, start, along / length, _FEWEST_RADII * spacing, _SLACK))
