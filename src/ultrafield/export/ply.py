"""Point clouds and meshes as PLY files, binary and little-endian: vertices with scalar properties, triangles."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np

from ..io import atomic_write

# The format's name of each type, as PLY's authors gave it (Turk, "The PLY Polygon File Format", 1994).
_NAMES = {"i1": "char", "u1": "uchar", "i2": "short", "u2": "ushort"}
_NAMES |= {"i4": "int", "u4": "uint", "f4": "float", "f8": "double"}

_SPACING_SHARE = 1e-3  # largest rounding error of a coordinate, as a share of the distance between points
_LARGEST_ERROR = 0.5e-3  # the same in user units: half a millimetre where they are metres


def coordinate_type(points: np.ndarray, spacing: float) -> np.dtype:
    """Type for storing coordinates: float32, or float64 where rounding to float32 would move points noticeably.

    Rounding moves a coordinate x by up to |x| · 2⁻²⁴. More than a thousandth of the spacing, or more than 0.0005 user
    units, is noticeable: geographic coordinates of several million metres need float64.

    Args:
        points: Positions [N, 3], user's frame.
        spacing: Typical distance of neighbouring points, user's units.
    """
    if np.can_cast(points.dtype, np.float32):
        return np.dtype(np.float32)
    error = float(np.abs(points).max(initial=0.0)) * 2.0**-24
    return np.dtype(np.float64 if error > min(_SPACING_SHARE * spacing, _LARGEST_ERROR) else np.float32)


def position_columns(points: np.ndarray, spacing: float) -> dict[str, np.ndarray]:
    """Properties x, y and z of points [N, 3] in the type that `coordinate_type` chooses."""
    stored = points.astype(coordinate_type(points, spacing))
    return dict(zip("xyz", stored.T, strict=True))


def write_ply(
    path: str | Path,
    columns: Mapping[str, np.ndarray],
    *,
    comments: Sequence[str] = (),
    faces: np.ndarray | None = None,
) -> None:
    """Write points, or a mesh of triangles, as PLY, atomically.

    Args:
        path: Target file.
        columns: Array [N] of each vertex property, in the order of the file; integers of 8, 16 or 32 bits, float32 or
            float64. Names are ASCII without spaces.
        comments: Lines for the header.
        faces: Triangles [F, 3], indices of vertices; no element `face` if None.

    Raises:
        ValueError: Arrays of different lengths or more than one dimension, a type that PLY lacks, a name or comment
            that the header cannot hold.
    """
    arrays = {name: np.asarray(values) for name, values in columns.items()}
    count = len(next(iter(arrays.values()))) if arrays else 0
    for name, values in arrays.items():
        if values.shape != (count,):
            raise ValueError(f"columns[{name!r}]: expected shape [{count}], got {list(values.shape)}")
        if values.dtype.str[1:] not in _NAMES:
            raise ValueError(f"columns[{name!r}]: expected one of {', '.join(_NAMES)}, got {values.dtype}")
    kind = np.dtype([(name, f"<{values.dtype.str[1:]}") for name, values in arrays.items()])
    header = _header(kind, count, comments, None if faces is None else len(faces))
    rows = np.empty(count, kind)
    for name, values in arrays.items():
        rows[name] = values
    with atomic_write(path) as file:
        file.write(header)
        file.write(rows.tobytes())
        if faces is not None:
            triangles = np.empty(len(faces), np.dtype([("size", "u1"), ("corners", "<i4", 3)]))
            triangles["size"], triangles["corners"] = 3, faces
            file.write(triangles.tobytes())


def _header(kind: np.dtype, count: int, comments: Sequence[str], faces: int | None = None) -> bytes:
    """Header of a file with `count` vertices of a structured type, and perhaps triangles."""
    lines = ["ply", "format binary_little_endian 1.0"]
    lines += [f"comment {_header_text('comments', text)}" for text in comments]
    lines += [f"element vertex {count}"]
    for name in kind.names or ():
        if " " in name:
            raise ValueError(f"columns: expected names without spaces, got {name!r}")
        lines.append(f"property {_NAMES[kind[name].str[1:]]} {_header_text('columns', name)}")
    if faces is not None:
        lines += [f"element face {faces}", "property list uchar int vertex_indices"]
    return "\n".join([*lines, "end_header", ""]).encode("ascii")


def _header_text(argument: str, text: str) -> str:
    """The text, if it fits into one line of ASCII; `ValueError` otherwise."""
    if not text.isascii() or len(text.splitlines()) > 1:
        raise ValueError(f"{argument}: expected one line of ASCII, got {text!r}")
    return text
