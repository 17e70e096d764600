"""`cameras.json` of 3D Gaussian splatting: the training cameras of a run, without distortion.

`rotation` holds the camera's axes in its world, one a column, in OpenCV's directions; `position` is the camera's. The
pictures are those that were trained on: undistorted ones, of the size listed or reduced.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import numpy as np

from ..errors import SceneError
from ..reading import picture_size, read_bytes, read_json
from .capture import list_capture
from .frames import Frame, Listing, ListingOptions, Warn, pose_of, warn_about_axes
from .listed import with_pictures
from .optics import Optics
from .pictures import view_names
from .values import matrix, positive, shown

FILE = "cameras.json"
_SETTINGS = "cfg_args"  # of the run, beside the file
_SETTINGS_BYTES = 1 << 16
_REDUCTIONS = (1, 2, 4, 8)  # that its loader knows
_WIDEST = 1600  # to which it reduces larger pictures by itself


def list_gaussians(root: Path, source: Path, options: ListingOptions) -> Listing:
    """List the cameras of a Gaussian splatting run (`list_capture`).

    The pictures lie in the folder or, if they do not, where the run's settings (`cfg_args`) say.

    Args:
        root: The scene folder.
        source: Its `cameras.json`.
        options: How it is listed; told about pictures that may be another camera's.

    Raises:
        SceneError: Broken JSON, a bad camera, pictures missing.
    """
    items = read_json(source)
    if not isinstance(items, list) or not items or not all(isinstance(item, dict) for item in items):
        raise SceneError(f"{source}: expected a list of cameras, each an object")
    listed = [_name(item, f"{source}: camera {index}") for index, item in enumerate(items)]
    frames, deviations = [], []
    for index, (item, name) in enumerate(zip(items, view_names(listed, source), strict=True)):
        where = f"{source}: camera {index}"
        c2w, deviation = _pose(item, where)
        frames.append(Frame(name, listed[index], None, where, c2w, _optics(item, where)))
        deviations.append(deviation)
    warn_about_axes(source, deviations, options.warn)
    found = with_pictures(frames, root, options.images, usual=True)
    elsewhere = _source_folder(root) if options.images is None else None
    if elsewhere is not None and all(frame.file is None for frame in found):
        found = with_pictures(frames, elsewhere, None, usual=True)
    _warn_about_originals(source, found, options.warn)
    return list_capture("3dgs", root, source, found, options)


def _name(item: dict[str, Any], where: str) -> str:
    name = item.get("img_name")
    if not isinstance(name, str) or not name:
        raise SceneError(f"{where}: 'img_name' must be a file name, got {shown(name)}")
    return name


def _pose(item: dict[str, Any], where: str) -> tuple[np.ndarray, float]:
    rows, position = matrix(item.get("rotation")), matrix([item.get("position")])
    axes = None if rows is None else np.array(rows)
    centre = None if position is None else np.array(position[0])
    if axes is None or axes.shape != (3, 3) or centre is None or centre.shape != (3,):
        raise SceneError(f"{where}: 'rotation' must be 3x3 numbers and 'position' three")
    return pose_of(axes, centre, where, "its pose")


def _optics(item: dict[str, Any], where: str) -> Optics:
    width, height = (positive(item, key, where, least=1, most=1 << 20) for key in ("width", "height"))
    fx, fy = (positive(item, key, where) for key in ("fx", "fy"))
    if width is None or height is None or fx is None or fy is None:
        raise SceneError(f"{where}: needs 'width', 'height', 'fx' and 'fy'")
    return Optics((round(width), round(height)), (fx, fy))


def _source_folder(root: Path) -> Path | None:
    """The folder that the run was made from, by its settings; None if they do not say, or it is gone."""
    file = root / _SETTINGS
    if not file.is_file():
        return None
    text = read_bytes(file)[:_SETTINGS_BYTES].decode("utf-8", "replace")
    named = re.search(r"source_path=(['\"])(.*?)\1", text)
    folder = Path(named[2]) if named and "\0" not in named[2] else None
    return folder if folder is not None and folder.is_dir() else None


def _warn_about_originals(source: Path, frames: list[Frame], warn: Warn) -> None:
    """Say so if the pictures are of a size to which they were not reduced: the cameras need undistorted ones."""
    frame = next((frame for frame in frames if frame.file is not None), None)
    if frame is None or frame.file is None or frame.optics.size is None:
        return
    width, (listed, _) = picture_size(frame.file)[0], frame.optics.size
    if width != _WIDEST and not any(abs(width - listed / factor) <= 1 for factor in _REDUCTIONS):
        warn(
            f"{source}: its cameras are of undistorted pictures {listed} pixels wide, those found are {width} wide; if "
            "they are the photographs themselves, the distortion of their lens is missing: ultrafield import finds it, "
            "given their own folder"
        )
