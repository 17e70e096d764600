"""Names of nodes from ground truth and tables, and nodes found by name."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
from toy_scene import Toy

import ultrafield as uf
from ultrafield import cli
from ultrafield.config import SegmentConfig
from ultrafield.errors import ConfigError, SceneError
from ultrafield.pipeline.naming import (
    check_node,
    find_nodes,
    majority,
    names_from_table,
    names_from_truth,
    true_nodes,
)
from ultrafield.scene import load_scene
from ultrafield.ultrametric import EditedTree


@pytest.fixture(scope="module")
def segmentation(toy: Toy) -> uf.Segmentation:
    depths = [view.depth * toy.scene.to_user.scale for view in toy.views]
    surface = uf.surface_from_depth(depths, toy.scene.train.cameras)
    return uf.segment(surface, toy.scene, SegmentConfig(superpoints=200))


def test_names_of_synth_come_from_its_tree(tiny_scene: Path, tmp_path: Path) -> None:
    """With exact depth every object is found, by training views and by validation views alone."""
    scene = load_scene(tiny_scene)
    truth = np.load(tiny_scene / "exact" / "train.npz")
    depths = [depth.astype(np.float64) for depth in truth["depth"]]
    surface = uf.surface_from_depth(depths, scene.train.cameras)
    found = uf.segment(surface, scene, SegmentConfig(superpoints=200))
    matches = names_from_truth(found, scene)
    assert {match.name for match in matches} & {node.name for node in true_nodes(scene) if len(node.parts) > 1}
    assert all(match.score >= 0.5 for match in matches)
    assert len({match.node for match in matches}) == len(matches)
    shutil.copytree(tiny_scene, tmp_path / "scene")
    (tmp_path / "scene" / "exact" / "train.npz").unlink()
    by_validation = names_from_truth(found, load_scene(tmp_path / "scene"))
    assert {match.name for match in matches} & {match.name for match in by_validation}


def test_names_of_a_run(tiny_run: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    run = str(shutil.copytree(tiny_run, tmp_path / "run"))
    assert cli.main(["name", run, "--iou", "0.1"]) == 0
    assert "true segments have a node" in capsys.readouterr().err
    named = uf.open_run(run).names
    assert named
    node, name = next(iter(named.items()))
    assert cli.main(["name", run, "--node", str(node), "--name", "mine"]) == 0
    assert cli.main(["name", run, "--iou", "0.1"]) == 0
    assert uf.open_run(run).names[node] == "mine"
    assert cli.main(["name", run, "--iou", "0.1", "--overwrite"]) == 0
    assert uf.open_run(run).names[node] == name
    assert cli.main(["find", run, name.upper()]) == 0
    assert str(node) in capsys.readouterr().out
    assert cli.main(["name", run, "--node", str(node), "--name", ""]) == 0
    assert node not in uf.open_run(run).names
    assert cli.main(["find", run, "no such name"]) == 0
    assert "no name holds 'no such name'" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        (["--node", "3"], "--name: needed with --node"),
        (["--name", "x"], "--node: needed with --name"),
        (["--node", "3", "--name", "x", "--csv", "t"], "--csv: give either a table or one node"),
        (["--node", "3", "--name", "a\nb"], "--name: 'a\\nb' cannot be a name: it holds a control character"),
        (["--node", "3", "--name", "a" * 300], "which is more than 200"),
        (["--node", "99999999", "--name", "x"], "--node: there is no node 99999999"),
        (["--iou", "0"], "--iou: expected"),
    ],
)
def test_wrong_options_are_one_line(
    tiny_run: Path, capsys: pytest.CaptureFixture[str], options: list[str], expected: str
) -> None:
    assert cli.main(["name", str(tiny_run), *options]) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert expected in line


def test_a_table_names_nodes(segmentation: uf.Segmentation, tmp_path: Path) -> None:
    root = int(segmentation.ids[-1])
    file = tmp_path / "names.csv"
    file.write_text(f'\ufeffnode,name\n3,"a, ""b"""\n0:{root}, é \n\n', encoding="utf-8")
    assert names_from_table(file, segmentation) == {3: 'a, "b"', root: "é"}


