"""The notebooks of the documentation, executed, with what they show."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from ultrafield import SceneError

pytest.importorskip("matplotlib", reason="needs matplotlib")

from notebooks import FOLDER, run_notebook

MOST_BYTES = 60_000  # of a notebook with its stored pictures


def run(name: str, folder: Path, monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    """Names that a notebook has defined when its cells have run."""
    monkeypatch.chdir(folder)
    return run_notebook(FOLDER / f"{name}.ipynb")[1]


def test_the_notebooks_are_those_that_are_tested() -> None:
    tested = set(re.findall(r'run\("(\w+)"', Path(__file__).read_text(encoding="utf-8")))
    assert {file.stem for file in FOLDER.glob("*.ipynb")} == tested


@pytest.mark.parametrize("file", sorted(FOLDER.glob("*.ipynb")), ids=lambda file: file.stem)
def test_stored_outputs_are_there_and_small(file: Path) -> None:
    cells = json.loads(file.read_text(encoding="utf-8"))["cells"]
    kinds = {kind for cell in cells for output in cell.get("outputs", []) for kind in output.get("data", {})}
    assert "image/png" in kinds
    assert file.stat().st_size < MOST_BYTES


def test_arrays_to_tree(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    names = run("arrays_to_tree", tmp_path, monkeypatch)
    things, labels, depths = names["things"], names["labels"], names["depths"]
    # Labels agree with the things that the pixels show: one id each, but for a few pixels along borders.
    fine, coarse = ([most_frequent(ids[things[2] == number]) for number in (1, 2, 3, 4)] for ids in labels)
    assert len({node for node, _ in fine}) == 4
    assert coarse[1][0] == coarse[2][0]  # the two halves of the toy
    assert min(share for _, share in (*fine, *coarse)) > 0.9
    assert (labels[0][depths[2] == 0] == -1).all()


def test_your_own_masks(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("embreex", reason="needs the extra synth")
    names = run("your_own_masks", tmp_path, monkeypatch)
    assert names["scores"]["parts"] > 0.85
    assert names["scores"]["objects"] > 0.85
    pairs = zip(names["scene"].train, names["again"].train, strict=True)
    assert all(names["as_set"](ours.masks) == names["as_set"](theirs.masks) for ours, theirs in pairs)
    with pytest.raises(SceneError, match="no masks that are known"):  # a folder without any is not taken for one with
        names["uf"].load_scene("scene", masks="scene/exact/mask_origin.json", progress=False)


def test_splats(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    names = run("splats", tmp_path, monkeypatch)
    assert names["share"] > 0.9
    assert names["right"] > 0.9
    assert len(names["balls"]) == 2
    halves = sum(int(names["tree"].sizes[ball]) for ball in names["balls"])
    assert halves <= names["tree"].sizes[names["toy"]] < 1.1 * halves  # the rest are crumbs


def test_a_robot_grasps_a_part(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("embreex", reason="needs the extra synth")
    names = run("grasp", tmp_path, monkeypatch)
    visible = names["handle"].bounds.copy()
    visible[0, 0] = 0.04  # the rest is in the wall of the mug
    assert np.abs(names["box"] - visible).max() < 0.003  # metres
    assert names["tree"].sizes[names["whole"]] > 10 * len(names["part_points"])  # the mug
    # Both contacts lie on the handle's tube, 5 mm from the circle in its middle; the fingers are a tube's width apart.
    around = names["contacts"] - [0.047, 0.0, 0.045]
    circle = np.hypot(around[:, 0], around[:, 2]) - 0.025
    assert np.hypot(circle, around[:, 1]) == pytest.approx([0.005, 0.005], abs=5e-4)
    assert float(names["width"][names["best"]]) == pytest.approx(0.01, abs=1e-3)


def most_frequent(ids: np.ndarray) -> tuple[int, float]:
    """The most frequent of some ids, and its share."""
    values, counts = np.unique(ids, return_counts=True)
    return int(values[counts.argmax()]), float(counts.max() / counts.sum())
