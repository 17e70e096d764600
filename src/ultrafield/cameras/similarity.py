"""Similarities: scaling, rotation and translation together."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np


@dataclass(frozen=True)
class Similarity:
    """The map x ↦ scale · rotation · x + translation.

    Attributes:
        scale: Positive factor.
        rotation: [3, 3], float64, orthonormal with determinant 1.
        translation: [3], float64.
    """

    scale: float = 1.0
    rotation: np.ndarray = field(default_factory=lambda: np.eye(3))
    translation: np.ndarray = field(default_factory=lambda: np.zeros(3))

    def apply(self, points: np.ndarray) -> np.ndarray:
        """Map points [..., 3]; the dtype of `points` is kept."""
        mapped = self.scale * (points @ self.rotation.T) + self.translation
        return mapped.astype(points.dtype, copy=False)

    def apply_poses(self, c2w: np.ndarray) -> np.ndarray:
        """Map camera-to-world poses [N, 3, 4]: centres as points, axes by the rotation alone."""
        axes = self.rotation @ c2w[:, :, :3]  # [N, 3, 3]
        centres = self.apply(c2w[:, :, 3])  # [N, 3]
        return np.concatenate([axes, centres[:, :, None]], axis=2)

    def inverse(self) -> Similarity:
        """The similarity that undoes this one."""
        rotation = self.rotation.T
        return Similarity(1.0 / self.scale, rotation, -(rotation @ self.translation) / self.scale)
