"""Nodes of merge trees: ancestors, children, leaves and subtrees against brute force."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from merge_trees import SMALL, make_tree, path, trees

from ultrafield.ultrametric import (
    ancestors,
    check_tree,
    child_nodes,
    children,
    leaves,
    lowest_common_ancestor,
    subtree,
)


@settings(deadline=None, max_examples=80)
@given(trees())
def test_lowest_common_ancestor_of_all_pairs_of_nodes(tree):
    nodes = np.arange(len(tree.parents))
    pairs = np.stack(np.meshgrid(nodes, nodes, indexing="ij"), axis=-1).reshape(-1, 2)
    above = [path(tree, node) for node in nodes]
    expected = [min(set(above[a]) & set(above[b])) for a, b in pairs]
    assert lowest_common_ancestor(tree, pairs).tolist() == expected


@settings(deadline=None, max_examples=40)
@given(trees(), st.data())
def test_ancestors_and_leaves(tree, data):
    node = data.draw(st.integers(0, len(tree.parents) - 1))
    assert ancestors(tree, node).tolist() == path(tree, node)[1:]
    assert leaves(tree, node).tolist() == [leaf for leaf in range(tree.num_leaves) if node in path(tree, leaf)]
    assert len(leaves(tree, node)) == tree.sizes[node]


@settings(deadline=None, max_examples=60)
@given(trees(), st.data())
def test_a_subtree_is_the_tree_below_a_node(tree, data):
    node = data.draw(st.integers(0, len(tree.parents) - 1))
    part, ids = subtree(tree, node)
    check_tree(part)
    np.testing.assert_array_equal(ids[: part.num_leaves], leaves(tree, node))
    assert ids[-1] == node
    np.testing.assert_array_equal(part.heights, tree.heights[ids])
    np.testing.assert_array_equal(part.sizes, tree.sizes[ids])
    np.testing.assert_array_equal(ids[part.parents[:-1]], tree.parents[ids[:-1]])


@settings(deadline=None, max_examples=40)
@given(trees())
def test_children_are_the_nodes_with_this_parent(tree):
    rows = child_nodes(tree)
    for node in range(len(tree.parents)):
        expected = [child for child in range(node) if tree.parents[child] == node]
        assert children(tree, node).tolist() == expected
        if node >= tree.num_leaves:
            assert rows[node - tree.num_leaves].tolist() == expected


def test_the_small_tree():
    check_tree(SMALL)
    assert child_nodes(SMALL).tolist() == [[0, 1], [2, 3], [5, 6], [4, 7]]
    assert children(SMALL, 7).tolist() == [5, 6]
    assert lowest_common_ancestor(SMALL, np.zeros((0, 2), np.int64)).shape == (0,)
    assert lowest_common_ancestor(SMALL, [[0, 2], [4, 4]]).tolist() == [7, 4]


def test_a_tree_of_one_leaf():
    tree = make_tree([0], [0])
    assert leaves(tree, 0).tolist() == [0]
    assert ancestors(tree, 0).tolist() == children(tree, 0).tolist() == []
    assert child_nodes(tree).shape == (0, 2)
    assert lowest_common_ancestor(tree, np.array([[0, 0]])).tolist() == [0]


@pytest.mark.parametrize(
    ("ask", "error", "message"),
    [
        (lambda: ancestors(SMALL, 9), ValueError, r"node: expected node ids in \[0, 9\), got 9"),
        (lambda: subtree(SMALL, 9), ValueError, r"node: expected node ids in \[0, 9\), got 9"),
        (lambda: children(SMALL, 9), ValueError, r"node: expected node ids in \[0, 9\), got 9"),
        (lambda: leaves(SMALL, -1), ValueError, r"node: expected node ids in \[0, 9\), got -1"),
        (lambda: leaves(SMALL, 1.0), TypeError, "node: expected an integer, got 1.0"),
        (lambda: lowest_common_ancestor(SMALL, [[0, 9]]), ValueError, r"pairs: expected node ids in \[0, 9\), got 9"),
        (lambda: lowest_common_ancestor(SMALL, [0, 1]), ValueError, r"pairs: expected shape \[\*, 2\], got \[2\]"),
        (lambda: lowest_common_ancestor(SMALL, [[0, 0.5]]), ValueError, r"pairs\[0, 1\]: expected an integer, got 0.5"),
    ],
)
def test_bad_questions(ask, error, message):
    with pytest.raises(error, match=message):
        ask()
