"""Cuts of merge trees against brute force and SciPy."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from merge_trees import SMALL, make_tree, path, same, trees
from scipy.cluster.hierarchy import fcluster
from scipy.cluster.hierarchy import linkage as scipy_linkage
from scipy.spatial.distance import pdist

from ultrafield.ultrametric import AffinityGraph, build_tree, cut, cut_into


@settings(deadline=None, max_examples=80)
@given(trees(), st.floats(0, 10))
def test_cut_gives_the_topmost_low_enough_node(tree, height):
    expected = [
        max(node for node in path(tree, leaf) if tree.heights[node] <= height) for leaf in range(tree.num_leaves)
    ]
    found = cut(tree, height)
    assert found.tolist() == expected
    assert found.dtype == np.int64


@settings(deadline=None, max_examples=80)
@given(trees(), st.floats(0, 5), st.floats(0, 5))
def test_cuts_are_nested(tree, first, second):
    fine, coarse = cut(tree, min(first, second)), cut(tree, max(first, second))
    assert (same(coarse) | ~same(fine)).all()


@settings(deadline=None, max_examples=80)
@given(trees())
def test_cut_into_gives_exactly_as_many_and_is_nested(tree):
    before = cut_into(tree, 1)
    assert set(before) == {2 * tree.num_leaves - 2}
    for count in range(2, tree.num_leaves + 1):
        labels = cut_into(tree, count)
        assert len(np.unique(labels)) == count
        assert (same(before) | ~same(labels)).all()
        # the segment that was split is the highest one, of equal ones the larger id
        (split,) = set(before) - set(labels)
        assert split == max(set(before), key=lambda node: (tree.heights[node], node))
        before = labels


@settings(deadline=None, max_examples=80)
@given(trees())
def test_cut_into_agrees_with_cut(tree):
    for height in np.unique(tree.heights):
        labels = cut(tree, height)
        np.testing.assert_array_equal(cut_into(tree, len(np.unique(labels))), labels)


def test_cut_into_more_segments_than_leaves_gives_the_leaves():
    assert cut_into(SMALL, 99).tolist() == [0, 1, 2, 3, 4]


@pytest.mark.parametrize("linkage", ["single", "average"])
def test_cuts_are_scipys_flat_clusters(linkage):
    n = 60
    distances = pdist(np.random.default_rng(1).random((n, 2))).astype(np.float32)
    edges = np.stack(np.triu_indices(n, 1), axis=1)
    tree = build_tree(AffinityGraph(n, edges, distances, np.ones_like(distances), 2.0), linkage=linkage)
    merges = scipy_linkage(distances.astype(np.float64), linkage)
    for height in (0.05, 0.1, 0.2, 0.4):
        expected = fcluster(merges, height, criterion="distance")
        np.testing.assert_array_equal(same(cut(tree, height)), same(expected))
    for count in (1, 2, 5, 17, 60):
        expected = fcluster(merges, count, criterion="maxclust")
        np.testing.assert_array_equal(same(cut_into(tree, count)), same(expected))


def test_the_small_tree():
    assert cut(SMALL, 0).tolist() == [0, 1, 2, 3, 4]
    assert cut(SMALL, 0.25).tolist() == [5, 5, 6, 6, 4]
    assert cut(SMALL, 0.6).tolist() == [7, 7, 7, 7, 4]
    assert cut(SMALL, np.inf).tolist() == [8] * 5
    assert cut_into(SMALL, 4).tolist() == [5, 5, 2, 3, 4]


def test_a_tree_of_one_leaf():
    tree = make_tree([0], [0])
    assert cut(tree, 0).tolist() == cut_into(tree, 3).tolist() == [0]


@pytest.mark.parametrize(
    ("ask", "error", "message"),
    [
        (lambda: cut(SMALL, -0.1), ValueError, "height: expected at least 0, got -0.1"),
        (lambda: cut(SMALL, float("nan")), ValueError, "height: expected at least 0, got nan"),
        (lambda: cut(SMALL, None), TypeError, "height: expected a number, got None"),
        (lambda: cut(SMALL, [0.1]), TypeError, r"height: expected a number, got \[0.1\]"),
        (lambda: cut_into(SMALL, 0), ValueError, "count: expected at least 1, got 0"),
        (lambda: cut_into(SMALL, 2.0), TypeError, "count: expected an integer, got 2.0"),
    ],
)
def test_bad_questions(ask, error, message):
    with pytest.raises(error, match=message):
        ask()
