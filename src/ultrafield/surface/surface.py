"""Points on the surfaces that the training views see."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True)
class Surface:
    """Voxel-thinned points on the surfaces that the training views see.

    Attributes:
        points: [N, 3] float32, user's frame.
        normals: [N, 3] float32, unit length, towards the cameras.
        colors: [N, 3] uint8 sRGB.
        visible: Which training view sees which point [V, ceil(N / 8)] uint8, bit-packed along N (`np.packbits`,
            little-endian bit order).
        voxel: Edge of the thinning voxels, user's units; the typical distance of neighbouring points.
    """

    points: np.ndarray
    normals: np.ndarray
    colors: np.ndarray
    visible: np.ndarray
    voxel: float

    def __len__(self) -> int:
        return len(self.points)

    def seen_from(self, view: int) -> np.ndarray:
        """Which points training view `view` sees [N] bool."""
        return np.unpackbits(self.visible[view], count=len(self), bitorder="little").astype(bool)
