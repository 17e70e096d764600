"""Internal/external camera parameters of RealityCapture and RealityScan (`.csv`).

Columns are name, x, y, alt, heading (yaw), pitch, roll, f, px, py, k1 … k4, t1, t2; angles are in degrees. With all
angles 0 a camera looks straight down, the top of its picture to the north (y). f is that of a picture 36 mm wide on its
longer edge; px and py are offsets from the middle in longer edges. Its t1 and t2 are OpenCV's p2 and p1.
"""

from __future__ import annotations

import csv
from dataclasses import replace
from math import radians
from pathlib import Path

import numpy as np

from ..cameras import Lens
from ..cameras.model import OPENGL_AXES
from ..errors import SceneError
from ..reading import picture_size, read_bytes, read_head
from .capture import list_capture
from .frames import Frame, Listing, ListingOptions, pose_of
from .listed import with_pictures
from .optics import Optics, with_lens
from .pictures import view_names
from .values import as_float, shown

_NEEDED = ("name", "x", "y", "alt", "heading", "pitch", "roll", "f")
_ALSO = {"yaw": "heading", "f_35mm": "f", "px_norm": "px", "py_norm": "py"}  # names in RealityScan
_FILM = 36.0  # millimetres
_HEAD = 1 << 12
_MOST = 1e12


def is_realitycapture(file: Path) -> bool:
    """Whether a file's first line names the columns."""
    try:
        head = read_head(file, _HEAD).decode("utf-8-sig", "replace")
    except SceneError:
        return False
    return _header(head.splitlines()) is not None


def list_realitycapture(root: Path, source: Path, options: ListingOptions) -> Listing:
    """List the cameras of a RealityCapture file (`list_capture`).

    Args:
        root: The scene folder.
        source: The CSV file.
        options: How it is listed.

    Raises:
        SceneError: A file or row that cannot be used, pictures missing.
    """
    lines = read_bytes(source).decode("utf-8-sig", "replace").splitlines()
    columns = _header(lines)
    if columns is None:
        raise SceneError(f"{source}: expected a first line with the columns {', '.join(_NEEDED)}")
    rows = _rows(lines, columns, source)
    listed = [row["name"] for _, row in rows]
    frames = []
    for (number, row), text, name in zip(rows, listed, view_names(listed, source), strict=True):
        where = f"{source}: line {number}"
        frames.append(Frame(name, text, None, where, _pose(row, where), Optics(focal=(1.0, 1.0))))
    frames = with_pictures(frames, root, options.images, usual=True)
    return list_capture("realitycapture", root, source, _with_optics(frames, rows), options)


def _rows(lines: list[str], columns: list[str], source: Path) -> list[tuple[int, dict[str, str]]]:
    """Numbers of lines and their words by column."""
    rows = []
    try:
        for number, words in enumerate(csv.reader(lines), start=1):
            if words and not words[0].startswith("#"):
                rows.append((number, {key: word.strip() for key, word in zip(columns, words, strict=False)}))
    except csv.Error as failure:
        raise SceneError(f"{source}: {failure}") from None
    if not rows:
        raise SceneError(f"{source}: lists no cameras")
    for number, row in rows:
        if not row.get("name"):
            raise SceneError(f"{source}: line {number}: needs a name")
    return rows


def _with_optics(frames: list[Frame], rows: list[tuple[int, dict[str, str]]]) -> list[Frame]:
    """The frames with their lenses, which depend on the pictures' sizes."""
    return [
        frame if frame.file is None else replace(frame, optics=_optics(row, picture_size(frame.file), frame.where))
        for frame, (_, row) in zip(frames, rows, strict=True)
    ]


def _header(lines: list[str]) -> list[str] | None:
    """Names of the columns, None if the first line does not name those that are needed."""
    first = next((line for line in lines if line.strip() and not line.startswith("#cameras")), "")
    names = [word.strip().lstrip("#").strip().lower() for word in first.split(",")]
    names = [_ALSO.get(name, name) for name in names]
    return names if all(name in names for name in _NEEDED) else None


def _pose(row: dict[str, str], where: str) -> np.ndarray:
    heading, pitch, roll = (radians(_number(row, key, where)) for key in ("heading", "pitch", "roll"))
    centre = np.array([_number(row, key, where) for key in ("x", "y", "alt")])
    axes = _turn(2, -heading) @ _turn(0, pitch) @ _turn(1, roll)
    return pose_of(axes * OPENGL_AXES[:3], centre, where, "its pose")[0]


def _turn(axis: int, angle: float) -> np.ndarray:
    """The rotation [3, 3] about a coordinate axis."""
    first, second = (axis + 1) % 3, (axis + 2) % 3
    turn = np.eye(3)
    turn[first, first] = turn[second, second] = np.cos(angle)
    turn[second, first], turn[first, second] = np.sin(angle), -np.sin(angle)
    return turn


def _optics(row: dict[str, str], size: tuple[int, int], where: str) -> Optics:
    longer = max(size)
    focal = _number(row, "f", where) * longer / _FILM
    if focal <= 0:
        raise SceneError(f"{where}: 'f' must be positive, got {focal:g}")
    centre = tuple(
        0.5 * edge + longer * _number(row, key, where, optional=True)
        for edge, key in zip(size, ("px", "py"), strict=True)
    )
    parameters = [_number(row, key, where, optional=True) for key in ("k1", "k2", "t2", "t1", "k3", "k4")]
    return with_lens(Optics(size, (focal, focal), centre=(centre[0], centre[1])), Lens.BROWN, parameters)


def _number(row: dict[str, str], key: str, where: str, *, optional: bool = False) -> float:
    text = row.get(key, "")
    value = 0.0 if optional and not text.strip() else as_float(text.strip())
    if value is None or not abs(value) <= _MOST:
        raise SceneError(f"{where}: {key!r} must be a number, got {shown(text)}")
    return value
