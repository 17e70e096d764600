"""Edits of a run's tree: stored beside it, read by every later command, stale only where the tree changed."""

from __future__ import annotations

import json
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from toy_scene import Toy

import ultrafield as uf
from ultrafield import cli
from ultrafield.config import SegmentConfig
from ultrafield.errors import RunError
from ultrafield.pipeline.edits import by_id, match_edits, read_edits, structure_of, write_edits
from ultrafield.pipeline.folder import RunFolder
from ultrafield.ultrametric import EditedTree


@pytest.fixture
def copied_run(tiny_run: Path, tmp_path: Path) -> Path:
    return shutil.copytree(tiny_run, tmp_path / "run")


def sides(segmentation: uf.Segmentation) -> tuple[int, int]:
    """Two disjoint nodes that no one merge joins: a child of either child of the root."""
    children = segmentation.tree.children()
    n = segmentation.tree.num_leaves
    first, second = (int(node) for node in children[-1])
    return (
        int(children[first - n][0]) if first >= n else first,
        int(children[second - n][0]) if second >= n else second,
    )


def test_names_make_nothing_stale(copied_run: Path, capsys: pytest.CaptureFixture[str]) -> None:
    run = RunFolder(copied_run)
    before = {
        file: file.read_bytes() for file in copied_run.rglob("*") if file.is_file() and file.name != "stages.json"
    }
    assert cli.main(["name", str(copied_run), "--node", "7", "--name", "Å <b>&\u202e"]) == 0
    assert structure_of(run) == {}
    assert uf.open_run(copied_run).names == {7: "Å <b>&\u202e"}
    for command in (["segment", str(copied_run)], ["eval", str(copied_run)]):
        assert cli.main(command) == 0
    assert "done before with these settings, kept" in capsys.readouterr().err
    assert all(file.read_bytes() == content for file, content in before.items())


def test_merges_are_in_every_file_after_segment(copied_run: Path, capsys: pytest.CaptureFixture[str]) -> None:
    run, before = RunFolder(copied_run), uf.open_run(copied_run)
    tree_file = (copied_run / "tree.npz").read_bytes()
    edited = EditedTree(run.read_tree())
    joined = edited.merge(sides(before))
    edited.rename(joined, "both")
    write_edits(run, edited)
    after = uf.open_run(copied_run)
    assert after.names == {joined: "both"}
    height = float(after.tree.heights[np.flatnonzero(after.ids == joined)[0]])
    assert joined in after.cut(height)
    assert joined not in before.cut(height)

    assert cli.main(["eval", str(copied_run)]) == 2
    assert "merges and splits are newer than the label maps; next: ultrafield segment" in capsys.readouterr().err
    assert cli.main(["segment", str(copied_run)]) == 0
    assert "surface and tree: kept" in capsys.readouterr().err
    assert (copied_run / "tree.npz").read_bytes() == tree_file
    labels = RunFolder(copied_run).read_labels("train", "r_0")
    assert set(np.unique(labels.labels.columns)) <= {-1, *after.ids.tolist()}
    listed = json.loads((copied_run / "tree.json").read_text())
    assert {node["id"] for node in listed["nodes"]} <= set(after.ids.tolist())
    assert cli.main(["eval", str(copied_run)]) == 0
    assert cli.main(["segment", str(copied_run)]) == 0
    assert "done before with these settings, kept" in capsys.readouterr().err


def test_edits_of_another_tree_are_kept_and_come_back(copied_run: Path) -> None:
    run = RunFolder(copied_run)
    first, second = run.read_tree(), replace_heights(run)
    edited = EditedTree(first)
    edited.rename(3, "three")
    write_edits(run, edited)
    with run.owned():
        assert match_edits(run, first) is None
        said = match_edits(run, second)
        assert said is not None
        assert said.startswith("edits of the earlier tree are kept in edits-")
        assert read_edits(run, second).operations == ()
        back = match_edits(run, first)
    assert back is not None
    assert back.startswith("edits of this tree are back")
    assert read_edits(run, first).names == {3: "three"}


