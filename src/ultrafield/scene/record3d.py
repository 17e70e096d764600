"""EXR + RGB exports of Record3D: a folder with `metadata.json` and the pictures `rgb/0.jpg`, `rgb/1.jpg`, …

Poses are quaternions (x y z w) and positions of the camera, in OpenGL's axes; the matrix `K` is stored by columns.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from ..cameras.model import OPENGL_AXES
from ..errors import SceneError
from ..reading import read_json
from .capture import list_capture
from .frames import Frame, Listing, ListingOptions, pose_of
from .listed import with_pictures
from .optics import Optics
from .values import matrix, positive

FILE = "metadata.json"
PICTURES = "rgb"


def find_record3d(root: Path) -> Path | None:
    """The metadata of a Record3D folder, None if it is none."""
    places = (folder / FILE for folder in (root, root / "EXR_RGBD") if (folder / PICTURES).is_dir())
    return next((file for file in places if file.is_file()), None)


def list_record3d(root: Path, source: Path, options: ListingOptions) -> Listing:
    """List the pictures of a Record3D folder (`list_capture`).

    Args:
        root: The scene folder.
        source: Its `metadata.json`.
        options: How it is listed.

    Raises:
        SceneError: Metadata that cannot be used, pictures missing.
    """
    values = read_json(source)
    poses = matrix(values.get("poses")) if isinstance(values, dict) else None
    if not poses or len(poses[0]) != 7:
        raise SceneError(f"{source}: expected an object with 'poses', seven numbers each")
    optics = _optics(values, len(poses), str(source))
    frames = []
    for index, row in enumerate(poses):
        where = f"{source}: pose {index}"
        c2w = _pose(np.array(row), where)
        frames.append(Frame(str(index), str(index), None, where, c2w, optics[index]))
    frames = with_pictures(frames, source.with_name(PICTURES), options.images, usual=False)
    frames = [frame for frame in frames if frame.file is not None] or frames  # every other one may be left out
    return list_capture("record3d", root, source, frames, options, in_order=True)


def _pose(row: np.ndarray, where: str) -> np.ndarray:
    from scipy.spatial.transform import Rotation

    if not (np.isfinite(row).all() and 1e-9 < np.abs(row[:4]).max() < 1e9):
        raise SceneError(f"{where}: must be a quaternion and a position, got {row.tolist()}")
    axes = Rotation.from_quat(row[:4]).as_matrix()
    return pose_of(axes * OPENGL_AXES[:3], row[4:], where, "its pose")[0]


def _optics(values: dict[str, Any], count: int, where: str) -> list[Optics]:
    """The lens of each picture: its own numbers (`perFrameIntrinsicCoeffs`) if there are any, else those of all."""
    size = tuple(positive(values, key, where, least=1, most=1 << 20) for key in ("w", "h"))
    if None in size:
        raise SceneError(f"{where}: needs 'w' and 'h'")
    edges = (round(size[0] or 0), round(size[1] or 0))
    own = matrix(values.get("perFrameIntrinsicCoeffs"))
    if own is not None and len(own) == count and len(own[0]) == 4:
        return [_lens(edges, row, where) for row in own]
    shared = matrix([values.get("K")])
    if shared is None or len(shared[0]) != 9:
        raise SceneError(f"{where}: 'K' must be nine numbers")
    fx, _, _, _, fy, _, cx, cy, _ = shared[0]
    return [_lens(edges, [fx, fy, cx, cy], where)] * count


def _lens(size: tuple[int, int], row: list[float], where: str) -> Optics:
    fx, fy, cx, cy = row
    if not (0 < fx < 1e9 and 0 < fy < 1e9 and abs(cx) < 1e9 and abs(cy) < 1e9):
        raise SceneError(f"{where}: must have positive focal lengths and a principal point, got {row}")
    return Optics(size, (fx, fy), centre=(cx, cy))
