"""Cameras far beyond all others: a pose that went wrong must not decide the scale of the scene."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from ..errors import shortened
from .frames import Frame, Warn, poses

_FAR = 10.0  # times as far from the middle as three quarters of the cameras are
_QUARTILE = 0.75
_SHOWN = 120  # characters of names in a warning
_FEWEST = 4  # cameras; of three, any could be the one that is wrong


def usual_views(frames: Sequence[Frame], source: Path, warn: Warn) -> list[Frame]:
    """The frames whose cameras do not stand far beyond the others; says which do.

    Args:
        frames: All frames whose cameras decide the scale.
        source: What lists them, for messages.
        warn: Told once, if there are such cameras.
    """
    far = outlying(poses(frames)[:, :, 3])
    if not far.any():
        return list(frames)
    named = shortened(", ".join(frame.name for frame, beyond in zip(frames, far, strict=True) if beyond), _SHOWN)
    cameras = "camera stands" if far.sum() == 1 else "cameras stand"
    warn(
        f"{source}: {int(far.sum())} {cameras} more than {_FAR:g} times as far out as the others ({named}), which "
        "alone decide position and scale of the scene; if the pose is wrong, take the view out of the file"
    )
    return [frame for frame, beyond in zip(frames, far, strict=True) if not beyond]


def outlying(centres: np.ndarray) -> np.ndarray:
    """Which camera centres [N, 3] lie far beyond the others [N] bool; never more than a quarter of them."""
    if len(centres) < _FEWEST:
        return np.zeros(len(centres), bool)
    distances = np.linalg.norm(centres - np.median(centres, axis=0), axis=1)
    usual = float(np.quantile(distances, _QUARTILE, method="lower"))
    return distances > _FAR * usual if usual > 0 else np.zeros(len(centres), bool)
