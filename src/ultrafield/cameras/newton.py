"""Inverting a lens by Newton's method: which rays are seen at given places."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

Jacobian = tuple[tuple[np.ndarray, np.ndarray], tuple[np.ndarray, np.ndarray]]
LensFunction = Callable[[np.ndarray], tuple[np.ndarray, Jacobian]]

_STEPS = 30  # of Newton's method, which needs about five
_CLOSE = 1e-12  # a smaller step changes nothing
_EXACT = 1e-6  # of a focal length: what may remain


def invert(lens: LensFunction, seen: np.ndarray) -> np.ndarray:
    """Rays [N, 2] that a lens shows at `seen` [N, 2]; NaN where none is found.

    Args:
        lens: From rays [N, 2] to where they are seen [N, 2], and the derivatives of both coordinates by x and y.
        seen: Places before focal length and principal point; the search starts there.
    """
    flat, waiting = seen.copy(), np.arange(len(seen))
    with np.errstate(over="ignore", invalid="ignore", divide="ignore"):
        for _ in range(_STEPS):
            step = _newton_step(lens, flat[waiting], seen[waiting])
            flat[waiting] -= step
            waiting = waiting[(np.abs(step) > _CLOSE).any(axis=1)]  # NaN will not get better
            if len(waiting) == 0:
                break
        good = np.abs(lens(flat)[0] - seen).max(axis=1) < _EXACT
    flat[~good] = np.nan
    return flat


def turning_radius(*coefficients: float) -> float:
    """The radius up to which r (1 + k1 r² + k2 r⁴ + …) grows; infinite if it always does.

    Args:
        coefficients: k1, k2, …
    """
    derivative = [1.0, *((2 * order + 1) * k for order, k in enumerate(coefficients, start=1))]
    roots = np.roots(derivative)  # in 1 / r²
    real = roots.real[(np.abs(roots.imag) <= 1e-9 * np.abs(roots)) & (roots.real > 0)]
    return float(1.0 / np.sqrt(real.max())) if len(real) else float("inf")


def _newton_step(lens: LensFunction, flat: np.ndarray, seen: np.ndarray) -> np.ndarray:
    """What to take from rays [N, 2] so that they are seen nearer to `seen` [N, 2]."""
    reached, ((a, b), (c, d)) = lens(flat)
    error = reached - seen
    step = np.stack([d * error[:, 0] - b * error[:, 1], a * error[:, 1] - c * error[:, 0]], axis=1)
    return step / (a * d - b * c)[:, None]
