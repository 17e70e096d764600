"""Trees on disk: written and read again, and files that hold no tree."""

from __future__ import annotations

import numpy as np
import pytest
from merge_trees import SMALL

from ultrafield.errors import RunError
from ultrafield.io import write_npz
from ultrafield.reading import read_npz
from ultrafield.ultrametric import Tree, load_tree, save_tree


def test_save_and_load(tmp_path):
    save_tree(tmp_path / "tree.npz", SMALL)
    loaded = load_tree(tmp_path / "tree.npz")
    for name in ("parents", "heights", "sizes"):
        np.testing.assert_array_equal(getattr(loaded, name), getattr(SMALL, name))
        assert getattr(loaded, name).dtype == getattr(SMALL, name).dtype


def test_surroundings_are_stored_where_there_are_any(tmp_path):
    save_tree(tmp_path / "plain.npz", SMALL)
    assert "surroundings" not in read_npz(tmp_path / "plain.npz")
    assert load_tree(tmp_path / "plain.npz").surroundings is None
    tree = Tree(SMALL.parents, SMALL.heights, SMALL.sizes, surroundings=7)
    save_tree(tmp_path / "tree.npz", tree)
    assert load_tree(tmp_path / "tree.npz").surroundings == 7


def test_missing_and_incomplete_files(tmp_path):
    with pytest.raises(RunError, match=r"tree.npz: no such file"):
        load_tree(tmp_path / "tree.npz")
    write_npz(tmp_path / "tree.npz", parents=SMALL.parents, heights=SMALL.heights)
    with pytest.raises(RunError, match=r"tree.npz: array 'sizes' is missing"):
        load_tree(tmp_path / "tree.npz")


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"heights": SMALL.heights[1:]}, r"heights: expected shape \[9\], got \[8\]"),
        ({"parents": np.where(np.arange(9) == 5, 10**9, SMALL.parents)}, r"parents\[5\]: expected the id of a merge"),
        ({"sizes": SMALL.sizes.astype("U")}, "sizes: expected integers, got an array of <U"),
        ({"surroundings": np.array(5)}, "surroundings: expected a child of the root, got 5"),
        ({"surroundings": np.array([4, 7])}, "surroundings: expected an integer"),
        ({"surroundings": np.array(7.5)}, "surroundings: expected an integer"),
    ],
)
def test_broken_files(tmp_path, changes, message):
    arrays = {"parents": SMALL.parents, "heights": SMALL.heights, "sizes": SMALL.sizes} | changes
    write_npz(tmp_path / "tree.npz", **arrays)
    with pytest.raises(RunError, match=f"tree.npz: {message}"):
        load_tree(tmp_path / "tree.npz")
