"""Camera paths of others: nerfstudio's files, and lists of cameras as in transforms.json."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from ..cameras import Cameras, Similarity
from ..errors import SceneError
from ..reading import read_json
from .frames import parse_pose
from .optics import Optics, check_optics, distortions, parse_optics
from .values import as_float, matrix, number, positive, shown

_MOST = 100_000  # cameras of a path
_FLAT = 16  # numbers of a pose, row by row
_LENS = ("fl_x", "fl_y", "camera_angle_x", "camera_angle_y")
_FASTEST = 1000.0  # frames per second


@dataclass(frozen=True, eq=False)
class CameraPath:
    """Cameras in the order in which a film shows what they see.

    Attributes:
        cameras: The cameras, all of one size, in the frame of the file.
        fps: Frames per second that the file asks for; None if it does not say.
    """

    cameras: Cameras
    fps: float | None = None


def read_camera_path(file: Path, like: Cameras | None) -> CameraPath:
    """Read a camera path.

    Two kinds are known: nerfstudio's (`camera_path`, with `camera_to_world` and the vertical `fov` in degrees of each
    camera, `render_width` and `render_height`), of perspective cameras; and lists of cameras as in transforms.json (the
    list itself, or an object with `frames`), each with a `transform_matrix` and, here or for all of them, a lens.

    Args:
        file: JSON file; poses are camera-to-world in OpenGL's axes (x right, y up, looking along −z).
        like: Its first camera has the size and lens of cameras that are listed without; None if there is none.

    Raises:
        SceneError: The file is of no such kind, or has a camera that cannot be used; the text names both.
    """
    values = read_json(file)
    if isinstance(values, dict) and "camera_path" in values:
        return _nerfstudio(file, values)
    frames = values if isinstance(values, list) else values.get("frames") if isinstance(values, dict) else None
    if not isinstance(frames, list):
        raise SceneError(
            f"{file}: no camera path; expected nerfstudio's (an object with 'camera_path'), or cameras as in "
            "transforms.json (a list, or an object with 'frames')"
        )
    return _listed(file, values if isinstance(values, dict) else {}, frames, like)


def read_path_frame(file: Path, transforms: Path | None = None) -> Similarity:
    """Read nerfstudio's dataparser_transforms.json: from the user's frame to that of its viewer and camera paths.

    Args:
        file: The file, from the folder of nerfstudio's results.
        transforms: The scene's transforms.json, if there is one. What it says was applied to the cameras before
            (`applied_transform`, `applied_scale`) is part of what nerfstudio stores, and is taken out again.

    Raises:
        SceneError: A file that is none, or what it holds is no rotation, shift and scale.
    """
    given, scale = _stored_transform(file, "transform", "scale")
    if transforms is not None:
        before, factor = _stored_transform(transforms, "applied_transform", "applied_scale", np.eye(4))
        given, scale = given @ np.linalg.inv(before), scale / factor
    try:
        return Similarity(scale, given[:3, :3], scale * given[:3, 3])
    except ValueError as failure:
        raise SceneError(f"{file}: 'transform' cannot be used ({failure})") from None


def _stored_transform(
    file: Path, transform: str, factor: str, default: np.ndarray | None = None
) -> tuple[np.ndarray, float]:
    """A transform [4, 4] and a scale from an object of a JSON file; the default and 1 where it has none."""
    values = read_json(file)
    values = values if isinstance(values, dict) else {}
    rows = matrix(values.get(transform))
    scale = positive(values, factor, str(file))
    if default is not None and values.get(transform) is None:
        return default, 1.0 if scale is None else scale
    whole = np.eye(4)
    if rows is None or np.shape(rows) != (3, 4) or (scale is None and default is None):
        raise SceneError(f"{file}: expected {transform!r}, 3x4 numbers, and {factor!r}, as nerfstudio writes them")
    whole[:3] = rows
    if not np.isfinite(whole).all() or abs(np.linalg.det(whole)) < 1e-6:
        raise SceneError(f"{file}: {transform!r} cannot be used (it cannot be undone)")
    return whole, 1.0 if scale is None else scale


def _nerfstudio(file: Path, values: dict[str, Any]) -> CameraPath:
    kind = values.get("camera_type", "perspective")
    if not isinstance(kind, str) or kind.lower() != "perspective":
        raise SceneError(f"{file}: 'camera_type' must be perspective, got {shown(kind)}")
    size = _size(values, "render_width", "render_height", str(file))
    if size is None:
        raise SceneError(f"{file}: needs 'render_width' and 'render_height'")
    poses, lenses = [], []
    for where, item in _each(file, values["camera_path"]):
        poses.append(_flat_pose(item.get("camera_to_world"), where))
        angle = positive(item, "fov", where, least=0.05, most=178.0)
        if angle is None:
            raise SceneError(f"{where}: needs 'fov', the vertical field of view in degrees")
        focal = 0.5 * size[1] / math.tan(0.5 * math.radians(angle))
        lenses.append(Optics(size, (focal, focal)))
    return CameraPath(_cameras(poses, lenses, size), positive(values, "fps", str(file), least=0.1, most=_FASTEST))


def _listed(file: Path, shared: dict[str, Any], frames: list[Any], like: Cameras | None) -> CameraPath:
    shared = {key: value for key, value in shared.items() if key != "frames"}
    poses, lenses, sizes = [], [], []
    for where, item in _each(file, frames):
        given = shared | item
        if "transform_matrix" not in item:
            raise SceneError(f"{where}: needs 'transform_matrix', 4x4 numbers")
        pose, _ = parse_pose(item["transform_matrix"], where)
        has_lens = any(given.get(key) is not None for key in _LENS)
        if not has_lens and like is None:
            raise SceneError(f"{where}: needs 'fl_x' or 'camera_angle_x'")
        size = _size(given, "w", "h", where) or (None if like is None else _first_size(like))
        if size is None:
            raise SceneError(f"{where}: needs 'w' and 'h', the size of its picture")
        poses.append(pose)
        lenses.append(parse_optics(given, where) if has_lens or like is None else _lens_like(like, size))
        sizes.append(size)
        check_optics(lenses[-1], size, where)
        if size != sizes[0]:
            raise SceneError(f"{where}: a film has one size, {_text(sizes[0])} pixels, got {_text(size)}")
    return CameraPath(_cameras(poses, lenses, sizes[0]), positive(shared, "fps", str(file), least=0.1, most=_FASTEST))


def _each(file: Path, items: Any) -> list[tuple[str, dict[str, Any]]]:
    """The cameras of a list and what to call them."""
    if not isinstance(items, list) or not items:
        raise SceneError(f"{file}: lists no cameras")
    if len(items) > _MOST:
        raise SceneError(f"{file}: lists {len(items)} cameras, more than {_MOST}")
    for index, item in enumerate(items):
        if not isinstance(item, dict):
            raise SceneError(f"{file}: camera {index}: expected an object, got {shown(item)}")
    return [(f"{file}: camera {index}", item) for index, item in enumerate(items)]


def _flat_pose(values: Any, where: str) -> np.ndarray:
    """A pose of 16 numbers in a row, or of 4x4."""
    flat = isinstance(values, list) and len(values) == _FLAT and all(as_float(item) is not None for item in values)
    rows = [values[4 * row : 4 * row + 4] for row in range(4)] if flat else values
    if matrix(rows) is None:
        raise SceneError(f"{where}: 'camera_to_world' must be 16 numbers, got {shown(values)}")
    try:
        return parse_pose(rows, where)[0]
    except SceneError as failure:
        raise SceneError(str(failure).replace("'transform_matrix'", "'camera_to_world'")) from None


def _size(values: dict[str, Any], width: str, height: str, where: str) -> tuple[int, int] | None:
    """Width and height of a picture, None if the keys are missing."""
    sides = [number(values, key, where, least=8, most=16384) for key in (width, height)]
    if sides[0] is None or sides[1] is None:
        return None
    return int(sides[0]), int(sides[1])


def _first_size(cameras: Cameras) -> tuple[int, int]:
    return int(cameras.sizes[0, 0]), int(cameras.sizes[0, 1])


def _text(size: tuple[int, int]) -> str:
    return f"{size[0]}x{size[1]}"


def _lens_like(cameras: Cameras, size: tuple[int, int]) -> Optics:
    """A lens without distortion that sees as much from side to side as the first of some cameras."""
    focal = float(cameras.intrinsics[0, 0]) * size[0] / float(cameras.sizes[0, 0])
    return Optics(size, (focal, focal))


def _cameras(poses: list[np.ndarray], lenses: list[Optics], size: tuple[int, int]) -> Cameras:
    intrinsics = np.stack([lens.intrinsics(*size) for lens in lenses])
    kinds = np.array([lens.lens for lens in lenses], np.int64)
    sizes = np.broadcast_to(np.array(size), (len(poses), 2)).copy()
    whole = [lens if lens.size is not None else replace(lens, size=size) for lens in lenses]
    return Cameras(np.stack(poses), intrinsics, sizes, kinds, distortions(whole))
