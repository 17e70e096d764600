"""PLY files: our writer against trimesh's reader, our reader against trimesh's writer."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import trimesh

from ultrafield.export.ply import coordinate_type, write_ply
from ultrafield.models import read_vertices

KINDS = ("i1", "u1", "i2", "u2", "i4", "u4", "f4", "f8")


@pytest.mark.parametrize("count", [0, 1, 7])
def test_all_types_come_back(tmp_path: Path, count: int) -> None:
    rng = np.random.default_rng(0)
    columns = {f"of_{kind}": rng.uniform(0, 100, count).astype(kind) for kind in KINDS}
    write_ply(tmp_path / "cloud.ply", columns, comments=["first", "second one"])
    cloud = read_vertices(tmp_path / "cloud.ply")
    assert cloud.comments == ("first", "second one")
    assert list(cloud.rows.dtype.names) == list(columns)
    for name, values in columns.items():
        np.testing.assert_array_equal(cloud.rows[name], values, strict=True)


def test_trimesh_reads_all_types(tmp_path: Path) -> None:
    rng = np.random.default_rng(1)
    columns = dict(zip("xyz", rng.normal(size=(3, 9)).astype(np.float32), strict=True))
    columns |= {f"of_{kind}": rng.uniform(0, 100, 9).astype(kind) for kind in KINDS}
    write_ply(tmp_path / "cloud.ply", columns)
    vertices = trimesh.load(tmp_path / "cloud.ply").metadata["_ply_raw"]["vertex"]["data"]
    assert vertices.dtype.names == tuple(columns)
    for name, values in columns.items():
        np.testing.assert_array_equal(vertices[name], values, strict=True)


def test_files_of_trimesh_are_read(tmp_path: Path) -> None:
    box = trimesh.creation.box()
    box.export(tmp_path / "box.ply")  # faces, which are lists, follow the vertices
    cloud = read_vertices(tmp_path / "box.ply")
    np.testing.assert_allclose(np.stack([cloud.rows[name] for name in "xyz"], axis=1), box.vertices)


def test_big_endian_and_strided_arrays_are_stored_by_value(tmp_path: Path) -> None:
    values = np.arange(12, dtype=">i4").reshape(6, 2)[:, 0]
    write_ply(tmp_path / "cloud.ply", {"value": values})
    np.testing.assert_array_equal(read_vertices(tmp_path / "cloud.ply").rows["value"], [0, 2, 4, 6, 8, 10])


@pytest.mark.parametrize(
    ("columns", "comments", "message"),
    [
        ({"x": np.zeros(2, np.int64)}, [], r"columns\['x'\]: expected one of i1, u1, .*, f8, got int64"),
        ({"x": np.zeros((2, 3), np.float32)}, [], r"columns\['x'\]: expected shape \[2\], got \[2, 3\]"),
        ({"x": np.zeros(2, "f4"), "y": np.zeros(3, "f4")}, [], r"columns\['y'\]: expected shape \[2\], got \[3\]"),
        ({"a b": np.zeros(2, "f4")}, [], "columns: expected names without spaces, got 'a b'"),
        ({"größe": np.zeros(2, "f4")}, [], "columns: expected one line of ASCII, got 'größe'"),
        ({"x": np.zeros(2, "f4")}, ["one\nend_header"], "comments: expected one line of ASCII"),
    ],
)
def test_what_ply_cannot_hold_is_refused(tmp_path: Path, columns: dict, comments: list[str], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        write_ply(tmp_path / "cloud.ply", columns, comments=comments)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("largest", "spacing", "kind"),
    [
        (1.0, 1e-3, "f4"),  # rounding moves points by 6e-8
        (1.0, 1e-5, "f8"),  # the same is 0.6 % of the spacing
        (4.6e6, 10.0, "f8"),  # a quarter of a metre
        (8000.0, 1.0, "f4"),  # 0.48 mm
        (9000.0, 1.0, "f8"),  # 0.54 mm
    ],
)
def test_large_coordinates_are_doubles(largest: float, spacing: float, kind: str) -> None:
    points = np.array([[0.0, -largest, 0.0], [0.1, 0.2, 0.3]])
    assert coordinate_type(points, spacing) == np.dtype(kind)
    assert coordinate_type(points.astype(np.float32), spacing) == np.float32  # nothing to gain
