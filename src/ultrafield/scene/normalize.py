"""The normalised frame: similarities computed from the user's cameras, and the box to be modelled."""

from __future__ import annotations

import math

import numpy as np

from ..cameras import Cameras, Similarity, focus_point
from ..errors import SceneError

PUBLISHED_RADIUS = 1.5
OBJECT_NEAR = 0.01  # where rays begin in a bounded scene, normalised units
CAPTURE_NEAR = 0.05  # the same in a capture: of the mean distance between the cameras and their focus
LARGEST_HALF_EXTENT = 0.5 * 2**16  # 17 nested boxes
DEFAULT_HALF_EXTENT = 8.0  # of a capture that does not say how large its surroundings are
_MARGIN = 1.25  # of pictures around a bounded object
_NGP_SCALE = 0.33  # instant-ngp multiplies positions by this, and its box is aabb_scale wide


def radius_similarity(c2w: np.ndarray, source: str, *, radius: float = PUBLISHED_RADIUS) -> Similarity:
    """The scaling that puts cameras around the origin at `radius` on average.

    Args:
        c2w: Poses [N, 3, 4], user's frame.
        source: Their file, for messages.
        radius: Mean distance to reach.

    Raises:
        SceneError: All cameras stand at the origin.
    """
    mean = float(np.linalg.norm(c2w[:, :, 3], axis=1).mean())
    if mean < 1e-9:
        raise SceneError(f"{source}: all cameras stand at the origin; their distance cannot be normalised")
    return Similarity(scale=radius / mean)


def capture_similarity(c2w: np.ndarray, source: str, *, up: np.ndarray | None = None) -> Similarity:
    """The similarity that moves the cameras' focus to the origin, for real captures.

    Their mean distance to it becomes 1, and their mean up direction +z.

    Args:
        c2w: Poses [N, 3, 4], OpenCV axes, user's frame.
        source: Their file, for messages.
        up: What becomes +z [3], where it is known better.

    Raises:
        SceneError: All cameras stand at one point, so that no depth can be seen.
    """
    centres = c2w[:, :, 3]
    _check_apart(centres, source)
    focus = focus_point(c2w)
    distance = float(np.linalg.norm(centres - focus, axis=1).mean())
    rotation = _rotation_to_z(-c2w[:, :, 1].mean(axis=0) if up is None else up)
    scale = 1.0 / distance if distance > 0 else 1.0
    return Similarity(scale, rotation, -scale * (rotation @ focus))


def object_similarity(cameras: Cameras, source: str) -> Similarity:
    """The scaling and shift that bring an object in the middle of the pictures into the box [-0.5, 0.5]³.

    The cameras' focus goes to the origin. The cameras' mean distance to it becomes 1.5 as in Blender-HS, or less if
    their pictures show more than half a unit and a margin of a quarter to each side of the focus.

    Args:
        cameras: Cameras that look at the object, user's frame.
        source: Their origin, for messages.

    Raises:
        SceneError: All cameras stand at one point.
    """
    centres = cameras.c2w[:, :, 3]
    _check_apart(centres, source)
    focus = focus_point(cameras.c2w)
    distances = np.linalg.norm(centres - focus, axis=1)
    slopes = (0.5 * cameras.sizes / cameras.intrinsics[:, :2]).max(axis=1)  # of the rays through the picture's edges
    scale = min(PUBLISHED_RADIUS / distances.mean(), 0.5 * _MARGIN / float((distances * slopes).max()))
    return Similarity(float(scale), np.eye(3), -scale * focus)


def _check_apart(centres: np.ndarray, source: str) -> None:
    """Raise `SceneError` if several cameras all stand at one point."""
    if len(centres) > 1 and np.ptp(centres, axis=0).max() <= 1e-9 * max(1.0, np.abs(centres).max()):
        raise SceneError(f"{source}: all {len(centres)} cameras stand at the same point; depth cannot be recovered")


def capture_half_extent(
    to_normalised: Similarity, c2w: np.ndarray, *, aabb_scale: float | None, position_scale: float | None
) -> float:
    """Half the edge of the box to model around a real capture, normalised units, 0.5 · 2^k.

    Args:
        to_normalised: The capture's similarity.
        c2w: Poses [N, 3, 4], user's frame.
        aabb_scale: Edge of instant-ngp's box in its own units, None if not listed.
        position_scale: instant-ngp's factor from the user's units to its own, None for its default.

    Returns:
        At least the half edge of instant-ngp's box where that is listed, 8 where it is not; in any case the box holds
        all cameras.
    """
    cameras = float(np.abs(to_normalised.apply(c2w[:, :, 3])).max())
    if aabb_scale is None:
        return rounded_up(max(DEFAULT_HALF_EXTENT, cameras))
    box = 0.5 * aabb_scale / (position_scale or _NGP_SCALE) * to_normalised.scale
    return rounded_up(max(box, cameras))


def rounded_up(half_extent: float) -> float:
    """The smallest 0.5 · 2^k, k ≥ 0, that is not below `half_extent`."""
    return 0.5 * 2.0 ** max(0, math.ceil(math.log2(half_extent / 0.5) - 1e-9))


def _rotation_to_z(direction: np.ndarray) -> np.ndarray:
    """The smallest rotation [3, 3] that turns `direction` [3] to +z; the identity for one without length."""
    length = float(np.linalg.norm(direction))
    if length < 1e-6:
        return np.eye(3)
    x, y, z = direction / length
    if z < -1 + 1e-9:
        return np.diag([1.0, -1.0, -1.0])
    cross = np.array([[0.0, 0.0, -x], [0.0, 0.0, -y], [x, y, 0.0]])  # of the axis direction × z
    return np.eye(3) + cross + cross @ cross / (1 + z)
