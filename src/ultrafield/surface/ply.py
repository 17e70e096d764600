"""Vertices of PLY files, with all of their properties."""

from __future__ import annotations

from pathlib import Path
from typing import BinaryIO

import numpy as np

from ..errors import SceneError

_KINDS = {
    **dict.fromkeys(("char", "int8"), "i1"),
    **dict.fromkeys(("uchar", "uint8"), "u1"),
    **dict.fromkeys(("short", "int16"), "i2"),
    **dict.fromkeys(("ushort", "uint16"), "u2"),
    **dict.fromkeys(("int", "int32"), "i4"),
    **dict.fromkeys(("uint", "uint32"), "u4"),
    **dict.fromkeys(("float", "float32"), "f4"),
    **dict.fromkeys(("double", "float64"), "f8"),
}
_ORDERS = {"ascii": "", "binary_little_endian": "<", "binary_big_endian": ">"}
_LONGEST_HEADER = 10_000  # lines


def read_ply_vertices(path: str | Path) -> np.ndarray:
    """The vertices of a PLY file, as a structured array [N] with the file's own names and types.

    Ascii and binary files of either byte order; elements after the vertices are ignored. Vertices must not have lists.

    Raises:
        SceneError: No such file, no PLY file, one without vertices, or one that ends too early.
    """
    if not Path(path).is_file():
        raise SceneError(f"{path}: no such file")
    with open(path, "rb") as file:
        order, elements = _read_header(file, path)
        for name, count, kind in elements:
            if kind is None:
                raise SceneError(f"{path}: element {name!r} has lists; only plain vertices can be read")
            rows = _read_rows(file, count, kind, order, path)
            if name == "vertex":
                return rows
    raise SceneError(f"{path}: has no vertices")


def _read_header(file: BinaryIO, path: str | Path) -> tuple[str, list[tuple[str, int, np.dtype | None]]]:
    """Byte order, and name, number and dtype of the elements up to the vertices; no dtype for those with lists."""
    if file.readline().strip() != b"ply":
        raise SceneError(f"{path}: no PLY file; it begins with another line than 'ply'")
    order: str | None = None
    elements: list[tuple[str, int, list[tuple[str, str]]]] = []
    for _ in range(_LONGEST_HEADER):
        words = file.readline().decode("ascii", "replace").split()
        try:
            if words == ["end_header"]:
                break
            if words and words[0] == "format":
                order = _ORDERS[words[1]]
            elif words and words[0] == "element":
                elements.append((words[1], int(words[2]), []))
            elif words and words[0] == "property":
                elements[-1][2].append(("", "") if words[1] == "list" else (words[2], _KINDS[words[1]]))
            elif not words or words[0] not in ("comment", "obj_info"):
                raise ValueError
        except (ValueError, KeyError, IndexError):
            raise SceneError(f"{path}: line {' '.join(words)!r} of the header cannot be read") from None
    else:
        raise SceneError(f"{path}: its header does not end")
    if order is None:
        raise SceneError(f"{path}: its header names no format")
    described: list[tuple[str, int, np.dtype | None]] = []
    for name, count, columns in elements:
        plain = all(kind for _, kind in columns)
        described.append((name, count, np.dtype([(key, order + kind) for key, kind in columns]) if plain else None))
    return order, described


def _read_rows(file: BinaryIO, count: int, kind: np.dtype, order: str, path: str | Path) -> np.ndarray:
    if order:
        rows = np.fromfile(file, kind, count)
    else:
        rows = np.zeros(count, kind)
        for index in range(count):
            words = file.readline().split()
            if len(words) != len(kind.names or ()):
                raise SceneError(f"{path}: vertex {index}: expected {len(kind.names or ())} numbers, got {len(words)}")
            try:
                rows[index] = tuple(float(word) for word in words)
            except ValueError:
                raise SceneError(f"{path}: vertex {index}: expected numbers, got {words[0]!r} …") from None
    if len(rows) < count:
        raise SceneError(f"{path}: ends after {len(rows)} of {count} rows")
    return rows
