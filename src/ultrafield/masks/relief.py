"""What the shape of a surface says about where one thing ends: depth steps and creases between neighbouring pixels.

Inverse depth is an affine function of the pixel on every plane, so that a plane fitted to the inverse depths around a
pixel tells exactly where its neighbour lies if the surface goes on. A neighbour that lies elsewhere, seen from either
side, is a *step*; it is measured in footprints, the width of a pixel at its depth. Where there is no step, the angle
between the normals on both sides is a *crease*. Things meet in hollow creases (a cup on a table, a drawer in its
frame), while bulging ones are mostly edges of the same thing, so that the hollow ones say more: the observation behind
segmentation by local convexity (Stein et al. 2014).
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import product
from typing import Self

import numpy as np

from ..cameras.pixels import resize_nearest
from ..errors import check_shape

STEP, HOLLOW, BULGE = 30.0, 35.0, 6.0  # weights of a full step and full creases, in units of Lab
FAINT, FULL = 0.75, 8.0  # footprints at which a step begins to count, and from which it counts fully
FULL_CREASE = np.pi / 3
_SAME_SIDE = 6.0  # footprints per pixel of distance up to which neighbours are fitted by the same plane
_AWAY = 1  # pixels from a border to the normals that are compared across it, beside those next to it


@dataclass(frozen=True, eq=False)
class ViewDepth:
    """The depth map of a picture.

    Attributes:
        depth: z-depth [H, W], float32, any unit; 0 where nothing is seen.
        intrinsics: Focal lengths fx, fy and principal point cx, cy in pixels of the depth map [4].
    """

    depth: np.ndarray
    intrinsics: np.ndarray

    def __post_init__(self) -> None:
        check_shape("depth", self.depth, (None, None))
        check_shape("intrinsics", self.intrinsics, (4,))

    def resized(self, size: tuple[int, int]) -> Self:
        """The same map with other numbers of rows and columns; nothing is averaged across a step."""
        import cv2

        if self.depth.shape == size:
            return self
        inverse = _inverse(self.depth)
        scale = np.array(size[::-1]) / self.depth.shape[::-1]
        nearest = resize_nearest(inverse, size)
        smooth = cv2.resize(inverse, size[::-1], interpolation=cv2.INTER_LINEAR)
        square = np.ones((3, 3), np.uint8)
        spread = cv2.dilate(inverse, square) - cv2.erode(inverse, square)
        near = resize_nearest(spread * self._focal() > 2 * _SAME_SIDE * inverse, size)  # a step is near
        chosen = np.where(near | (nearest == 0), nearest, smooth)
        depth = np.divide(1, chosen, out=np.zeros_like(chosen), where=chosen > 0)
        return type(self)(depth, self.intrinsics * np.tile(scale, 2))

    def contrasts(self) -> tuple[np.ndarray, np.ndarray]:
        """How much the surface breaks between each pixel and the one to the right, and the one below.

        Returns:
            Two arrays [H, W], float64, from 0 to about 35 (units of Lab, to be added to differences of colour); 0 in
            the last column or row.
        """
        inverse = _inverse(self.depth).astype(np.float64)
        planes = _fit_planes(inverse, self._focal())
        normals, points = self._normals(planes), self._points()
        return self._across(inverse, planes, normals, points, 1), self._across(inverse, planes, normals, points, 0)

    def _focal(self) -> float:
        return float(self.intrinsics[:2].mean())

    def _offsets(self) -> tuple[np.ndarray, np.ndarray]:
        """Columns [1, W] and rows [H, 1] of pixel centres from the principal point."""
        height, width = self.depth.shape
        columns = np.arange(width)[None] + 0.5 - self.intrinsics[2]
        return columns, np.arange(height)[:, None] + 0.5 - self.intrinsics[3]

    def _normals(self, planes: np.ndarray) -> np.ndarray:
        """Unit normals [H, W, 3] of the planes, towards the camera: on n·p = 1 inverse depth is n·(x/z, y/z, 1)."""
        columns, rows = self._offsets()
        at_centre = planes[0] - planes[1] * columns - planes[2] * rows
        normals = -np.stack([planes[1] * self.intrinsics[0], planes[2] * self.intrinsics[1], at_centre], axis=-1)
        return normals / np.maximum(np.linalg.norm(normals, axis=-1, keepdims=True), 1e-12)

    def _points(self) -> np.ndarray:
        columns, rows = self._offsets()
        z = self.depth.astype(np.float64)
        return np.stack([columns / self.intrinsics[0] * z, rows / self.intrinsics[1] * z, z], axis=-1)

    def _across(
        self, inverse: np.ndarray, planes: np.ndarray, normals: np.ndarray, points: np.ndarray, axis: int
    ) -> np.ndarray:
        """The contrast between each pixel and its next one along an axis."""
        slope = planes[1] if axis == 1 else planes[2]
        after, slope_after = _shifted(inverse, axis, 1), _shifted(slope, axis, 1)
        gap = np.minimum(np.abs(after - inverse - slope), np.abs(after - inverse - slope_after))
        nearer = np.maximum(inverse, after)
        footprints = np.divide(gap * self._focal(), nearer, out=np.zeros_like(gap), where=nearer > 0)
        footprints[(inverse > 0) != (after > 0)] = np.inf  # the outline against nothing
        step = np.clip((footprints - FAINT) / (FULL - FAINT), 0, 1)
        before, beyond = _shifted(normals, axis, -_AWAY), _shifted(normals, axis, 1 + _AWAY)
        angle = np.arccos(np.clip((before * beyond).sum(axis=-1), -1, 1))
        hollow = ((beyond - before) * (_shifted(points, axis, 1) - points)).sum(axis=-1) < 0
        crease = np.where(hollow, HOLLOW, BULGE) * np.minimum(angle / FULL_CREASE, 1)
        crease[(step == 1) | (inverse == 0) | (after == 0)] = 0  # normals of different surfaces
        contrast = STEP * step + crease
        contrast[:, -1] = np.where(axis == 1, 0, contrast[:, -1])
        contrast[-1] = np.where(axis == 0, 0, contrast[-1])
        return np.asarray(contrast)


def _inverse(depth: np.ndarray) -> np.ndarray:
    """Inverse depth, float32; 0 where there is none."""
    valid = np.isfinite(depth) & (depth > 0)
    return np.divide(1, depth, out=np.zeros(depth.shape, np.float32), where=valid, casting="same_kind")


def _shifted(array: np.ndarray, axis: int, by: int) -> np.ndarray:
    """What lies `by` rows (axis 0) or columns (axis 1) further; the last ones are repeated."""
    return array.take(np.clip(np.arange(array.shape[axis]) + by, 0, array.shape[axis] - 1), axis=axis)


def _fit_planes(inverse: np.ndarray, focal: float) -> np.ndarray:
    """Least-squares planes of inverse depth around each pixel: value, and slopes along columns and rows [3, H, W].

    Of the 3×3 pixels around, those count that may lie on the same surface.
    """
    height, width = inverse.shape
    moments, products = np.zeros((3, 3, height, width)), np.zeros((3, height, width))
    for down, right in product((-1, 0, 1), repeat=2):
        other = _shifted(_shifted(inverse, 0, down), 1, right)
        distance = max(abs(down), abs(right), 1)
        counts = (other > 0) & (np.abs(other - inverse) * focal < _SAME_SIDE * distance * inverse)
        counts[: max(-down, 0)] = counts[height - max(down, 0) :] = False  # beyond the picture
        counts[:, : max(-right, 0)] = counts[:, width - max(right, 0) :] = False
        terms = (1, right, down)
        for row, column in product(range(3), repeat=2):
            moments[row, column] += counts * (terms[row] * terms[column])
        for row in range(3):
            products[row] += counts * (other - inverse) * terms[row]
    system = np.moveaxis(moments, (0, 1), (-2, -1)) + 1e-6 * np.eye(3)  # lone pixels lie level
    planes = np.linalg.solve(system, np.moveaxis(products, 0, -1)[..., None])[..., 0]
    planes[..., 0] += inverse
    return np.moveaxis(planes, -1, 0)
