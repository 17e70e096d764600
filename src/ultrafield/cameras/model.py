"""Cameras with their lenses, in OpenCV's axes: x right, y down, z forward; pixel centres lie at +0.5."""

from __future__ import annotations

from dataclasses import dataclass, replace
from enum import IntEnum

import numpy as np

from ..errors import check_shape
from .similarity import Similarity


class Lens(IntEnum):
    """Lens model of a camera; parameters are OpenCV's, in OpenCV's order."""

    PINHOLE = 0
    OPENCV = 1  # k1 k2 p1 p2 k3 k4 k5 k6
    FISHEYE = 2  # k1 k2 k3 k4


@dataclass(frozen=True)
class Cameras:
    """N cameras, each with its own size and lens.

    Attributes:
        c2w: Camera-to-world poses [N, 3, 4], float64, OpenCV axes.
        intrinsics: fx, fy, cx, cy in pixels [N, 4], float64.
        sizes: Width, height in pixels [N, 2], int64.
        lenses: `Lens` of each camera [N], int64.
        distortion: OpenCV parameters, zero-padded [N, 8], float64.
    """

    c2w: np.ndarray
    intrinsics: np.ndarray
    sizes: np.ndarray
    lenses: np.ndarray
    distortion: np.ndarray

    def __post_init__(self) -> None:
        count = len(self.c2w)
        check_shape("c2w", self.c2w, (count, 3, 4))
        check_shape("intrinsics", self.intrinsics, (count, 4))
        check_shape("sizes", self.sizes, (count, 2))
        check_shape("lenses", self.lenses, (count,))
        check_shape("distortion", self.distortion, (count, 8))

    def __len__(self) -> int:
        return len(self.c2w)

    def __getitem__(self, index: slice | np.ndarray | list[int]) -> Cameras:
        """A subset of the cameras, in the order asked for."""
        arrays = (self.c2w, self.intrinsics, self.sizes, self.lenses, self.distortion)
        return Cameras(*(array[index] for array in arrays))

    def resized(self, sizes: np.ndarray) -> Cameras:
        """The same cameras taking pictures of other sizes [N, 2] (width, height)."""
        factor = sizes / self.sizes  # [N, 2]
        return replace(self, intrinsics=self.intrinsics * np.concatenate([factor, factor], axis=1), sizes=sizes)

    def moved(self, similarity: Similarity) -> Cameras:
        """The same cameras in the frame that `similarity` maps to."""
        return replace(self, c2w=similarity.apply_poses(self.c2w))

    @staticmethod
    def pinhole(c2w: np.ndarray, intrinsics: np.ndarray, sizes: np.ndarray) -> Cameras:
        """Cameras without distortion; `intrinsics` [4] and `sizes` [2] may be shared by all."""
        count = len(c2w)
        return Cameras(
            np.asarray(c2w, np.float64)[:, :3],
            np.broadcast_to(np.asarray(intrinsics, np.float64), (count, 4)).copy(),
            np.broadcast_to(np.asarray(sizes, np.int64), (count, 2)).copy(),
            np.zeros(count, np.int64),
            np.zeros((count, 8)),
        )
