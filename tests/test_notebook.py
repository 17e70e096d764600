"""The notebook of the documentation, executed cell by cell."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

NOTEBOOK = Path(__file__).parents[1] / "docs" / "arrays_to_tree.ipynb"


def test_the_notebook_goes_from_arrays_to_a_tree_to_a_picture() -> None:
    matplotlib = pytest.importorskip("matplotlib", reason="needs matplotlib")
    matplotlib.use("Agg")
    names: dict[str, object] = {}
    for cell in json.loads(NOTEBOOK.read_text(encoding="utf-8"))["cells"]:
        if cell["cell_type"] == "code":
            exec(compile("".join(cell["source"]), str(NOTEBOOK), "exec"), names)
    things, labels, depths = names["things"], names["labels"], names["depths"]
    # Labels agree with the things that the pixels show: one id each, but for a few pixels along borders.
    shown = things[2]
    fine, coarse = labels
    for number in (1, 2, 3, 4):
        counts = np.unique(fine[shown == number], return_counts=True)[1]
        assert counts.max() > 0.9 * counts.sum(), number
    assert len({np.bincount(fine[shown == number]).argmax() for number in (1, 2, 3, 4)}) == 4
    halves = [np.bincount(coarse[shown == number]).argmax() for number in (2, 3)]
    assert halves[0] == halves[1]
    assert (fine[depths[2] == 0] == -1).all()
