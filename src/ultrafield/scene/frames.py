"""A scene folder as every reader lists it before any picture is opened: frames with poses and lenses."""

from __future__ import annotations

import re
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from ..cameras import Similarity
from ..cameras.model import FARTHEST, OPENGL_AXES
from ..errors import SceneError
from ..masks.read import same_aspect, size_text
from ..names import check_name
from .optics import Optics
from .values import matrix, shown

Warn = Callable[[str], None]

_ODD = re.compile("[\x00-\x1f\x7f-\x9f\ud800-\udfff]")  # control characters and bytes that are no UTF-8
_ROUNDING = 1e-3  # deviation from a rotation that printing a pose with few digits explains
_REPAIRABLE = 0.05  # deviation up to which the nearest rotation is taken, with a warning


@dataclass(frozen=True, eq=False)
class Frame:
    """One listed view.

    Attributes:
        name: Unique within its split.
        listed: Its picture as the listing names it, for messages.
        file: The picture on disk; None if it is missing.
        where: File and item of the listing, for messages.
        c2w: Camera-to-world pose [3, 4], OpenCV axes, user's frame.
        optics: Its lens.
        other_names: What else its masks may be called after, no other frame's.
        valid_file: A picture that is black where pixels are to be ignored; None if there is none.
        circle: Radius of the circle around the middle of its picture that shows anything, in pixels of the listed size;
            None if all of it does.
    """

    name: str
    listed: str
    file: Path | None
    where: str
    c2w: np.ndarray
    optics: Optics
    other_names: tuple[str, ...] = ()
    valid_file: Path | None = None
    circle: float | None = None

    def __post_init__(self) -> None:
        # Every reader makes frames, and every path to what is read or written for a view comes from a frame's name.
        check_name(self.name, f"{self.where}: view name")
        for text in (self.name, self.listed):
            if not _is_plain(text):
                raise SceneError(f"{self.where}: the picture {shown(text)} has characters that no text file can hold")

    @property
    def mask_names(self) -> tuple[str, ...]:
        """What its masks may be called after, its own name first; the others may have folders."""
        return (self.name, *self.other_names)


@dataclass(frozen=True, eq=False)
class Listing:
    """A scene folder as listed: everything but pictures and masks.

    Attributes:
        layout: Name of the layout.
        splits: Frames of each split; frames of "val_rotate" may lack their picture, others have it.
        to_normalised: Maps the user's frame to the normalised one.
        background: Colour behind transparent pixels [3] in [0, 1]; None for a real capture.
        half_extent: As `Scene.half_extent`.
        near: As `Scene.near`.
        mask_splits: Names under which the masks of a split may lie, where these differ from the split's own.
    """

    layout: str
    splits: dict[str, tuple[Frame, ...]]
    to_normalised: Similarity
    background: tuple[float, float, float] | None
    half_extent: float
    near: float
    mask_splits: dict[str, tuple[str, ...]] = field(default_factory=dict)


@dataclass(frozen=True)
class ListingOptions:
    """How a scene folder is listed.

    Attributes:
        hold_out: Every `hold_out`-th view is a validation view where the folder names none; None for none.
        allow_missing: As for `load_scene`.
        images: Folder of the pictures, None to look where they usually lie.
        warn: Told, in one line each, about what does not stop the work.
    """

    hold_out: int | None
    allow_missing: bool | None
    images: Path | None
    warn: Warn


def print_warning(text: str) -> None:
    """Print a warning as a line on stderr; the default of `load_scene`."""
    print(f"warning: {text}", file=sys.stderr)


def poses(frames: Sequence[Frame]) -> np.ndarray:
    """Poses [N, 3, 4] of the frames."""
    return np.stack([frame.c2w for frame in frames])


