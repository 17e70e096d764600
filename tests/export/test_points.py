"""points.ply, read back by our reader and by trimesh."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import trimesh

from ultrafield.cameras import Similarity
from ultrafield.export import write_points
from ultrafield.models import read_vertices
from ultrafield.surface import Surface
from ultrafield.ultrametric import Tree, cut


def test_every_column_comes_back(tmp_path: Path, surface: Surface, tree: Tree) -> None:
    write_points(tmp_path / "points.ply", surface, tree, np.array([0.1, 0.9, 0.5], np.float32))
    cloud = read_vertices(tmp_path / "points.ply")
    vertex = cloud.rows
    np.testing.assert_array_equal(np.stack([vertex[name] for name in "xyz"], 1), surface.points)
    np.testing.assert_array_equal(np.stack([vertex[name] for name in ("nx", "ny", "nz")], 1), surface.normals)
    np.testing.assert_array_equal(np.stack([vertex[name] for name in ("red", "green", "blue")], 1), surface.colors)
    for column, height in (("segment_0", 0.9), ("segment_1", 0.5), ("segment_2", 0.1)):
        np.testing.assert_array_equal(vertex[column], cut(tree, height))
        assert vertex[column].dtype == np.int32
    assert [len(np.unique(vertex[f"segment_{level}"])) for level in range(3)] == [1, 2, 3]
    assert list(cloud.comments) == [
        "segment ids are nodes of tree.npz; levels[].segments of tree.json names the node of each",
        "segment_0: cut at height 0.9",
        "segment_1: cut at height 0.5",
        "segment_2: cut at height 0.1",
    ]
    assert all(vertex[name].dtype == np.float32 for name in "xyz")


def test_large_coordinates_are_written_to_the_millimetre(tmp_path: Path, surface: Surface, tree: Tree) -> None:
    to_user = Similarity(2.0, np.diag([-1.0, -1.0, 1.0]), np.array([5e5, 4.6e6, 0.0]))
    write_points(tmp_path / "points.ply", replace(surface, to_user=to_user), tree, np.zeros(0, np.float32))
    vertex = read_vertices(tmp_path / "points.ply").rows
    expected = to_user.translation + 2.0 * surface.points.astype(np.float64) * [-1, -1, 1]
    np.testing.assert_allclose(np.stack([vertex[name] for name in "xyz"], 1), expected, rtol=0, atol=1e-6)
    np.testing.assert_array_equal(np.stack([vertex[name] for name in ("nx", "ny")], 1), -surface.normals[:, :2])


def test_no_level_is_a_plain_cloud(tmp_path: Path, surface: Surface, tree: Tree) -> None:
    write_points(tmp_path / "points.ply", surface, tree, np.zeros(0, np.float32))
    names = read_vertices(tmp_path / "points.ply").rows.dtype.names
    assert list(names or ()) == [
        "x",
        "y",
        "z",
        "nx",
        "ny",
        "nz",
        "red",
        "green",
        "blue",
    ]


def test_trimesh_reads_the_same_points(tmp_path: Path, surface: Surface, tree: Tree) -> None:
    write_points(tmp_path / "points.ply", surface, tree, np.array([0.5], np.float32))
    cloud = trimesh.load(tmp_path / "points.ply", process=False)
    np.testing.assert_array_equal(cloud.vertices, surface.points)
    np.testing.assert_array_equal(cloud.colors[:, :3], surface.colors)
    np.testing.assert_array_equal(vertex_data(cloud)["segment_0"], cut(tree, 0.5))


def test_geographic_coordinates_keep_their_millimetres(tmp_path: Path, surface: Surface, tree: Tree) -> None:
    shifted = replace(surface, to_user=Similarity(1.0, np.eye(3), np.array([5e5, 4.6e6, 0.0])))
    write_points(tmp_path / "points.ply", shifted, tree, np.array([0.5], np.float32))
    assert vertex_data(trimesh.load(tmp_path / "points.ply"))["y"].dtype == np.float64
    columns = read_vertices(tmp_path / "points.ply").rows
    np.testing.assert_array_equal(np.stack([columns[name] for name in "xyz"], axis=1), shifted.points_user)


def vertex_data(cloud: trimesh.PointCloud) -> np.ndarray:
    """The vertices as trimesh's own PLY reader stored them, a structured array [N]."""
    return cloud.metadata["_ply_raw"]["vertex"]["data"]


def test_a_tree_of_other_points_is_refused_and_nothing_written(tmp_path: Path, surface: Surface) -> None:
    other = Tree(np.array([0]), np.zeros(1, np.float32), np.ones(1, np.int64))
    with pytest.raises(ValueError, match="tree: expected 90 leaves, one per surface point, got 1"):
        write_points(tmp_path / "points.ply", surface, other, np.array([0.5]))
    assert list(tmp_path.iterdir()) == []
