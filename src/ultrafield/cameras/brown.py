"""Brown's lens with a radial polynomial up to r⁸, which OpenCV lacks; nerfstudio, Metashape and RealityCapture have it.

With r² = x² + y² and d = 1 + k1 r² + k2 r⁴ + k3 r⁶ + k4 r⁸, a ray (x, y, 1) is seen at
(x d + 2 p1 x y + p2 (r² + 2 x²), y d + 2 p2 x y + p1 (r² + 2 y²)); pixels that are no rectangles shear that: x grows by
b times y (Metashape's b2).
"""

from __future__ import annotations

import numpy as np

from .newton import Jacobian, invert, turning_radius


def distort_brown(flat: np.ndarray, distortion: np.ndarray) -> np.ndarray:
    """Where rays x/z, y/z [N, 2] are seen, before focal length and principal point [N, 2]; NaN stays NaN.

    Args:
        flat: Rays.
        distortion: k1 k2 p1 p2 k3 k4 b, zero-padded [8] or more.
    """
    with np.errstate(over="ignore", invalid="ignore"):
        return sheared(brown(flat, distortion)[0], distortion[6])


def undistort_brown(seen: np.ndarray, distortion: np.ndarray) -> np.ndarray:
    """Rays x/z, y/z [N, 2] that are seen at `seen` [N, 2], by Newton's method; the inverse of `distort_brown`.

    NaN where there is none on the near side of the radius from which the polynomial folds back.
    """
    with np.errstate(over="ignore", invalid="ignore"):
        flat = invert(lambda rays: brown(rays, distortion), sheared(seen, -distortion[6]))
    k1, k2, _, _, k3, k4 = distortion[:6]
    flat[~(np.hypot(*flat.T) <= turning_radius(k1, k2, k3, k4))] = np.nan
    return flat


def sheared(places: np.ndarray, shear: float) -> np.ndarray:
    """Places [N, 2] whose x has grown by `shear` times y."""
    return places if shear == 0 else places + np.stack([shear * places[:, 1], np.zeros(len(places))], axis=1)


def brown(flat: np.ndarray, distortion: np.ndarray) -> tuple[np.ndarray, Jacobian]:
    """Where rays are seen [N, 2] without shear, and the derivatives of both coordinates by x and y, each [N]."""
    k1, k2, p1, p2, k3, k4 = distortion[:6]
    x, y = flat.T
    r = x * x + y * y
    d = 1 + r * (k1 + r * (k2 + r * (k3 + r * k4)))
    slope = k1 + r * (2 * k2 + r * (3 * k3 + r * 4 * k4))  # of d by r
    seen = np.stack(
        [x * d + 2 * p1 * x * y + p2 * (r + 2 * x * x), y * d + 2 * p2 * x * y + p1 * (r + 2 * y * y)], axis=1
    )
    across = 2 * x * y * slope + 2 * p1 * x + 2 * p2 * y
    return seen, (
        (d + 2 * x * x * slope + 2 * p1 * y + 6 * p2 * x, across),
        (across, d + 2 * y * y * slope + 2 * p2 * x + 6 * p1 * y),
    )
