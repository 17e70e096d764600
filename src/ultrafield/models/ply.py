"""Vertices of PLY files, with all of their properties.

What a header declares is held against the size of the file before anything is allocated.
"""

from __future__ import annotations

import io
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from ..budget import memory
from ..errors import SceneError, UltrafieldError
from ..reading import read_bytes

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
_LONGEST_LINE = 1_000  # bytes
_SHOWN = 60  # characters of a line in a message
_WORD = 2  # bytes that a number takes in an ascii file, at least


@dataclass(frozen=True, eq=False)
class Vertices:
    """The vertices of a PLY file.

    Attributes:
        rows: Structured array [N] with the file's own names and types.
        comments: Comments of the header, without the word.
    """

    rows: np.ndarray
    comments: tuple[str, ...]


@dataclass(frozen=True, eq=False)
class _Element:
    """An element that a header declares; `kind` is the type of its rows, None if it has lists."""

    name: str
    count: int
    kind: np.dtype | None
    least: int  # bytes of a row


@dataclass(frozen=True, eq=False)
class _Header:
    """What a header declares; `order` is "<", ">", or "" for ascii."""

    order: str
    elements: tuple[_Element, ...]
    comments: tuple[str, ...]
    size: int  # bytes of the header itself


def read_vertices(path: str | Path, *, error: type[UltrafieldError] = SceneError) -> Vertices:
    """The vertices of a PLY file; elements after them are ignored.

    Ascii and binary files of either byte order. Neither vertices nor elements before them may have lists.

    Raises:
        UltrafieldError: `error`, if the file is missing, too large, no PLY file, has no vertices, or ends too early.
    """
    data = read_bytes(path, error=error, most=memory() // 2)
    try:
        header = _read_header(data)
        offset = header.size
        for element in header.elements:
            if element.kind is None:
                raise ValueError(f"element {element.name!r} has lists; only plain vertices can be read")
            rows, offset = _read_rows(data, offset, element, header.order)
            if element.name == "vertex":
                return Vertices(rows, header.comments)
        raise ValueError("has no vertices")
    except ValueError as failure:
        raise error(f"{path}: {failure}") from None


def check_ply(data: bytes) -> None:
    """Raise `ValueError` unless a PLY file's header can be read and declares no more than the file can hold."""
    header = _read_header(data)
    left = len(data) - header.size + _WORD  # the last line may lack its end
    for element in header.elements:
        if element.count * element.least > left:
            raise ValueError(f"ends before the {element.count} rows of {element.name!r} that its header announces")
        left -= element.count * element.least


def _read_header(data: bytes) -> _Header:
    file = io.BytesIO(data)
    if file.readline(_LONGEST_LINE).strip() != b"ply":
        raise ValueError("no PLY file; it begins with another line than 'ply'")
    order: str | None = None
    comments: list[str] = []
    drafts: list[tuple[str, int, list[tuple[str, str]]]] = []
    for _ in range(_LONGEST_HEADER):
        line = file.readline(_LONGEST_LINE).decode("ascii", "replace").strip()
        words = line.split()
        try:
            if words == ["end_header"]:
                break
            if words and words[0] == "format":
                order = _ORDERS[words[1]]
            elif words and words[0] == "element":
                drafts.append((words[1], _count(words[2]), []))
            elif words and words[0] == "property":
                drafts[-1][2].append(("", "") if words[1] == "list" else (words[2], _KINDS[words[1]]))
            elif words and words[0] == "comment":
                comments.append(line.removeprefix("comment").strip())
            elif not words or words[0] != "obj_info":
                raise ValueError
        except (ValueError, KeyError, IndexError):
            raise ValueError(f"line {' '.join(words)[:_SHOWN]!r} of the header cannot be read") from None
    else:
        raise ValueError("its header does not end")
    if order is None:
        raise ValueError("its header names no format")
    return _Header(order, tuple(_element(*draft, order) for draft in drafts), tuple(comments), file.tell())


def _count(word: str) -> int:
    count = int(word)
    if count < 0:
        raise ValueError
    return count


def _element(name: str, count: int, columns: list[tuple[str, str]], order: str) -> _Element:
    least = sum(np.dtype(kind or "u1").itemsize if order else _WORD for _, kind in columns)
    if not all(kind for _, kind in columns):
        return _Element(name, count, None, max(1, least))
    return _Element(name, count, np.dtype([(key, order + kind) for key, kind in columns]), max(1, least))


def _read_rows(data: bytes, offset: int, element: _Element, order: str) -> tuple[np.ndarray, int]:
    """Rows of an element whose first byte is at `offset`, and the place of the byte after them."""
    kind, count = element.kind, element.count
    assert kind is not None
    held = (len(data) - offset + (0 if order else _WORD)) // element.least
    if order or held < count:
        if held < count:
            raise ValueError(f"ends after {held} of {count} rows" if order else f"ends before its {count} rows")
        return np.frombuffer(data, kind, count, offset), offset + count * kind.itemsize
    rows = np.zeros(count, kind)
    file = io.BytesIO(data)
    file.seek(offset)
    with np.errstate(over="ignore", invalid="ignore"):  # becomes infinite, as it would be in a binary file
        for index in range(count):
            _fill(rows, index, file.readline().split())
    return rows, file.tell()


def _fill(rows: np.ndarray, index: int, words: list[bytes]) -> None:
    """Store the words of one line."""
    columns = len(rows.dtype.names or ())
    if len(words) != columns:
        raise ValueError(f"vertex {index}: expected {columns} numbers, got {len(words)}")
    try:
        rows[index] = tuple(float(word) for word in words)
    except (ValueError, OverflowError):
        shown = b" ".join(words)[:_SHOWN].decode("ascii", "replace")
        raise ValueError(f"vertex {index}: expected numbers that fit their types, got {shown!r}") from None
