"""The node that fits a set of leaves best, against a search by hand."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from merge_trees import trees

from ultrafield.ultrametric import Tree
from ultrafield.ultrametric.matching import best_nodes


@settings(max_examples=60, deadline=None)
@given(tree=trees(), data=st.data())
def test_no_node_fits_better(tree: Tree, data: st.DataObject) -> None:
    n = tree.num_leaves
    flags = st.lists(st.booleans(), min_size=n, max_size=n)
    member, counted = np.array(data.draw(flags)), np.array(data.draw(flags))
    (node, iou), *_ = best_nodes(tree, [member], counted)
    ious = []
    for candidate in range(2 * n - 1):
        inside = np.isin(np.arange(n), tree.leaves(candidate)) & counted
        union = (inside | (member & counted)).sum()
        ious.append((inside & member).sum() / union if union else 0.0)
    assert iou == pytest.approx(max(ious))
    assert node == (int(np.argmax(ious)) if max(ious) > 0 else -1)


def test_a_set_of_another_length_is_refused() -> None:
    tree = Tree([2, 2, 2], [0, 0, 0.5], [1, 1, 2])
    with pytest.raises(ValueError, match=r"sets\[0\]: expected shape \[2\], got \[3\]"):
        best_nodes(tree, [np.ones(3, bool)])
    with pytest.raises(ValueError, match="counted: expected shape"):
        best_nodes(tree, [], np.ones(3, bool))
