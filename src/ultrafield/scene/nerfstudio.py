"""nerfstudio / instant-ngp: transforms.json with shared or per-frame lenses; also the parser of Blender's files."""

from __future__ import annotations

import math
from dataclasses import replace
from pathlib import Path
from typing import Any

from ..cameras import Lens
from ..errors import SceneError
from ..reading import read_json
from .frames import (
    Frame,
    Listing,
    Optics,
    Warn,
    drop_missing,
    find_picture,
    hold_out_views,
    parse_pose,
    poses,
    unique_names,
    warn_about_axes,
)
from .normalize import CAPTURE_NEAR, capture_half_extent, capture_similarity

_LENSES = {
    "PINHOLE": Lens.PINHOLE,
    "SIMPLE_PINHOLE": Lens.PINHOLE,
    "OPENCV": Lens.OPENCV,
    "OPENCV_FISHEYE": Lens.FISHEYE,
}
_DISTORTION = {
    Lens.PINHOLE: (),
    Lens.OPENCV: ("k1", "k2", "p1", "p2", "k3", "k4", "k5", "k6"),
    Lens.FISHEYE: ("k1", "k2", "k3", "k4"),
}


def list_nerfstudio(root: Path, *, hold_out: int | None, allow_missing: bool | None, warn: Warn) -> Listing:
    """List the frames of `transforms.json`, sorted by the names of their pictures.

    The scene is normalised from its cameras (`capture_similarity`); `aabb_scale` decides how much of the surroundings
    is modelled.

    Args:
        root: The scene folder.
        hold_out: Every `hold_out`-th view is a validation view; None for none.
        allow_missing: As for `load_scene`.
        warn: Told about missing pictures and repaired poses.

    Raises:
        SceneError: Broken JSON, a bad frame, pictures missing.
    """
    source = root / "transforms.json"
    values = read_transforms(source)
    frames = sorted(parse_frames(source, values, warn=warn), key=lambda frame: frame.listed)
    present = drop_missing(root, source.name, frames, allow_missing=allow_missing, warn=warn)
    c2w = poses(present)
    to_normalised = capture_similarity(c2w, str(source))
    box = number(values, "aabb_scale", str(source))
    position_scale = number(values, "scale", str(source))
    half_extent = capture_half_extent(to_normalised, c2w, aabb_scale=box, position_scale=position_scale)
    return Listing("nerfstudio", hold_out_views(present, hold_out), to_normalised, None, half_extent, CAPTURE_NEAR)


def read_transforms(file: Path) -> dict[str, Any]:
    """Read a transforms file; `SceneError` unless it is an object with a list of frames, each an object."""
    values = read_json(file)
    frames = values.get("frames") if isinstance(values, dict) else None
    if not isinstance(frames, list):
        raise SceneError(f"{file}: expected an object with a list 'frames'")
    if not frames:
        raise SceneError(f"{file}: lists no frames")
    for index, frame in enumerate(frames):
        for key, kind, expected in (("file_path", str, "a file name"), ("transform_matrix", list, "4x4 numbers")):
            if not isinstance(frame, dict) or not isinstance(frame.get(key), kind) or not frame[key]:
                raise SceneError(f"{file}: frame {index}: {key!r} must be {expected}")
    return values


def parse_frames(file: Path, values: dict[str, Any], *, warn: Warn) -> list[Frame]:
    """Frames of a transforms file in its order, with pictures looked up beside it.

    What a frame says about its lens goes before what the file says for all.

    Raises:
        SceneError: A pose or lens that cannot be used, a picture listed twice.
    """
    shared = {key: value for key, value in values.items() if key != "frames"}
    frames, deviations = [], []
    for index, (item, name) in enumerate(zip(values["frames"], frame_names(file, values), strict=True)):
        where = f"{file}: frame {index}"
        c2w, deviation = parse_pose(item["transform_matrix"], where)
        listed = _listed(item)
        optics = parse_optics(shared | item, where)
        frame = Frame(name, listed, None, where, c2w, optics)
        frames.append(replace(frame, file=find_picture(file.parent, listed)))  # now that its name is known to be one
        deviations.append(deviation)
    warn_about_axes(file, deviations, warn)
    return frames


def frame_names(file: Path, values: dict[str, Any]) -> list[str]:
    """View names of a transforms file's frames in its order; `SceneError` if two frames list one picture."""
    return unique_names([_listed(item) for item in values["frames"]], file)


def parse_optics(values: dict[str, Any], where: str) -> Optics:
    """The lens that the keys of nerfstudio, instant-ngp and Blender files describe.

    Args:
        values: The file's keys, updated with the frame's.
        where: File and item, for messages.

    Raises:
        SceneError: An unknown lens model, a number that is none, or neither a focal length nor an angle.
    """
    lens = _lens(values, where)
    width, height = (_positive(values, key, where) for key in ("w", "h"))
    focal = (_positive(values, "fl_x", where), _positive(values, "fl_y", where))
    angle = (_angle(values, "camera_angle_x", where), _angle(values, "camera_angle_y", where))
    if all(item is None for item in focal + angle):
        raise SceneError(f"{where}: needs 'fl_x' or 'camera_angle_x'")
    parameters = [number(values, key, where) or 0.0 for key in _DISTORTION[lens]]
    return Optics(
        size=None if width is None or height is None else (round(width), round(height)),
        focal=focal,
        angle=angle,
        centre=(number(values, "cx", where), number(values, "cy", where)),
        lens=lens if any(parameters) or lens is Lens.FISHEYE else Lens.PINHOLE,
        distortion=(*parameters, *[0.0] * (8 - len(parameters))),
    )


def number(values: dict[str, Any], key: str, where: str) -> float | None:
    """A finite number, None if there is no such key."""
    value = values.get(key)
    if value is None:
        return None
    if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
        raise SceneError(f"{where}: {key!r} must be a finite number, got {value!r}")
    return float(value)


def _listed(item: dict[str, Any]) -> str:
    """The picture that a frame lists."""
    return item["file_path"].removeprefix("./")


def _positive(values: dict[str, Any], key: str, where: str) -> float | None:
    value = number(values, key, where)
    if value is not None and value <= 0:
        raise SceneError(f"{where}: {key!r} must be positive, got {value:g}")
    return value


def _angle(values: dict[str, Any], key: str, where: str) -> float | None:
    value = number(values, key, where)
    if value is not None and not 0 < value < math.pi:
        raise SceneError(f"{where}: {key!r} must lie between 0 and pi, got {value:g}")
    return value


def _lens(values: dict[str, Any], where: str) -> Lens:
    """The lens model; files that name none have OpenCV's, as instant-ngp writes it."""
    model = values.get("camera_model", "OPENCV_FISHEYE" if values.get("is_fisheye") else "OPENCV")
    if model not in _LENSES:
        raise SceneError(f"{where}: 'camera_model' must be one of {', '.join(_LENSES)}, got {model!r}")
    return _LENSES[model]
