"""Masks that the user has: `masks --from PATH`, and straight in `--masks PATH` of all commands."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from own_masks import coco, records, write_json

from ultrafield import cli
from ultrafield.errors import SceneError
from ultrafield.io import write_image
from ultrafield.masks import read_masks, write_masks
from ultrafield.masks.packed import read_qualities
from ultrafield.scene import load_scene

from .test_masks import tree


@pytest.fixture
def masks(tiny_scene: Path) -> dict[str, np.ndarray]:
    """The scene's own masks by the names of its pictures."""
    found = {view.name: view.masks for view in load_scene(tiny_scene, progress=False).train}
    return {f"{name}.png": masks.masks() for name, masks in found.items() if masks is not None}


def check(root: Path, masks: dict[str, np.ndarray]) -> None:
    """The same masks in the same order."""
    for name, expected in masks.items():
        found = read_masks(root, "train", name[:-4])
        assert found is not None
        np.testing.assert_array_equal(found.masks(), expected)


def test_annotations_become_packed_files_with_their_scores(
    bare: Path, masks: dict[str, np.ndarray], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    source = write_json(tmp_path / "masks.json", coco(masks | {"other.png": masks["r_0.png"]}))
    assert cli.main(["masks", str(bare), "--from", str(source)]) == 0
    said = capsys.readouterr()
    assert f"{source}: 1 picture is named like no view, or like several (other.png), and not read" in said.err
    assert f"{source}: COCO annotations of 6 of 6 training views" in said.err
    total = sum(len(of_view) for of_view in masks.values())
    assert said.out == f"{bare / 'train_seg'}: {total} masks of 6 views\n"
    check(bare, masks)
    scores = read_qualities(bare / "train_seg/r_0.npz")["predicted_iou"]
    np.testing.assert_allclose(scores, [0.9 + index / 100 for index in range(len(masks["r_0.png"]))])
    before = tree(bare)
    assert cli.main(["masks", str(bare), "--from", str(source)]) == 0
    assert "masks: done before, kept" in capsys.readouterr().err
    assert tree(bare) == before
    write_json(source, coco({name: of_view[:1] for name, of_view in masks.items()}))
    assert cli.main(["masks", str(bare), "--from", str(source)]) == 0
    check(bare, {name: of_view[:1] for name, of_view in masks.items()})


def test_views_without_masks_are_left_alone(
    bare: Path, masks: dict[str, np.ndarray], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    few = {name: masks[name] for name in ("r_1.png", "r_4.png")}
    source = write_json(tmp_path / "masks.json", coco(few))
    assert cli.main(["masks", str(bare), "--from", str(source), "--format", "png"]) == 0
    said = capsys.readouterr().err
    assert f"{source}: 4 of 6 training views have no masks (first: r_0)" in said
    assert f"{source}: COCO annotations of 2 of 6 training views" in said
    assert sorted(path.name for path in (bare / "train_seg").iterdir()) == [".ultrafield.json", "r_1", "r_4"]
    for name, of_view in few.items():
        found = read_masks(bare, "train", name[:-4])
        assert found is not None
        assert {found.mask(index).tobytes() for index in range(len(found))} == {mask.tobytes() for mask in of_view}


def test_folders_are_taken_over_too(bare: Path, masks: dict[str, np.ndarray], tmp_path: Path) -> None:
    for name, of_view in masks.items():
        write_masks(tmp_path / "mine", "train", name[:-4], of_view)
    assert cli.main(["masks", str(bare), "--from", str(tmp_path / "mine")]) == 0
    for index in range(6):  # in the lexical order of the files
        found, expected = (read_masks(root, "train", f"r_{index}") for root in (bare, tmp_path / "mine"))
        assert found is not None
        assert expected is not None
        np.testing.assert_array_equal(found.bits, expected.bits)
    assert cli.main(["masks", str(bare), "--from", str(tmp_path / "mine/train_seg"), "--out", str(tmp_path / "o")]) == 0
    assert len(list((tmp_path / "o/train_seg").glob("*.npz"))) == 6


def test_every_command_reads_them_straight(bare: Path, masks: dict[str, np.ndarray], tmp_path: Path) -> None:
    source, said = write_json(tmp_path / "masks.json", coco(masks | {"other.png": masks["r_0.png"]})), list[str]()
    scene = load_scene(bare, masks=source, progress=False, warn=said.append)
    for view in scene.train:
        assert view.masks is not None
        np.testing.assert_array_equal(view.masks.masks(), masks[f"{view.name}.png"])
    assert [text for text in said if "other.png" in text]
    for name, of_view in masks.items():
        write_json(tmp_path / f"lists/{name[:-4]}.json", records(of_view))
    scene = load_scene(bare, masks=tmp_path / "lists", progress=False, warn=said.append)
    assert all(len(view.masks or ()) == len(masks[f"{view.name}.png"]) for view in scene.train)


def test_masks_of_half_the_size_make_the_working_size(bare: Path, masks: dict[str, np.ndarray], tmp_path: Path) -> None:
    half = {name: of_view[:, ::2, ::2] for name, of_view in masks.items()}
    half = {name: of_view[of_view.any((1, 2))] for name, of_view in half.items()}
    scene = load_scene(bare, masks=write_json(tmp_path / "masks.json", coco(half)), progress=False)
    assert {view.shape for view in scene.train} == {(16, 16)}
    assert cli.main(["masks", str(bare), "--from", str(tmp_path / "masks.json")]) == 0
    check(bare, half)


def test_a_run_goes_on_with_them(
    bare: Path, masks: dict[str, np.ndarray], tmp_path: Path, tiny: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    source = write_json(tmp_path / "masks.json", coco(masks))
    run = tmp_path / "run"
    command = ["run", str(bare), "--out", str(run), "--masks", str(source), "--engine", "lift", *tiny]
    assert cli.main(command) == 0
    assert ", with masks" in capsys.readouterr().err
    assert (run / "tree.npz").is_file()
    assert not (run / "masks").exists()
    assert cli.main(command) == 0
    assert "segment: done before, kept" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("content", "text"),
    [
        (None, "no such file"),
        ({"images": [], "annotations": []}, "COCO annotations of no training view (expected a picture called r_0)"),
        ({"images": [{"id": 1}], "annotations": []}, "picture 1: expected 'file_name'"),
        ({}, "no masks that are known"),
    ],
)
def test_what_cannot_be_used_is_one_line_and_writes_nothing(
    bare: Path, tmp_path: Path, content: object, text: str, capsys: pytest.CaptureFixture[str]
) -> None:
    source = tmp_path / "masks.json"
    if content is not None:
        write_json(source, content)
    before = tree(bare)
    assert cli.main(["masks", str(bare), "--from", str(source)]) == 2
    said = capsys.readouterr().err.splitlines()
    assert said[-1].startswith(f"ultrafield: error: {source}: ")
    assert text in said[-1]
    assert tree(bare) == before
    with pytest.raises(SceneError, match=r"masks\.json"):
        load_scene(bare, masks=source, progress=False)


def test_a_broken_view_leaves_whole_views_only(
    bare: Path, masks: dict[str, np.ndarray], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    values = coco(masks)
    of_r_3 = [item for item in values["annotations"] if item["image_id"] == 3]
    of_r_3[-1]["segmentation"]["counts"][-1] += 1
    source = write_json(tmp_path / "masks.json", values)
    assert cli.main(["masks", str(bare), "--from", str(source)]) == 2
    assert "(r_3.png): expected runs of 1024 pixels in all" in capsys.readouterr().err
    done = {path.name for path in (bare / "train_seg").iterdir()}
    assert done <= {".ultrafield.json", *(f"r_{index}.npz" for index in range(6))}
    assert "r_3.npz" not in done
    check(bare, {name.replace("npz", "png"): masks[name.replace("npz", "png")] for name in done if "npz" in name})


def test_masks_of_other_proportions_are_refused(bare: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for index in range(6):
        write_image(tmp_path / f"mine/r_{index}.png", np.ones((10, 40), np.uint8))
    assert cli.main(["masks", str(bare), "--from", str(tmp_path / "mine")]) == 2
    assert "expected a mask with the aspect ratio of its picture" in capsys.readouterr().err
    assert not list((bare / "train_seg").glob("*.npz"))
