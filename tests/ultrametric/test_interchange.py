"""Trees to and from SciPy and NetworkX, which judge them by their own rules."""

from __future__ import annotations

import re
import sys

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from merge_trees import SMALL, same, trees
from scipy.cluster.hierarchy import cophenet, fcluster, is_monotonic, is_valid_linkage, linkage
from scipy.spatial.distance import squareform

from ultrafield.errors import BackendError
from ultrafield.ultrametric import Tree, cut, cut_into, lowest_common_ancestor


@settings(deadline=None, max_examples=80)
@given(st.integers(2, 40), st.integers(0, 2**32 - 1), st.sampled_from(["single", "average", "complete", "ward"]))
def test_scipys_trees_are_cut_as_scipy_cuts_them(n, seed, method):
    merges = linkage(np.random.default_rng(seed).random((n, 3)), method)
    tree = Tree.from_linkage(merges)
    heights = tree.heights[n:].astype(np.float64)
    middles = [0.0, *(0.5 * (heights[1:] + heights[:-1])), heights[-1] + 1]  # where rounding to float32 decides nothing
    for height in middles:
        np.testing.assert_array_equal(same(cut(tree, height)), same(fcluster(merges, height, "distance")))
    for count in (1, 2, 3, n):
        np.testing.assert_array_equal(same(cut_into(tree, count)), same(fcluster(merges, count, "maxclust")))
    back = tree.to_linkage()
    np.testing.assert_array_equal(back[:, [0, 1, 3]], np.column_stack([np.sort(merges[:, :2], axis=1), merges[:, 3]]))
    np.testing.assert_array_equal(back[:, 2], merges[:, 2].astype(np.float32))


@settings(deadline=None, max_examples=80)
@given(trees())
def test_scipy_takes_every_tree(tree):
    n, matrix = tree.num_leaves, tree.to_linkage()
    assert matrix.shape == (n - 1, 4)
    if n == 1:
        return
    assert is_valid_linkage(matrix, throw=True)
    assert is_monotonic(matrix)
    pairs = np.stack(np.triu_indices(n, 1), axis=1)
    distances = tree.heights[lowest_common_ancestor(tree, pairs)]
    np.testing.assert_array_equal(squareform(cophenet(matrix))[tuple(pairs.T)], distances)
    for height in np.unique(tree.heights).astype(np.float64):
        np.testing.assert_array_equal(same(cut(tree, height)), same(fcluster(matrix, height, "distance")))


@settings(deadline=None, max_examples=80)
@given(trees())
def test_there_and_back_is_the_same_hierarchy(tree):
    again = Tree.from_linkage(tree.to_linkage())
    assert (np.diff(again.heights) >= 0).all()
    for height in np.unique(tree.heights):
        np.testing.assert_array_equal(same(cut(again, height)), same(cut(tree, height)))
    twice = Tree.from_linkage(again.to_linkage())
    for name in ("parents", "heights", "sizes"):
        np.testing.assert_array_equal(getattr(twice, name), getattr(again, name))


def test_the_small_tree():
    assert SMALL.to_linkage().tolist() == [[0, 1, 0.25, 2], [2, 3, 0.25, 2], [5, 6, 0.5, 4], [4, 7, 0.75, 5]]


def test_a_tree_of_one_leaf():
    assert Tree.from_linkage([]).num_leaves == Tree.from_linkage(np.zeros((0, 4))).num_leaves == 1


ROWS = [[0, 1, 0.25, 2], [2, 3, 0.75, 3]]


def with_value(row, column, value):
    matrix = np.array(ROWS)
    matrix[row, column] = value
    return matrix


