"""The similarity that makes "up" up: from the cameras' own frame to that of the scene folder."""

from __future__ import annotations

import numpy as np

from ..cameras import Similarity
from ..scene.normalize import capture_similarity

_DISTINCT = 3.0  # how much more spread the directions to the right must have along every level axis than upwards
_SPREAD = 0.05  # of directions to the right, at least: about three degrees
_AGREE = 0.5  # cosine of the angle between both estimates of "up" up to which the better one is believed


def upright(c2w: np.ndarray, source: str) -> Similarity:
    """The similarity that turns the cameras' up to +z, and brings what they look at to the origin, one away on average.

    People hold cameras level: "up" is what all directions to the right in the pictures are perpendicular to. Where
    these all but agree (a walk along a wall), or where pictures are not level, it is the mean of the pictures' own up.

    Args:
        c2w: Poses [N, 3, 4], OpenCV axes.
        source: Where they come from, for messages.

    Raises:
        SceneError: All cameras stand at one point.
    """
    return capture_similarity(c2w, source, up=_up(c2w))


def _up(c2w: np.ndarray) -> np.ndarray:
    mean = -c2w[:, :, 1].mean(axis=0)
    _, spread, axes = np.linalg.svd(c2w[:, :, 0])
    if len(c2w) < 3 or not spread[1] > max(_DISTINCT * spread[2], _SPREAD * np.sqrt(len(c2w))):
        return mean
    level = axes[2] * np.sign(axes[2] @ mean)
    length = float(np.linalg.norm(mean))
    return level if length > 1e-6 and level @ mean > _AGREE * length else mean