def parse_pose(values: Any, where: str) -> tuple[np.ndarray, float]:
    """Check a listed camera-to-world matrix and make its axes orthonormal.

    Args:
        values: Nested lists, 4x4, OpenGL axes (x right, y up, looking along −z).
        where: File and item, for messages.

    Returns:
        The pose [3, 4], float64, OpenCV axes; and how far its axes were from orthonormal (largest |RᵀR − 1|).

    Raises:
        SceneError: Another shape, a value that is no number or not finite, a last row other than 0 0 0 1, a position
            beyond all measure, or axes that are no rotation.
    """
    rows = matrix(values)
    if rows is None:
        raise SceneError(f"{where}: 'transform_matrix' must be 4x4 numbers, got {shown(values)}")
    pose = np.array(rows)
    if pose.shape != (4, 4):
        raise SceneError(f"{where}: 'transform_matrix' must be 4x4, got {pose.shape}")
    if not np.isfinite(pose).all():
        raise SceneError(f"{where}: 'transform_matrix' holds a value that is not finite")
    if not np.allclose(pose[3], [0, 0, 0, 1], atol=1e-6):
        raise SceneError(f"{where}: the last row of 'transform_matrix' must be 0 0 0 1, got {pose[3].tolist()}")
    axes, deviation = checked_pose(pose[:3, :3], pose[:3, 3], where, "'transform_matrix'")
    return np.concatenate([axes @ np.diag(OPENGL_AXES[:3]), pose[:3, 3:]], axis=1), deviation


def checked_pose(axes: np.ndarray, centre: np.ndarray, where: str, item: str) -> tuple[np.ndarray, float]:
    """Check a camera's axes and position, and make the axes orthonormal.

    Args:
        axes: The camera's axes in its world, one a column [3, 3].
        centre: Its position [3].
        where: File and item, for messages.
        item: What holds the numbers, for messages.

    Returns:
        The nearest rotation [3, 3], and how far the axes were from it (largest |RᵀR − 1|).

    Raises:
        SceneError: A number that is not finite, a position beyond all measure, or axes that are no rotation.
    """
    if not (np.isfinite(axes).all() and np.isfinite(centre).all()):
        raise SceneError(f"{where}: {item} holds a value that is not finite")
    if not np.abs(centre).max() < FARTHEST:
        raise SceneError(
            f"{where}: {item} must hold a position within {FARTHEST:g} of the origin, got {centre.tolist()}"
        )
    with np.errstate(over="ignore", invalid="ignore", divide="ignore"):
        deviation, determinant = float(np.abs(axes.T @ axes - np.eye(3)).max()), float(np.linalg.det(axes))
    if not deviation <= _REPAIRABLE or determinant <= 0:
        raise SceneError(
            f"{where}: {item} must hold a rotation, but its axes deviate from orthonormal by {deviation:.3g} "
            f"(determinant {determinant:.3g})"
        )
    left, _, right = np.linalg.svd(axes)
    return left @ right, deviation


def pose_of(axes: np.ndarray, centre: np.ndarray, where: str, item: str) -> tuple[np.ndarray, float]:
    """The pose [3, 4] of a camera whose axes are OpenCV's; what comes and goes otherwise is as for `checked_pose`."""
    axes, deviation = checked_pose(axes, centre, where, item)
    return np.concatenate([axes, centre[:, None]], axis=1), deviation


def warn_about_axes(file: Path, deviations: Sequence[float], warn: Warn) -> None:
    """Warn once if poses were farther from a rotation than rounding explains."""
    bad = [index for index, deviation in enumerate(deviations) if deviation > _ROUNDING]
    if bad:
        worst = max(bad, key=lambda index: deviations[index])
        warn(
            f"{file}: the axes of {len(bad)} of {len(deviations)} poses are not orthonormal (worst: frame {worst}, by "
            f"{deviations[worst]:.2g}); the nearest rotations are used"
        )


def check_listed_size(frame: Frame, width: int, height: int) -> None:
    """Raise `SceneError` if a picture of this size cannot have been taken by the camera that is listed."""
    listed = frame.optics.size
    if listed is not None and not same_aspect((listed[1], listed[0]), (height, width)):
        raise SceneError(
            f"{frame.file}: expected {size_text((listed[1], listed[0]))} as listed in {frame.where}, or the same "
            f"aspect ratio, found {size_text((height, width))}"
        )


def _is_plain(text: str) -> bool:
    """Whether a text is one line that UTF-8 can hold; file names of other encodings are not."""
    return _ODD.search(text) is None
