"""A camera path around the focus of the training cameras."""

from __future__ import annotations

import numpy as np

from .focus import focus_point
from .model import Cameras

_WIDEST_GAP = np.deg2rad(120.0)
_WIDEST_SINE = 0.8  # of the angle at which the rim of a ball is seen; from nearer, only its middle is shown
_FILLED = 0.92  # part of the picture's shorter edge that it fills


def orbit(cameras: Cameras, frames: int, *, focus: np.ndarray | None = None, reach: float | None = None) -> Cameras:
    """A closed camera path: a full circle if the training cameras stand all around, else a sweep to and fro.

    Args:
        cameras: Training cameras, any frame.
        frames: Number of cameras on the path.
        focus: Where to look [3]; `focus_point` of the training cameras if None.
        reach: Radius of the ball around it that is to fill the picture; focal lengths follow. None to keep them.

    Returns:
        Cameras in the same frame that look at the focus from the training cameras' mean distance and elevation, with
        the first one's size and focal lengths and no distortion.
    """
    focus, up = focus_point(cameras.c2w) if focus is None else focus, _up(cameras)
    side = _unit(np.cross(up, _least_aligned_axis(up)))
    ahead = np.cross(up, side)
    offsets = cameras.c2w[:, :, 3] - focus  # [N, 3]
    azimuths = np.arctan2(offsets @ ahead, offsets @ side)
    height = float((offsets @ up).mean())
    radius = float(np.hypot(offsets @ side, offsets @ ahead).mean())
    angles = _sweep(azimuths, frames)
    circle = np.cos(angles)[:, None] * side + np.sin(angles)[:, None] * ahead
    centres = focus + radius * circle + height * up
    poses = np.stack([_look_at(centre, focus, up) for centre in centres])
    lens = _centred(cameras)
    if reach is not None:
        lens[:2] *= _enlarged(lens[:2], cameras.sizes[0], reach, float(np.hypot(radius, height)))
    return Cameras.pinhole(poses, lens, cameras.sizes[0])


def _enlarged(focal: np.ndarray, size: np.ndarray, reach: float, distance: float) -> float:
    """Factor on focal lengths [2] by which a ball of radius `reach` fills a picture of `size` [2] from a distance."""
    sine = min(reach / max(distance, 1e-12), _WIDEST_SINE)
    tangent = sine / np.sqrt(1.0 - sine**2)
    return float((0.5 * size / tangent / focal).min() * _FILLED)


def _up(cameras: Cameras) -> np.ndarray:
    """Mean up direction of the pictures [3]; if they have none in common (a drone looking down while it turns), the
    direction opposite to the mean viewing direction."""
    for mean in (-cameras.c2w[:, :, 1].mean(axis=0), -cameras.c2w[:, :, 2].mean(axis=0)):
        if np.linalg.norm(mean) > 1e-6:
            return _unit(mean)
    return np.array([0.0, 0.0, 1.0])


def _sweep(azimuths: np.ndarray, frames: int) -> np.ndarray:
    """Angles of the path [frames]."""
    ordered = np.sort(azimuths)
    gaps = np.diff(ordered, append=ordered[0] + 2 * np.pi)
    widest = int(gaps.argmax())
    turns = np.arange(frames) / frames
    if gaps[widest] < _WIDEST_GAP:
        return ordered[0] + 2 * np.pi * turns
    start, extent = ordered[(widest + 1) % len(ordered)], 2 * np.pi - gaps[widest]
    return start + extent * 0.5 * (1.0 - np.cos(2 * np.pi * turns))


def _look_at(centre: np.ndarray, target: np.ndarray, up: np.ndarray) -> np.ndarray:
    """Camera-to-world pose [3, 4], OpenCV axes."""
    forward = _unit(target - centre)
    right = _unit(np.cross(forward, up))
    return np.stack([right, np.cross(forward, right), forward, centre], axis=1)


def _centred(cameras: Cameras) -> np.ndarray:
    """The first camera's focal lengths with the principal point in the middle [4]."""
    width, height = cameras.sizes[0]
    return np.array([*cameras.intrinsics[0, :2], width / 2, height / 2])


def _least_aligned_axis(direction: np.ndarray) -> np.ndarray:
    return np.eye(3)[int(np.abs(direction).argmin())]


def _unit(vector: np.ndarray) -> np.ndarray:
    return vector / np.linalg.norm(vector)