def replace_heights(run: RunFolder) -> uf.Tree:
    tree = run.read_tree()
    return uf.Tree(tree.parents, tree.heights * 0.5, tree.sizes)


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        ('{"version": 9, "tree": "a", "edits": []}', "written by a newer ultrafield"),
        ('{"version": 1, "tree": "a", "edits": []}', "these edits are about another tree"),
        ('{"version": 1, "tr', "not valid JSON"),
        ('{"version": 1, "tree": "TREE", "edits": [{"kind": "rename", "nodes": [99999999], "name": "x"}]}', "edit 0: "),
    ],
)
def test_what_cannot_be_read_is_one_line(
    copied_run: Path, capsys: pytest.CaptureFixture[str], content: str, expected: str
) -> None:
    from ultrafield.ultrametric.file import digest_tree

    tree = digest_tree(RunFolder(copied_run).read_tree())
    (copied_run / "edits.json").write_text(content.replace("TREE", tree))
    assert cli.main(["find", str(copied_run), "x"]) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert f"{copied_run / 'edits.json'}: {expected}" in line


def test_edits_that_are_no_list_are_refused(tmp_path: Path) -> None:
    (tmp_path / "edits.json").write_text('{"edits": 3}')
    with pytest.raises(RunError, match="expected edits of a tree"):
        structure_of(RunFolder(tmp_path))


def test_a_saved_segmentation_keeps_its_edits(toy: Toy, tmp_path: Path) -> None:
    depths = [view.depth * toy.scene.to_user.scale for view in toy.views]
    surface = uf.surface_from_depth(depths, toy.scene.train.cameras)
    plain = uf.segment(surface, toy.scene, SegmentConfig(superpoints=200))
    edited = EditedTree(plain.tree)
    joined = edited.merge(sides(plain))
    segmentation = plain.with_edits(edited)
    again = uf.open_run(segmentation.save(tmp_path / "saved"))
    assert np.array_equal(again.cut(0.5), segmentation.cut(0.5))
    assert (again.ids == joined).any()
    maps = next(again.label(toy.scene.train.cameras[[0]], depths=depths[:1], heights=[float(again.tree.heights[-1])]))
    assert set(np.unique(maps)) == {-1, int(again.ids[-1])}
    uf.open_run(replace(plain).save(tmp_path / "saved"))
    assert not (tmp_path / "saved" / "edits.json").exists()


def test_values_by_lasting_id() -> None:
    assert by_id(np.array([7, 8, 9]), np.array([0, 4, 2]), fill=-1).tolist() == [7, -1, 9, -1, 8]


def test_records_of_a_newer_program_are_named(copied_run: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (copied_run / "stages.json").write_text('{"format": 9, "stages": {"segment": {"new": 1}}}')
    assert cli.main(["export", str(copied_run), "--to", "ply"]) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert f"{copied_run / 'stages.json'}: not records of this version" in line


def test_broken_cameras_are_one_line(copied_run: Path, capsys: pytest.CaptureFixture[str]) -> None:
    from ultrafield.pipeline.cameras import read_cameras

    run = RunFolder(copied_run)
    arrays = dict(np.load(copied_run / "cameras.npz"))
    for change, expected in (
        ({"train/names": arrays["train/names"][:-1]}, "5 names and 6 files of 6 cameras"),
        ({"train/names": np.array(["../x"] * 6)}, "cannot be a file name"),
        ({"train/c2w": arrays["train/c2w"][:, :2]}, "c2w"),
    ):
        np.savez(copied_run / "cameras.npz", **(arrays | change))
        with pytest.raises(RunError, match=expected):
            read_cameras(run)
    (copied_run / "cameras.npz").unlink()
    with pytest.raises(RunError, match=r"cameras.npz: missing; make it with: ultrafield segment"):
        read_cameras(run)
    assert cli.main(["export", str(copied_run), "--to", "coco"]) == 2
    assert "cameras.npz: missing; next: ultrafield segment" in capsys.readouterr().err
