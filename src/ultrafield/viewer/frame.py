"""The frame that is shown: the user's axes, moved and scaled so that the scene is about two units wide around 0."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Self

import numpy as np

from ..cameras import Cameras, Similarity
from ..surface import Surface

_OUTSIDE = 0.01  # part of the points at either end that does not count for the scene's extent
_HALF = 1.0  # largest coordinate of what counts


@dataclass(frozen=True, eq=False)
class DisplayFrame:
    """Maps between the frame shown and the user's; browsers compute in float32, which far coordinates would ruin.

    Attributes:
        to_user: From the frame shown to the user's.
        points: The surface's points [N, 3], float32, frame shown.
        spacing: Typical distance of neighbouring points, units shown.
    """

    to_user: Similarity
    points: np.ndarray
    spacing: float

    @classmethod
    def of(cls, surface: Surface) -> Self:
        """The frame in which a surface is shown."""
        user = surface.points_user
        if len(user) == 0:
            return cls(Similarity(), np.zeros((0, 3), np.float32), 1.0)
        low, high = np.quantile(user[:: max(1, len(user) // 100_000)], [_OUTSIDE, 1.0 - _OUTSIDE], axis=0)
        half = max(float((high - low).max()) / 2, surface.voxel_user)
        to_user = Similarity(half / _HALF, np.eye(3), (low + high) / 2)
        points = to_user.inverse().apply(user).astype(np.float32)
        return cls(to_user, points, surface.voxel_user / to_user.scale)

    def shown(self, points: np.ndarray) -> np.ndarray:
        """User's points [..., 3] in the frame shown, float64."""
        return self.to_user.inverse().apply(np.asarray(points, np.float64))

    def shown_cameras(self, cameras: Cameras) -> Cameras:
        """User's cameras in the frame shown."""
        return cameras.moved(self.to_user.inverse())

    def user_cameras(self, cameras: Cameras) -> Cameras:
        """Cameras of the frame shown in the user's."""
        return cameras.moved(self.to_user)


def free_camera(wxyz: np.ndarray, position: np.ndarray, fov: float, width: int, height: int) -> Cameras:
    """The camera of a browser window.

    Args:
        wxyz: Its rotation to the world as a quaternion [4], OpenCV axes.
        position: Its place [3].
        fov: Vertical field of view, radians.
        width: Width of the picture wanted, pixels.
        height: Its height.
    """
    w, x, y, z = np.asarray(wxyz, np.float64) / np.linalg.norm(wxyz)
    rotation = np.array(
        [
            [1 - 2 * (y * y + z * z), 2 * (x * y - w * z), 2 * (x * z + w * y)],
            [2 * (x * y + w * z), 1 - 2 * (x * x + z * z), 2 * (y * z - w * x)],
            [2 * (x * z - w * y), 2 * (y * z + w * x), 1 - 2 * (x * x + y * y)],
        ]
    )
    pose = np.concatenate([rotation, np.asarray(position, np.float64)[:, None]], axis=1)
    focal = 0.5 * height / np.tan(0.5 * fov)
    intrinsics = np.array([[focal, focal, 0.5 * width, 0.5 * height]])
    sizes = np.array([[width, height]])
    return Cameras(pose[None], intrinsics, sizes, np.zeros(1, np.int64), np.zeros((1, 8)))


def quaternion(rotation: np.ndarray) -> tuple[float, float, float, float]:
    """A rotation matrix [3, 3] as w, x, y, z."""
    from scipy.spatial.transform import Rotation

    x, y, z, w = Rotation.from_matrix(rotation).as_quat()
    return float(w), float(x), float(y), float(z)
