"""A camera path around what the training cameras look at."""

from __future__ import annotations

import numpy as np

from .model import Cameras

_WIDEST_GAP = np.deg2rad(120.0)


def orbit(cameras: Cameras, frames: int) -> Cameras:
    """Cameras on a closed path: a full circle if the training cameras stand all around, else a sweep to and fro.

    Args:
        cameras: Training cameras; the path is in their frame, with the first one's size and a pinhole lens.
        frames: Number of cameras on the path.

    Returns:
        Cameras that look at `focus_point` from the training cameras' mean distance and elevation.
    """
    focus, up = focus_point(cameras), _unit(-cameras.c2w[:, :, 1].mean(axis=0))
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
    return Cameras.pinhole(poses, _centred(cameras), cameras.sizes[0])


def focus_point(cameras: Cameras) -> np.ndarray:
    """The point [3] with the least summed squared distance to the cameras' optical axes."""
    axes = cameras.c2w[:, :, 2]
    across = np.eye(3) - axes[:, :, None] * axes[:, None, :]  # [N, 3, 3] projections onto the axes' normal planes
    # A little pull towards the cameras keeps parallel axes from sending the point to infinity.
    system = across.sum(axis=0) + 1e-6 * len(axes) * np.eye(3)
    return np.linalg.solve(system, (across @ cameras.c2w[:, :, 3:]).sum(axis=0)[:, 0])


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
