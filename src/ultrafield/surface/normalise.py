"""A normalised frame for surfaces that come without a scene.

Coordinates may be large (UTM: 5·10⁵, 4.6·10⁶), so all is measured from the first camera before anything else, in
float64. The scale is a power of two and nothing is rotated: moving a capture then changes no bit of its surface, as
long as its coordinates can be moved without rounding.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from ..cameras import Cameras, Similarity
from ..cameras.projection import back_project

_TRIMMED = 0.01  # part of the points on either side that does not decide the extent: strays and sky
_STEPS = 4  # the middle is rounded to this part of the scale: coarsely, as rounded coordinates must not change it
_MOST_PIXELS = 1 << 18  # that tell the extent of depth maps


@dataclass(frozen=True, eq=False)
class Frame:
    """A normalised frame.

    Attributes:
        to_user: From the normalised to the user's frame.
        half_extent: Half the longest edge of the box that holds the points, between 0.25 and 0.5 normalised units.
    """

    to_user: Similarity
    half_extent: float

    def cameras(self, cameras: Cameras) -> Cameras:
        """Cameras of the user's frame in the normalised one."""
        return cameras.moved(self.to_user.inverse())

    def points(self, points: np.ndarray) -> np.ndarray:
        """Points [N, 3] float64 of the user's frame in the normalised one."""
        return (points - self.to_user.translation) / self.to_user.scale


def frame_around(points: np.ndarray, cameras: Cameras) -> Frame:
    """The frame in which points fill the box [−0.5, 0.5]³, at least half of it.

    Args:
        points: [P, 3] float64, relative to the first camera's position.
        cameras: User's frame.
    """
    low, high = np.quantile(points, [_TRIMMED, 1.0 - _TRIMMED], axis=0)
    extent = float((high - low).max())
    if extent == 0.0:
        extent = float(np.linalg.norm(points, axis=1).mean()) or 1.0
    scale = 2.0 ** np.ceil(np.log2(extent))
    middle = np.round(0.5 * (low + high) / scale * _STEPS) * (scale / _STEPS)
    return Frame(Similarity(float(scale), np.eye(3), cameras.c2w[0, :, 3] + middle), 0.5 * extent / scale)


def frame_of_depths(depths: list[np.ndarray], cameras: Cameras) -> Frame:
    """The frame of what depth maps show.

    Args:
        depths: z-depth [V][H, W], user's units, 0 for none; one pixel at least shows something.
        cameras: Of the depth maps' sizes, user's frame.
    """
    nearby = cameras.moved(Similarity(translation=-cameras.c2w[0, :, 3]))
    stride = int(np.ceil(np.sqrt(sum(depth.size for depth in depths) / _MOST_PIXELS)))
    points = _shown(depths, nearby, stride)
    return frame_around(points if len(points) > 0 else _shown(depths, nearby, 1), cameras)


def _shown(depths: list[np.ndarray], cameras: Cameras, stride: int) -> np.ndarray:
    """Points [P, 3] float64 that every `stride`-th row and column of the depth maps show."""
    parts = [back_project(cameras, index, depth, stride=stride) for index, depth in enumerate(depths)]
    points = np.concatenate([part.reshape(-1, 3) for part in parts]).astype(np.float64)
    return points[np.isfinite(points).all(axis=1)]
