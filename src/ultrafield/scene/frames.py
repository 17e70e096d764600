"""A scene folder as every reader lists it before any picture is opened: frames with poses and lenses."""

from __future__ import annotations

import math
import sys
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath
from typing import Any

import numpy as np

from ..cameras import Lens, Similarity
from ..errors import ConfigError, SceneError
from ..masks.read import same_aspect, size_text
from ..names import check_name

Warn = Callable[[str], None]

PICTURE_ENDINGS = (".png", ".jpg", ".jpeg")
_ROUNDING = 1e-3  # deviation from a rotation that printing a pose with few digits explains
_REPAIRABLE = 0.05  # deviation up to which the nearest rotation is taken, with a warning


@dataclass(frozen=True)
class Optics:
    """A frame's lens as listed; whatever is missing follows from the picture's size.

    Attributes:
        size: Width and height that the numbers below belong to; None if not listed.
        focal: fx and fy in pixels, None where not listed.
        angle: Horizontal and vertical field of view in radians, None where not listed.
        centre: cx and cy in pixels, None where not listed.
        lens: Lens model.
        distortion: OpenCV parameters, zero-padded [8].
    """

    size: tuple[int, int] | None = None
    focal: tuple[float | None, float | None] = (None, None)
    angle: tuple[float | None, float | None] = (None, None)
    centre: tuple[float | None, float | None] = (None, None)
    lens: Lens = Lens.PINHOLE
    distortion: tuple[float, ...] = (0.0,) * 8

    def intrinsics(self, width: int, height: int) -> np.ndarray:
        """fx, fy, cx, cy [4] for a picture of this size, of the aspect ratio listed.

        A missing focal length follows from the field of view, else from the other axis; a missing principal point is
        the picture's centre.
        """
        listed = self.size or (width, height)
        focal = [
            value if value is not None else None if angle is None else 0.5 * side / math.tan(0.5 * angle)
            for value, angle, side in zip(self.focal, self.angle, listed, strict=True)
        ]
        fx = focal[0] if focal[0] is not None else focal[1]
        fy = focal[1] if focal[1] is not None else focal[0]
        if fx is None or fy is None:
            raise ValueError("optics: neither a focal length nor an angle")
        cx, cy = (0.5 * side if value is None else value for value, side in zip(self.centre, listed, strict=True))
        scale = np.array([width / listed[0], height / listed[1]])
        return np.array([fx, fy, cx, cy]) * np.concatenate([scale, scale])


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
    """

    name: str
    listed: str
    file: Path | None
    where: str
    c2w: np.ndarray
    optics: Optics

    def __post_init__(self) -> None:
        # Every reader makes frames, and every path to what is read or written for a view comes from a frame's name.
        check_name(self.name, f"{self.where}: view name")


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


def print_warning(text: str) -> None:
    """Print a warning as a line on stderr; the default of `load_scene`."""
    print(f"warning: {text}", file=sys.stderr)


def poses(frames: Sequence[Frame]) -> np.ndarray:
    """Poses [N, 3, 4] of the frames."""
    return np.stack([frame.c2w for frame in frames])


def parse_pose(matrix: Any, where: str) -> tuple[np.ndarray, float]:
    """Check a listed camera-to-world matrix and make its axes orthonormal.

    Args:
        matrix: Nested lists, 4x4, OpenGL axes (x right, y up, looking along −z).
        where: File and item, for messages.

    Returns:
        The pose [3, 4], float64, OpenCV axes; and how far its axes were from orthonormal (largest |RᵀR − 1|).

    Raises:
        SceneError: Another shape, a value that is not finite, a last row other than 0 0 0 1, or axes that are no
            rotation.
    """
    try:
        pose = np.array(matrix, dtype=np.float64)
    except (TypeError, ValueError):
        raise SceneError(f"{where}: 'transform_matrix' must be 4x4 numbers") from None
    if pose.shape != (4, 4):
        raise SceneError(f"{where}: 'transform_matrix' must be 4x4, got {pose.shape}")
    if not np.isfinite(pose).all():
        raise SceneError(f"{where}: 'transform_matrix' holds a value that is not finite")
    if not np.allclose(pose[3], [0, 0, 0, 1], atol=1e-6):
        raise SceneError(f"{where}: the last row of 'transform_matrix' must be 0 0 0 1, got {pose[3].tolist()}")
    axes = pose[:3, :3]
    deviation = float(np.abs(axes.T @ axes - np.eye(3)).max())
    if deviation > _REPAIRABLE or np.linalg.det(axes) <= 0:
        raise SceneError(
            f"{where}: 'transform_matrix' must hold a rotation, but its axes deviate from orthonormal by "
            f"{deviation:.3g} (determinant {np.linalg.det(axes):.3g})"
        )
    left, _, right = np.linalg.svd(axes)
    return np.concatenate([left @ right @ np.diag([1.0, -1.0, -1.0]), pose[:3, 3:]], axis=1), deviation


def warn_about_axes(file: Path, deviations: Sequence[float], warn: Warn) -> None:
    """Warn once if poses were farther from a rotation than rounding explains."""
    bad = [index for index, deviation in enumerate(deviations) if deviation > _ROUNDING]
    if bad:
        worst = max(bad, key=lambda index: deviations[index])
        warn(
            f"{file}: the axes of {len(bad)} of {len(deviations)} poses are not orthonormal (worst: frame {worst}, by "
            f"{deviations[worst]:.2g}); the nearest rotations are used"
        )


def find_picture(root: Path, listed: str) -> Path | None:
    """The picture file listed as `listed`, with or without its ending; None if there is none."""
    path = root / listed.replace("\\", "/")
    if path.suffix.lower() in PICTURE_ENDINGS and path.is_file():
        return path
    stem = _without_ending(path.name)
    endings = [*PICTURE_ENDINGS, *(ending.upper() for ending in PICTURE_ENDINGS)]
    candidates = (path.with_name(stem + ending) for ending in endings)
    return next((file for file in candidates if file.is_file()), None)


def unique_names(listed: Sequence[str], source: Path) -> list[str]:
    """View names for listed pictures: their stems or, where these collide, their paths with _ for /.

    Raises:
        SceneError: Two frames list the same picture.
    """
    paths = [PurePosixPath(path.replace("\\", "/")) for path in listed]
    names = [_without_ending(path.name) for path in paths]
    if len(set(names)) < len(names):
        folders = ([part for part in path.parent.parts if part not in ("/", "..")] for path in paths)
        names = ["_".join([*parts, name]) for parts, name in zip(folders, names, strict=True)]
    name, times = Counter(names).most_common(1)[0] if names else ("", 0)
    if times > 1:
        first, second = [index for index, other in enumerate(names) if other == name][:2]
        raise SceneError(f"{source}: frames {first} and {second} both list the picture {listed[second]}")
    return names


def drop_missing(
    root: Path,
    source: str,
    frames: Sequence[Frame],
    *,
    allow_missing: bool | None,
    warn: Warn,
    optional: bool = False,
) -> tuple[Frame, ...]:
    """The frames whose pictures are on disk.

    Args:
        root: The scene folder, for messages.
        source: What lists the pictures, for messages.
        frames: All listed frames.
        allow_missing: Whether to continue without missing pictures; None continues if at most a third is missing.
        warn: Told about missing pictures when work continues.
        optional: Whether work can go on with none at all.

    Raises:
        SceneError: Too many pictures are missing, or all of them.
    """
    present = tuple(frame for frame in frames if frame.file is not None)
    missing = len(frames) - len(present)
    if missing == 0:
        return present
    first = next(frame.listed for frame in frames if frame.file is None)
    if not present and not optional:
        raise SceneError(f"{root}: none of the {len(frames)} images listed in {source} exists (first: {first})")
    text = f"{root}: {missing} of {len(frames)} images listed in {source} are missing (first: {first})"
    if allow_missing or (allow_missing is None and 3 * missing <= len(frames)):
        warn(f"{text}; continuing with {len(present)}")
        return present
    raise SceneError(f"{text}. Continuing needs {{setting}}.", setting="allow_missing")


def hold_out_views(frames: Sequence[Frame], every: int | None) -> dict[str, tuple[Frame, ...]]:
    """Split frames into "train" and "val" as `held_out_indices` does."""
    indices = held_out_indices(len(frames), every)
    return {split: tuple(frames[index] for index in members) for split, members in indices.items()}


def check_hold_out(every: int | None) -> None:
    """Raise `ConfigError` unless every `every`-th view can be held out."""
    if every is not None and every < 2:
        raise ConfigError(f"expected None or at least 2, got {every}", setting="hold_out")


def held_out_indices(count: int, every: int | None) -> dict[str, list[int]]:
    """Split `count` views into "train" and "val", the latter being views 0, `every`, 2 · `every`, …

    Nothing is held out if `every` is None or if fewer than two views would remain.
    """
    if every is not None and count - len(range(0, count, every)) >= 2:
        return {"train": [index for index in range(count) if index % every], "val": list(range(0, count, every))}
    return {"train": list(range(count))}


def check_listed_size(frame: Frame, width: int, height: int) -> None:
    """Raise `SceneError` if a picture of this size cannot have been taken by the camera that is listed."""
    listed = frame.optics.size
    if listed is not None and not same_aspect((listed[1], listed[0]), (height, width)):
        raise SceneError(
            f"{frame.file}: expected {size_text((listed[1], listed[0]))} as listed in {frame.where}, or the same "
            f"aspect ratio, found {size_text((height, width))}"
        )


def _without_ending(name: str) -> str:
    """`name` without a picture's ending; other dots belong to the name."""
    return next((name[: -len(ending)] for ending in PICTURE_ENDINGS if name.lower().endswith(ending)), name)
