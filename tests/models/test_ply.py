"""Vertices of PLY files against what was written, and what is wrong with a file."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from ultrafield.errors import SceneError
from ultrafield.models import read_vertices

HEADER = (
    "ply\nformat {format} 1.0\ncomment by hand\nelement origin 1\nproperty int id\n"
    "element vertex 3\nproperty float x\nproperty uchar red\nproperty double y\n"
    "element face 1\nproperty list uchar int vertex_indices\nend_header\n"
)
ROWS = np.array([(0.5, 255, -1e10), (1.5, 0, 2.25), (-2.0, 7, 0.0)], [("x", "f4"), ("red", "u1"), ("y", "f8")])


@pytest.mark.parametrize(("name", "order"), [("binary_little_endian", "<"), ("binary_big_endian", ">"), ("ascii", "")])
def test_vertices_come_back(tmp_path: Path, name: str, order: str) -> None:
    if order:
        rows = ROWS.astype([("x", order + "f4"), ("red", "u1"), ("y", order + "f8")])
        body = np.array([9], order + "i4").tobytes() + rows.tobytes() + b"\x03" + np.arange(3, dtype="i4").tobytes()
    else:
        body = b"9\n0.5 255 -1e10\n1.5 0 2.25\n-2 7 0\n3 0 1 2\n"
    (tmp_path / "a.ply").write_bytes(HEADER.format(format=name).encode() + body)
    found = read_vertices(tmp_path / "a.ply").rows
    assert found.dtype.names == ("x", "red", "y")
    for column in ROWS.dtype.names or ():
        np.testing.assert_array_equal(found[column], ROWS[column])


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("obj\n", "no PLY file; it begins with another line than 'ply'"),
        ("ply\nformat ascii 1.0\nend_header\n", "has no vertices"),
        ("ply\nend_header\n", "its header names no format"),
        ("ply\nformat zip 1.0\nend_header\n", "line 'format zip 1.0' of the header cannot be read"),
        ("ply\nformat ascii 1.0\nproperty float x\n", "line 'property float x' of the header cannot be read"),
        ("ply\nformat ascii 1.0\nelement vertex 1\nproperty half x\n", "line 'property half x' of the header"),
        (
            "ply\nformat ascii 1.0\nelement vertex 2\nproperty float x\nend_header\n1\n",
            "vertex 1: expected 1 numbers, got 0",
        ),
        ("ply\nformat ascii 1.0\nelement vertex 1\nproperty float x\nend_header\none\n", "vertex 0: expected numbers"),
        (
            "ply\nformat binary_little_endian 1.0\nelement vertex 2\nproperty float x\nend_header\n1234",
            "ends after 1",
        ),
        ("ply\nformat ascii 1.0\nelement vertex 1\nproperty list uchar int n\nend_header\n", "'vertex' has lists"),
        (
            "ply\nformat ascii 1.0\nelement vertex 1\nproperty uchar x\nend_header\n300\n",
            "vertex 0: expected numbers that fit their types, got '300'",
        ),
        ("ply\nformat ascii 1.0\nelement vertex -1\n", "line 'element vertex -1' of the header cannot be read"),
        (
            "ply\nformat ascii 1.0\nelement vertex 1000000000000\nproperty float x\nend_header\n1\n",
            "ends before its 1000000000000 rows",
        ),
        (
            "ply\nformat binary_little_endian 1.0\nelement vertex 1000000000000\nproperty float x\nend_header\n1234",
            "ends after 1 of 1000000000000 rows",
        ),
        ("ply\n" + "comment\n" * 10_000, "its header does not end"),
        ("ply\nformat ascii 1.0\n", "line '' of the header cannot be read"),
    ],
)
def test_a_broken_file_is_named(tmp_path: Path, content: str, message: str) -> None:
    (tmp_path / "a.ply").write_bytes(content.encode())
    with pytest.raises(SceneError, match=f"a.ply: .*{message}"):
        read_vertices(tmp_path / "a.ply")


def test_no_file(tmp_path: Path) -> None:
    with pytest.raises(SceneError, match=r"a\.ply: no such file"):
        read_vertices(tmp_path / "a.ply")
