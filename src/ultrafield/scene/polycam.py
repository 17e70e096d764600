"""Raw data of Polycam: a folder `keyframes` with a JSON file and a picture for each camera.

Poses are ARKit's: OpenGL's axes (x right, y up, looking along −z), the world's y up. Those that Polycam has refined
(`corrected_cameras`) go before the device's own.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from ..cameras.model import OPENGL_AXES
from ..errors import SceneError
from ..reading import read_json
from .capture import list_capture
from .frames import Frame, Listing, ListingOptions, pose_of, warn_about_axes
from .listed import with_pictures
from .optics import Optics
from .pictures import view_names
from .values import number, positive

_FOLDERS = (("corrected_cameras", "corrected_images"), ("cameras", "images"))


def find_polycam(root: Path) -> Path | None:
    """The folder of cameras below a Polycam folder or its `keyframes`; None if it is none."""
    for base in (root / "keyframes", root):
        for cameras, images in _FOLDERS:
            pictured = (base / images).is_dir() or (base / "images").is_dir()
            if pictured and next((base / cameras).glob("*.json"), None) is not None:
                return base / cameras
    return None


def list_polycam(root: Path, cameras: Path, options: ListingOptions) -> Listing:
    """List the keyframes of a Polycam folder (`list_capture`).

    Args:
        root: The scene folder.
        cameras: The folder of cameras in it.
        options: How it is listed.

    Raises:
        SceneError: A camera that cannot be used, pictures missing.
    """
    files = sorted(cameras.glob("*.json"))
    images = cameras.with_name(dict(_FOLDERS)[cameras.name])
    images = images if images.is_dir() else cameras.with_name("images")
    listed = [file.stem for file in files]
    frames, deviations = [], []
    for file, name in zip(files, view_names(listed, cameras), strict=True):
        values = read_json(file)
        if not isinstance(values, dict):
            raise SceneError(f"{file}: expected an object")
        c2w, deviation = _pose(values, str(file))
        frames.append(Frame(name, file.stem, None, str(file), c2w, _optics(values, str(file))))
        deviations.append(deviation)
    warn_about_axes(cameras, deviations, options.warn)
    frames = with_pictures(frames, images, options.images, usual=False)
    return list_capture("polycam", root, cameras, frames, options)


def _pose(values: dict[str, Any], where: str) -> tuple[np.ndarray, float]:
    keys = [[f"t_{row}{column}" for column in range(4)] for row in range(3)]
    rows = [[number(values, key, where) for key in line] for line in keys]
    if any(value is None for row in rows for value in row):
        raise SceneError(f"{where}: needs the pose 't_00' to 't_23'")
    pose = np.array(rows, np.float64)
    return pose_of(pose[:, :3] * OPENGL_AXES[:3], pose[:, 3], where, "its pose")


def _optics(values: dict[str, Any], where: str) -> Optics:
    width, height = (positive(values, key, where, least=1, most=1 << 20) for key in ("width", "height"))
    fx, fy = (positive(values, key, where) for key in ("fx", "fy"))
    if width is None or height is None or fx is None or fy is None:
        raise SceneError(f"{where}: needs 'width', 'height', 'fx' and 'fy'")
    centre = (number(values, "cx", where), number(values, "cy", where))
    return Optics((round(width), round(height)), (fx, fy), centre=centre)
