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
    from matplotlib import pyplot

    names: dict[str, object] = {}
    for cell in json.loads(NOTEBOOK.read_text(encoding="utf-8"))["cells"]:
        if cell["cell_type"] == "code":
            exec(compile("".join(cell["source"]), str(NOTEBOOK), "exec"), names)
    pyplot.close("all")
    things, labels, depths = names["things"], names["labels"], names["depths"]
    # Labels agree with the things that the pixels show: one id each, but for a few pixels along borders.
    fine, coarse = ([_most_frequent(ids[things[2] == number]) for number in (1, 2, 3, 4)] for ids in labels)
    assert len({node for node, _ in fine}) == 4
    assert coarse[1][0] == coarse[2][0]  # the two halves of the toy
    assert min(share for _, share in (*fine, *coarse)) > 0.9
    assert (labels[0][depths[2] == 0] == -1).all()


def _most_frequent(ids: np.ndarray) -> tuple[int, float]:
    """The most frequent of some ids, and its share."""
    values, counts = np.unique(ids, return_counts=True)
    return int(values[counts.argmax()]), float(counts.max() / counts.sum())
