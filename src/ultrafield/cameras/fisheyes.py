"""Fisheye lenses that are not quite round: tangential and thin-prism terms on top of the angle from the axis.

A ray at the angle θ from the optical axis becomes the point (u, v) at the distance θ from the middle, in the ray's
direction. Two lenses distort these points; both are COLMAP's (`THIN_PRISM_FISHEYE`, `RAD_TAN_THIN_PRISM_FISHEYE`), the
second is that of Project Aria, which nerfstudio calls FISHEYE624.
"""

from __future__ import annotations

import numpy as np

from .brown import brown, sheared
from .newton import Jacobian, invert, turning_radius


def distort_thin_prism(flat: np.ndarray, distortion: np.ndarray) -> np.ndarray:
    """Where rays x/z, y/z [N, 2] are seen, before focal length and principal point [N, 2]; NaN stays NaN.

    Args:
        flat: Rays.
        distortion: k1 k2 p1 p2 k3 k4 sx1 sy1, zero-padded [8] or more; a ninth shears as that of `brown`.
    """
    with np.errstate(over="ignore", invalid="ignore"):
        return sheared(_thin_prism(_angles(flat), distortion)[0], _shear(distortion))


def undistort_thin_prism(seen: np.ndarray, distortion: np.ndarray) -> np.ndarray:
    """Rays x/z, y/z [N, 2] that are seen at `seen` [N, 2]; NaN where there is none before the camera."""
    k1, k2, _, _, k3, k4 = distortion[:6]
    with np.errstate(over="ignore", invalid="ignore"):
        angles = invert(lambda points: _thin_prism(points, distortion), sheared(seen, -_shear(distortion)))
    return _rays(angles, turning_radius(k1, k2, k3, k4))


def distort_fisheye624(flat: np.ndarray, distortion: np.ndarray) -> np.ndarray:
    """Where rays x/z, y/z [N, 2] are seen, before focal length and principal point [N, 2]; NaN stays NaN.

    Args:
        flat: Rays.
        distortion: Factors of θ² … θ¹² (k0 … k5), tangential p0 p1, and of the prism s0 … s3 [12].
    """
    with np.errstate(over="ignore", invalid="ignore"):
        return _prism624(_round624(_angles(flat), distortion)[0], distortion)[0]


def undistort_fisheye624(seen: np.ndarray, distortion: np.ndarray) -> np.ndarray:
    """Rays x/z, y/z [N, 2] that are seen at `seen` [N, 2]; NaN where there is none before the camera."""
    with np.errstate(over="ignore", invalid="ignore"):
        points = invert(lambda places: _prism624(places, distortion), seen)
        angles = invert(lambda places: _round624(places, distortion), points)
    return _rays(angles, turning_radius(*distortion[:6]))


def _angles(flat: np.ndarray) -> np.ndarray:
    """Rays x/z, y/z [N, 2] as points whose distance from the middle is their angle."""
    radius = np.hypot(*flat.T)
    factor = np.ones_like(radius)
    np.divide(np.arctan(radius), radius, out=factor, where=radius > 0)
    return flat * factor[:, None]


def _rays(angles: np.ndarray, most: float) -> np.ndarray:
    """The inverse of `_angles`; NaN for angles of 90° or more, and beyond `most`."""
    angle = np.hypot(*angles.T)
    factor = np.ones_like(angle)
    with np.errstate(invalid="ignore"):
        np.divide(np.tan(angle), angle, out=factor, where=angle > 0)
        factor[~(angle < min(np.pi / 2, np.nextafter(most, np.inf)))] = np.nan
    return angles * factor[:, None]


def _shear(distortion: np.ndarray) -> float:
    return float(distortion[8]) if len(distortion) > 8 else 0.0


def _thin_prism(points: np.ndarray, distortion: np.ndarray) -> tuple[np.ndarray, Jacobian]:
    seen, ((a, b), (c, d)) = brown(points, distortion)
    sx, sy = distortion[6:8]
    x, y = points.T
    r = x * x + y * y
    shifts = np.stack([sx * r, sy * r], axis=1)
    return seen + shifts, ((a + 2 * sx * x, b + 2 * sx * y), (c + 2 * sy * x, d + 2 * sy * y))


def _round624(points: np.ndarray, distortion: np.ndarray) -> tuple[np.ndarray, Jacobian]:
    """The round part: points times 1 + k0 θ² + … + k5 θ¹²."""
    x, y = points.T
    r = x * x + y * y
    d, slope = np.ones_like(r), np.zeros_like(r)
    for order, k in enumerate(distortion[:6], start=1):
        d = d + k * r**order
        slope = slope + order * k * r ** (order - 1)  # of d by r
    across = 2 * x * y * slope
    return points * d[:, None], ((d + 2 * x * x * slope, across), (across, d + 2 * y * y * slope))


def _prism624(points: np.ndarray, distortion: np.ndarray) -> tuple[np.ndarray, Jacobian]:
    """The other part, on what the round one gives: tangential and prism terms."""
    p0, p1, s0, s1, s2, s3 = distortion[6:12]
    x, y = points.T
    r = x * x + y * y
    seen = np.stack(
        [
            x + 2 * p1 * x * y + p0 * (r + 2 * x * x) + r * (s0 + s1 * r),
            y + 2 * p0 * x * y + p1 * (r + 2 * y * y) + r * (s2 + s3 * r),
        ],
        axis=1,
    )
    first, second = 2 * (s0 + 2 * s1 * r), 2 * (s2 + 2 * s3 * r)
    across = 2 * p1 * x + 2 * p0 * y
    return seen, (
        (1 + 2 * p1 * y + 6 * p0 * x + first * x, across + first * y),
        (across + second * x, 1 + 2 * p0 * x + 6 * p1 * y + second * y),
    )
