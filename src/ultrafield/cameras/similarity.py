"""Similarities: scaling, rotation and translation together."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
from numpy.typing import ArrayLike

from ..errors import check_shape

ORTHONORMAL = 1e-3  # deviation from a rotation that printing a matrix with few digits explains


@dataclass(frozen=True, eq=False)
class Similarity:
    """The map x ↦ scale · rotation · x + translation.

    Attributes:
        scale: Positive factor.
        rotation: [3, 3], float64, orthonormal with determinant 1.
        translation: [3], float64.

    Lists are accepted. `ValueError` for another shape, values that are not finite, a scale that is not positive, or a
    matrix that is no rotation.
    """

    scale: float = 1.0
    rotation: np.ndarray = field(default_factory=lambda: np.eye(3))
    translation: np.ndarray = field(default_factory=lambda: np.zeros(3))

    def __post_init__(self) -> None:
        for name in ("rotation", "translation"):  # copies: whoever gave them may go on to write to them
            object.__setattr__(self, name, np.array(as_floats(name, getattr(self, name))))
        check_shape("rotation", self.rotation, (3, 3))
        check_shape("translation", self.translation, (3,))
        if not 0.0 < self.scale < float("inf"):
            raise ValueError(f"scale: expected a positive number, got {self.scale:g}")
        if not np.isfinite(self.translation).all():
            raise ValueError(f"translation: expected finite numbers, got {self.translation.tolist()}")
        deviation = float(rotation_deviation(self.rotation[None])[0])
        if not deviation <= ORTHONORMAL:
            raise ValueError(f"rotation: expected a rotation matrix, got one that is off by {deviation:.3g}")

    def __repr__(self) -> str:
        angle = np.degrees(np.arccos(np.clip((np.trace(self.rotation) - 1.0) / 2.0, -1.0, 1.0)))
        x, y, z = self.translation
        return f"Similarity(scale {self.scale:g}, rotation by {angle:.3g}°, translation ({x:g}, {y:g}, {z:g}))"

    def apply(self, points: ArrayLike) -> np.ndarray:
        """Map points [..., 3], arrays or lists; float32 stays float32, integers become float64."""
        points = np.asarray(points)
        mapped = self.scale * (points @ self.rotation.T) + self.translation
        return mapped.astype(points.dtype, copy=False) if np.issubdtype(points.dtype, np.floating) else mapped

    def apply_poses(self, c2w: ArrayLike) -> np.ndarray:
        """Map camera-to-world poses [N, 3, 4]: centres as points, axes by the rotation alone."""
        c2w = np.asarray(c2w)
        axes = self.rotation @ c2w[:, :, :3]  # [N, 3, 3]
        centres = self.apply(c2w[:, :, 3])  # [N, 3]
        return np.concatenate([axes, centres[:, :, None]], axis=2)

    def inverse(self) -> Similarity:
        """The similarity that undoes this one."""
        rotation = self.rotation.T
        return Similarity(1.0 / self.scale, rotation, -(rotation @ self.translation) / self.scale)


def as_floats(name: str, values: ArrayLike) -> np.ndarray:
    """Numbers as float64; `ValueError` names what holds anything else, or an integer that float64 cannot hold."""
    try:
        array = np.asarray(values)
        if array.dtype.kind in "biufO":  # lists of integers beyond 64 bits are objects
            return array.astype(np.float64, copy=False)
    except (TypeError, ValueError, OverflowError) as error:
        raise ValueError(f"{name}: expected an array of numbers ({error})") from None
    raise ValueError(f"{name}: expected an array of numbers, got {array.dtype}")


def rotation_deviation(matrices: np.ndarray) -> np.ndarray:
    """Deviation of matrices [N, 3, 3] from a rotation: the largest |RᵀR − 1| [N], infinite for a reflection; NaN for
    entries that are not finite."""
    with np.errstate(invalid="ignore", over="ignore"):
        deviation = np.abs(matrices.transpose(0, 2, 1) @ matrices - np.eye(3)).max(axis=(1, 2), initial=0.0)
        mirrored = np.einsum("ni,ni->n", np.cross(matrices[:, :, 0], matrices[:, :, 1]), matrices[:, :, 2]) < 0
    return np.where(mirrored, np.inf, deviation)
