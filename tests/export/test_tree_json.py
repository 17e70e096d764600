"""tree.json, checked against the tree by brute force."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from ultrafield.cameras import Similarity
from ultrafield.export import node_colors, write_tree_json
from ultrafield.surface import Surface
from ultrafield.ultrametric import Tree, cut, leaves

NAMES = ["r_0", "r_1", "r_2"]


@pytest.fixture
def content(tmp_path: Path, surface: Surface, tree: Tree) -> dict[str, Any]:
    heights = np.array([0.1, 0.5], np.float32)
    pictures = ["views/train/r_1/0.100.png", "views/train/r_1/0.500.png"]
    write_tree_json(tmp_path / "tree.json", surface, tree, NAMES, heights=heights, pictures=pictures, min_size=15)
    return json.loads((tmp_path / "tree.json").read_text())


def test_the_nodes_are_the_clusters(content: dict[str, Any], tree: Tree) -> None:
    nodes = content["nodes"]
    assert [node["size"] for node in nodes] == [90, 50, 40, 30, 20] or sorted(node["size"] for node in nodes) == [
        20,
        30,
        40,
        50,
        90,
    ]
    assert nodes[0]["id"] == 2 * 90 - 2
    assert nodes[0]["parent"] is None
    ids = [node["id"] for node in nodes]
    for position, node in enumerate(nodes[1:], start=1):
        assert ids.index(node["parent"]) < position
        parent = nodes[ids.index(node["parent"])]
        assert node["id"] in parent["children"]
        assert node["death"] == pytest.approx(parent["birth"])
        assert node["birth"] <= node["death"]
    assert {node["death"] for node in nodes[1:]} == {0.8, 0.3}
    assert content["min_size"] == 15
    assert content["points"] == 90


def test_boxes_sizes_and_views_by_brute_force(content: dict[str, Any], tree: Tree, surface: Surface) -> None:
    for node in content["nodes"]:
        below = leaves(tree, node["id"])
        assert node["size"] == len(below)
        expected = [surface.points[below].min(axis=0), surface.points[below].max(axis=0)]
        np.testing.assert_allclose(node["box"], expected, rtol=1e-5)
        seen = [int(surface.seen_from(view)[below].sum()) for view in range(3)]
        assert node["best_view_points"] == max(seen)
        assert node["best_view"] == NAMES[int(np.argmax(seen))]


def test_boxes_are_in_the_users_frame_however_large_its_coordinates(
    tmp_path: Path, tree: Tree, surface: Surface
) -> None:
    far = replace(surface, to_user=Similarity(1.0, np.eye(3), np.array([5e5, 4.6e6, 0.0])))
    write_tree_json(tmp_path / "tree.json", far, tree, NAMES)
    root = json.loads((tmp_path / "tree.json").read_text())["nodes"][0]
    expected = [far.points_user.min(axis=0), far.points_user.max(axis=0)]
    np.testing.assert_allclose(root["box"], expected, rtol=0, atol=1e-3)  # a hundredth of the points' distance


def test_a_level_says_which_node_a_label_is(content: dict[str, Any], tree: Tree) -> None:
    assert [level["height"] for level in content["levels"]] == [0.5, 0.1]
    sizes = {node["id"]: node["size"] for node in content["nodes"]}
    for level, expected in zip(content["levels"], ([50, 40], [40, 30, 20]), strict=True):
        labels = cut(tree, level["height"])
        assert [segment["size"] for segment in level["segments"]] == expected
        for segment in level["segments"]:
            assert (labels == segment["label"]).sum() == segment["size"]
            assert sizes[segment["node"]] == segment["size"]  # each run is complete at both heights


def test_a_level_has_count_typical_size_and_picture(content: dict[str, Any]) -> None:
    coarse, fine = content["levels"]
    assert (coarse["count"], coarse["typical_size"], coarse["covered"]) == (2, 45.0, 1.0)
    assert (fine["count"], fine["typical_size"], fine["covered"]) == (3, 30.0, 1.0)
    assert (coarse["picture"], fine["picture"]) == ("views/train/r_1/0.500.png", "views/train/r_1/0.100.png")


def test_a_level_of_crumbs_says_so(tmp_path: Path, surface: Surface, tree: Tree) -> None:
    write_tree_json(tmp_path / "tree.json", surface, tree, NAMES, heights=np.zeros(1, np.float32), min_size=15)
    level = json.loads((tmp_path / "tree.json").read_text())["levels"][0]
    assert (level["count"], level["typical_size"], level["covered"], level["picture"]) == (0, None, 0.0, None)


def test_nodes_have_the_colours_of_all_pictures(content: dict[str, Any], tree: Tree) -> None:
    colors = node_colors(tree, min_size=15)
    for node in content["nodes"]:
        assert node["color"] == colors[node["id"]].tolist()


def test_a_growing_segment_belongs_to_the_node_it_becomes(tmp_path: Path, surface: Surface, tree: Tree) -> None:
    heights = np.array([0.04], np.float32)  # runs are still in pieces here
    write_tree_json(tmp_path / "tree.json", surface, tree, NAMES, heights=heights, min_size=5)
    content = json.loads((tmp_path / "tree.json").read_text())
    nodes = {node["id"]: node for node in content["nodes"]}
    assert len(content["levels"][0]["segments"]) > 3
    labels = cut(tree, 0.04)
    for segment in content["levels"][0]["segments"]:
        node = nodes[segment["node"]]
        assert node["birth"] <= 0.04 < node["death"]
        assert set(np.flatnonzero(labels == segment["label"])) <= set(leaves(tree, node["id"]))


def test_no_view_sees_a_hidden_node(tmp_path: Path, surface: Surface, tree: Tree) -> None:
    blind = Surface(surface.points, surface.normals, surface.colors, np.zeros((0, 12), np.uint8), surface.voxel)
    write_tree_json(tmp_path / "tree.json", blind, tree, [])
    nodes = json.loads((tmp_path / "tree.json").read_text())["nodes"]
    assert {(node["best_view"], node["best_view_points"]) for node in nodes} == {(None, 0)}


def test_what_does_not_belong_together_is_refused(tmp_path: Path, surface: Surface, tree: Tree) -> None:
    with pytest.raises(ValueError, match="names: expected 3, one per view of the surface, got 1"):
        write_tree_json(tmp_path / "tree.json", surface, tree, ["r_0"])
    with pytest.raises(ValueError, match="pictures: expected 0, one per level, got 1"):
        write_tree_json(tmp_path / "tree.json", surface, tree, NAMES, pictures=["a.png"])
    other = Tree(np.array([0]), np.zeros(1, np.float32), np.ones(1, np.int64))
    with pytest.raises(ValueError, match="tree: expected 90 leaves, one per surface point, got 1"):
        write_tree_json(tmp_path / "tree.json", surface, other, NAMES)
