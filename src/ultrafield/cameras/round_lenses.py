"""Round lenses with a closed form both ways: the FOV model, the division model, and the enhanced unified model.

Each moves a ray along the line through the middle of the picture; all are COLMAP's (`FOV`, `DIVISION`, `EUCM`).

Source: Devernay and Faugeras, "Straight lines have to be straight", 2001 (FOV); Fitzgibbon, "Simultaneous linear
estimation of multiple view geometry and lens distortion", 2001 (division); Khomutenko et al., "An enhanced unified
camera model", 2016 (EUCM).
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np


def distort_fov(flat: np.ndarray, distortion: np.ndarray) -> np.ndarray:
    """Where rays x/z, y/z [N, 2] are seen [N, 2]; `distortion` begins with the angle ω in radians."""
    omega = distortion[0]
    spread = 2 * np.tan(omega / 2)
    return _scaled(flat, lambda radius: np.arctan(spread * radius) / omega if omega else radius)


def undistort_fov(seen: np.ndarray, distortion: np.ndarray) -> np.ndarray:
    """Rays [N, 2] that are seen at `seen` [N, 2]; NaN where there is none before the camera."""
    omega = distortion[0]
    spread = 2 * np.tan(omega / 2)

    def ray(radius: np.ndarray) -> np.ndarray:
        angle = radius * omega
        return np.where(np.abs(angle) < np.pi / 2, np.tan(angle) / spread, np.nan) if omega else radius

    return _scaled(seen, ray)


def distort_division(flat: np.ndarray, distortion: np.ndarray) -> np.ndarray:
    """Where rays x/z, y/z [N, 2] are seen [N, 2]; `distortion` begins with k. NaN for rays that are seen nowhere."""
    root = 1 - 4 * distortion[0] * _squared(flat)
    with np.errstate(invalid="ignore"):
        return flat * (2 / (1 + np.sqrt(root)))[:, None]


def undistort_division(seen: np.ndarray, distortion: np.ndarray) -> np.ndarray:
    """Rays [N, 2] that are seen at `seen` [N, 2]; NaN where there is none before the camera."""
    below = 1 + distortion[0] * _squared(seen)
    return seen / np.where(below > 0, below, np.nan)[:, None]


def distort_eucm(flat: np.ndarray, distortion: np.ndarray) -> np.ndarray:
    """Where rays x/z, y/z [N, 2] are seen [N, 2]; `distortion` begins with α, β."""
    alpha, beta = distortion[:2]
    with np.errstate(invalid="ignore"):
        below = alpha * np.sqrt(beta * _squared(flat) + 1) + 1 - alpha
        return flat / np.where(below > 0, below, np.nan)[:, None]


def undistort_eucm(seen: np.ndarray, distortion: np.ndarray) -> np.ndarray:
    """Rays [N, 2] that are seen at `seen` [N, 2]; NaN where there is none before the camera."""
    alpha, beta = distortion[:2]
    squared = beta * _squared(seen)
    with np.errstate(invalid="ignore", divide="ignore"):
        below = alpha * np.sqrt(1 - (2 * alpha - 1) * squared) + 1 - alpha
        depth = (1 - alpha * alpha * squared) / below
        return seen / np.where((below > 0) & (depth > 0), depth, np.nan)[:, None]


def _squared(places: np.ndarray) -> np.ndarray:
    with np.errstate(over="ignore"):
        return places[:, 0] ** 2 + places[:, 1] ** 2


def _scaled(places: np.ndarray, move: Callable[[np.ndarray], np.ndarray]) -> np.ndarray:
    """Places [N, 2] at other distances from the middle."""
    radius = np.sqrt(_squared(places))
    factor = np.ones_like(radius)
    with np.errstate(over="ignore", invalid="ignore", divide="ignore"):
        np.divide(move(radius), radius, out=factor, where=radius > 0)
        return places * factor[:, None]