@pytest.mark.parametrize(
    ("matrix", "message"),
    [
        (with_value(0, 1, 3), "matrix[0]: expected two of the clusters made before, got [0, 3]"),
        (with_value(1, 0, 10**9), "matrix[1]: expected two of the clusters made before, got [1000000000, 3]"),
        (with_value(1, 0, -1), "matrix[1]: expected two of the clusters made before, got [-1, 3]"),
        (with_value(1, 0, 1), "matrix[1]: expected clusters that no earlier row has joined, got [1, 3]"),
        (with_value(0, 1, 0), "matrix[0]: expected clusters that no earlier row has joined, got [0, 0]"),
        (with_value(1, 1, 0.5), "matrix[1, 1]: expected an integer, got 0.5"),
        (with_value(1, 3, 2.5), "matrix[1, 3]: expected an integer, got 2.5"),
        (with_value(1, 0, np.nan), "matrix[1, 0]: expected an integer, got nan"),
        (with_value(1, 3, 4), "matrix[1]: expected the number of leaves of its two clusters, got 4"),
        (with_value(1, 2, np.nan), "matrix[1]: expected a finite distance of at least 0, got nan"),
        (with_value(0, 2, -1), "matrix[0]: expected a finite distance of at least 0, got -1.0"),
        (
            with_value(1, 2, 0.1),
            "matrix[1]: expected at least the distances at which its two clusters were made, got 0.1",
        ),
        (np.zeros((2, 3)), "matrix: expected shape [*, 4], got [2, 3]"),
        ([[0, 1, "near", 2]], "matrix: expected real numbers of shape [n − 1, 4]"),
    ],
)
def test_matrices_that_are_no_tree(matrix, message):
    with pytest.raises(ValueError, match="^" + re.escape(message)):
        Tree.from_linkage(matrix)


def test_what_is_no_number_is_a_type_error():
    with pytest.raises(TypeError, match=r"^matrix: expected real numbers of shape \[n − 1, 4\]"):
        Tree.from_linkage([[0, 1, {}, 2]])


@settings(deadline=None, max_examples=150)
@given(st.integers(0, 2**32 - 1))
def test_random_matrices_are_refused_or_valid_for_scipy_too(seed):
    generator = np.random.default_rng(seed)
    rows = int(generator.integers(1, 4))
    matrix = np.column_stack(
        [
            generator.integers(-1, rows + 2, (rows, 2)),
            np.sort(generator.integers(0, 4, rows)),
            generator.integers(2, rows + 2, rows),
        ]
    ).astype(np.float64)
    joined = matrix[:, :2].astype(int)
    counts = [1] * (rows + 1)
    for row, pair in enumerate(joined):
        if not (pair >= 0).all() or not (pair < len(counts)).all() or len({*joined[: row + 1].ravel()}) < 2 * row + 2:
            break
        counts.append(sum(counts[cluster] for cluster in pair))
    if counts[rows + 1 :] == matrix[:, 3].tolist():
        assert is_valid_linkage(matrix)
        assert Tree.from_linkage(matrix).to_linkage().shape == matrix.shape
    else:
        with pytest.raises(ValueError, match=r"^matrix"):
            Tree.from_linkage(matrix)


@settings(deadline=None, max_examples=30)
@given(trees(most=12))
def test_networkx_sees_the_same_tree(tree):
    networkx = pytest.importorskip("networkx")
    graph = tree.to_networkx()
    assert networkx.is_arborescence(graph)
    assert [graph.nodes[node]["height"] for node in range(len(tree.parents))] == tree.heights.tolist()
    root = len(tree.parents) - 1
    for node in graph:
        below = networkx.descendants(graph, node) | {node}
        assert graph.nodes[node]["size"] == sum(graph.out_degree(other) == 0 for other in below)
        assert sorted(graph.successors(node)) == tree.children(node).tolist()
        assert sorted(networkx.ancestors(graph, node)) == tree.ancestors(node).tolist()
        lowest = networkx.lowest_common_ancestor(graph, node, 0)
        assert tree.lca([[node, 0]]).tolist() == [lowest]
    assert [node for node, degree in graph.in_degree() if degree == 0] == [root]


def test_without_networkx(monkeypatch):
    monkeypatch.setitem(sys.modules, "networkx", None)
    with pytest.raises(BackendError, match="to_networkx: NetworkX is not installed; pip install networkx"):
        SMALL.to_networkx()
