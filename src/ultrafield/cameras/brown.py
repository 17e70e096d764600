"""Brown's lens with a radial polynomial up to r⁸, which OpenCV lacks; nerfstudio, Metashape and RealityCapture have it.

With r² = x² + y² and d = 1 + k1 r² + k2 r⁴ + k3 r⁶ + k4 r⁸, a ray (x, y, 1) is seen at
(x d + 2 p1 x y + p2 (r² + 2 x²), y d + 2 p2 x y + p1 (r² + 2 y²)).
"""

from __future__ import annotations

import numpy as np

_STEPS = 30  # of Newton's method, which needs about five
_CLOSE = 1e-12  # a smaller step changes nothing
_EXACT = 1e-6  # of a focal length: what may remain


def distort_brown(flat: np.ndarray, distortion: np.ndarray) -> np.ndarray:
    """Where rays x/z, y/z [N, 2] are seen, before focal length and principal point [N, 2]; NaN stays NaN.

    Args:
        flat: Rays.
        distortion: k1 k2 p1 p2 k3 k4, zero-padded [8].
    """
    with np.errstate(over="ignore", invalid="ignore"):
        return _distorted(flat, distortion)[0]


def undistort_brown(seen: np.ndarray, distortion: np.ndarray) -> np.ndarray:
    """Rays x/z, y/z [N, 2] that are seen at `seen` [N, 2], by Newton's method; the inverse of `distort_brown`.

    NaN where there is none on the near side of the radius from which the polynomial folds back.
    """
    flat, waiting = seen.copy(), np.arange(len(seen))
    with np.errstate(over="ignore", invalid="ignore", divide="ignore"):
        for _ in range(_STEPS):
            step = _newton_step(flat[waiting], seen[waiting], distortion)
            flat[waiting] -= step
            waiting = waiting[(np.abs(step) > _CLOSE).any(axis=1)]  # NaN will not get better
            if len(waiting) == 0:
                break
        reached = _distorted(flat, distortion)[0]
        good = (np.abs(reached - seen).max(axis=1) < _EXACT) & (np.hypot(*flat.T) <= _fold(distortion))
    flat[~good] = np.nan
    return flat


def _newton_step(flat: np.ndarray, seen: np.ndarray, distortion: np.ndarray) -> np.ndarray:
    """What to take from rays [N, 2] so that they are seen nearer to `seen` [N, 2]."""
    reached, ((a, b), (c, d)) = _distorted(flat, distortion)
    error = reached - seen
    step = np.stack([d * error[:, 0] - b * error[:, 1], a * error[:, 1] - c * error[:, 0]], axis=1)
    return step / (a * d - b * c)[:, None]


def _distorted(flat: np.ndarray, distortion: np.ndarray) -> tuple[np.ndarray, tuple[tuple[np.ndarray, ...], ...]]:
    """Where rays are seen [N, 2], and the derivatives of both coordinates by x and y, each [N]."""
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


def _fold(distortion: np.ndarray) -> float:
    """The radius up to which r · d(r) grows; infinite if it always does."""
    k1, k2, _, _, k3, k4 = distortion[:6]
    roots = np.roots([1.0, 3 * k1, 5 * k2, 7 * k3, 9 * k4])  # of its derivative, in 1 / r²
    real = roots.real[(np.abs(roots.imag) <= 1e-9 * np.abs(roots)) & (roots.real > 0)]
    return float(1.0 / np.sqrt(real.max())) if len(real) else float("inf")