@pytest.mark.parametrize(
    ("row", "expected"),
    [
        ("1,a,b", "row 2: expected a node and a name, found 3 columns"),
        ("x,a", "row 2: expected a node id, or LEVEL:NODE, found 'x'"),
        ("-1,a", "row 2: expected a node id"),
        ("77777777,a", "row 2: there is no node 77777777"),
        ("9:3,a", "row 2: there is no level 9"),
        ("0:3,a", "row 2: level 0 has no segment 3"),
        ('"a,b', "no table in UTF-8"),
        ("1,\ud800", "no table in UTF-8"),
        ("1,a\x07", "row 2: 'a\\x07' cannot be a name"),
    ],
)
def test_a_broken_row_is_named(segmentation: uf.Segmentation, tmp_path: Path, row: str, expected: str) -> None:
    file = tmp_path / "names.csv"
    file.write_bytes(f"node,name\n{row}\n".encode(errors="surrogatepass"))
    with pytest.raises(SceneError) as failure:
        names_from_table(file, segmentation)
    assert str(failure.value).startswith(f"{file}: {expected}")


def test_scenes_without_names_or_ids(tiny_scene: Path, segmentation: uf.Segmentation, tmp_path: Path) -> None:
    shutil.copytree(tiny_scene, tmp_path / "scene")
    scene = load_scene(tmp_path / "scene")
    listed = json.loads((tmp_path / "scene" / "tree.json").read_text())
    for name in ("exact", "gt_seg"):
        shutil.rmtree(tmp_path / "scene" / name, ignore_errors=True)
    with pytest.raises(SceneError, match="has no exact ids"):
        names_from_truth(segmentation, scene)
    for nodes, expected in (
        (3, "expected a list 'nodes'"),
        ([{"name": "x"}], "node 0: expected 'name' and 'parts'"),
        ([{"name": 3, "parts": []}], "node 0: expected a name and a list"),
        ([{"name": "a\nb", "parts": []}], "node 0: 'a\\\\nb' cannot be a name"),
    ):
        (tmp_path / "scene" / "tree.json").write_text(json.dumps(listed | {"nodes": nodes}))
        with pytest.raises(SceneError, match=expected):
            names_from_truth(segmentation, scene)
    (tmp_path / "scene" / "tree.json").unlink()
    with pytest.raises(SceneError, match=r"has no names \(no tree.json\)"):
        names_from_truth(segmentation, scene)


def test_nodes_are_found_by_any_scorer(segmentation: uf.Segmentation) -> None:
    edited = EditedTree(segmentation.tree)
    edited.rename(3, "Handle of the MUG")
    edited.rename(4, "mug")
    named = segmentation.with_edits(edited)
    assert [(match.node, match.score) for match in find_nodes(named, " Mug ")] == [(4, 1.0), (3, 3 / 17)]
    assert find_nodes(named, "spoon") == []
    best, *_ = find_nodes(named, "spoon", [lambda _, text: {9: len(text) / 10}])
    assert (best.node, best.name, best.score) == (9, "", 0.5)


def test_nodes_that_merges_took_away_are_unknown(segmentation: uf.Segmentation) -> None:
    edited = EditedTree(segmentation.tree)
    gone = int(segmentation.tree.parents[0])
    other = next(node for node in range(segmentation.tree.num_leaves) if segmentation.tree.parents[node] != gone)
    edited.merge([other, 0])
    with pytest.raises(ConfigError, match=f"there is no node {gone};"):
        check_node(segmentation.with_edits(edited), gone, "--node")
    check_node(segmentation, gone, "--node")


def test_the_most_frequent_value_of_each_point() -> None:
    votes = [
        (np.array([0, 1, 3]), np.array([2, 5, 9])),
        (np.array([0, 3]), np.array([2, 1])),
        (np.array([0]), np.array([7])),
    ]
    assert majority(votes, 5).tolist() == [2, 5, -1, 1, -1]
    assert majority([], 2).tolist() == [-1, -1]
