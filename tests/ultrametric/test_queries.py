"""Cuts, ancestors and files of merge trees against brute force and SciPy."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.cluster.hierarchy import fcluster
from scipy.cluster.hierarchy import linkage as scipy_linkage
from scipy.spatial.distance import pdist

from ultrafield.errors import RunError
from ultrafield.io import write_npz
from ultrafield.ultrametric import (
    AffinityGraph,
    Tree,
    ancestors,
    build_tree,
    check_tree,
    child_nodes,
    cut,
    cut_into,
    leaves,
    load_tree,
    lowest_common_ancestor,
    save_tree,
    subtree,
)


def make_tree(parents, heights):
    parents = np.array(parents)
    sizes = np.zeros(len(parents), np.int64)
    sizes[: (len(parents) + 1) // 2] = 1
    for node, parent in enumerate(parents[:-1]):
        sizes[parent] += sizes[node]
    return Tree(parents, np.array(heights, np.float32), sizes)


#        8          0.75
#      7   \        0.5
#     / \   \
#    5   6   \      0.25 both
#   0 1 2 3   4
SMALL = make_tree([5, 5, 6, 6, 8, 7, 7, 8, 8], [0, 0, 0, 0, 0, 0.25, 0.25, 0.5, 0.75])


@st.composite
def trees(draw):
    """Random binary trees whose merge ids need not be sorted by height, with ties."""
    n = draw(st.integers(1, 30))
    generator = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    roots, parents, heights = list(range(n)), np.zeros(2 * n - 1, int), np.zeros(2 * n - 1)
    for node in range(n, 2 * n - 1):
        a, b = (roots.pop(generator.integers(len(roots))) for _ in range(2))
        parents[[a, b]] = node
        heights[node] = max(heights[a], heights[b]) + generator.integers(0, 3) / 4
        roots.append(node)
    parents[-1] = 2 * n - 2
    return make_tree(parents, heights)


def path(tree, node):
    """The node and all above it."""
    nodes = [node]
    while tree.parents[nodes[-1]] != nodes[-1]:
        nodes.append(int(tree.parents[nodes[-1]]))
    return nodes


def same(labels):
    return labels[:, None] == labels


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
    check_tree(SMALL)
    assert cut(SMALL, 0).tolist() == [0, 1, 2, 3, 4]
    assert cut(SMALL, 0.25).tolist() == [5, 5, 6, 6, 4]
    assert cut(SMALL, 0.6).tolist() == [7, 7, 7, 7, 4]
    assert cut(SMALL, np.inf).tolist() == [8] * 5
    assert cut_into(SMALL, 4).tolist() == [5, 5, 2, 3, 4]
    assert child_nodes(SMALL).tolist() == [[0, 1], [2, 3], [5, 6], [4, 7]]
    assert lowest_common_ancestor(SMALL, np.zeros((0, 2), np.int64)).shape == (0,)


def test_a_tree_of_one_leaf():
    tree = make_tree([0], [0])
    check_tree(tree)
    assert cut(tree, 0).tolist() == cut_into(tree, 3).tolist() == [0]
    assert leaves(tree, 0).tolist() == [0]
    assert ancestors(tree, 0).tolist() == []
    assert child_nodes(tree).shape == (0, 2)
    assert lowest_common_ancestor(tree, np.array([[0, 0]])).tolist() == [0]


@pytest.mark.parametrize(
    ("ask", "message"),
    [
        (lambda: cut(SMALL, -0.1), "height: expected at least 0, got -0.1"),
        (lambda: cut(SMALL, float("nan")), "height: expected at least 0, got nan"),
        (lambda: cut_into(SMALL, 0), "count: expected at least 1, got 0"),
        (lambda: ancestors(SMALL, 9), r"node: expected node ids in \[0, 9\), found 9"),
        (lambda: subtree(SMALL, 9), r"node: expected node ids in \[0, 9\), found 9"),
        (lambda: leaves(SMALL, -1), r"node: expected node ids in \[0, 9\), found -1"),
        (lambda: lowest_common_ancestor(SMALL, np.array([[0, 9]])), r"pairs: expected node ids in \[0, 9\), found 9"),
        (lambda: lowest_common_ancestor(SMALL, np.array([0, 1])), r"pairs: expected shape \[\*, 2\], got \[2\]"),
    ],
)
def test_bad_questions(ask, message):
    with pytest.raises(ValueError, match=message):
        ask()


def test_save_and_load(tmp_path):
    save_tree(tmp_path / "tree.npz", SMALL)
    loaded = load_tree(tmp_path / "tree.npz")
    for name in ("parents", "heights", "sizes"):
        np.testing.assert_array_equal(getattr(loaded, name), getattr(SMALL, name))
        assert getattr(loaded, name).dtype == getattr(SMALL, name).dtype


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
        (
            {name: getattr(SMALL, name)[1:] for name in ("parents", "heights", "sizes")},
            "expected an odd number of nodes",
        ),
        ({"parents": np.array([5, 5, 6, 6, 8, 7, 7, 8, 7])}, "or the last node is not the root"),
        ({"parents": np.array([5, 5, 6, 6, 8, 5, 7, 8, 8])}, "a parent's id is not larger than its children's"),
        ({"parents": np.array([5, 5, 6, 6, 9, 7, 7, 8, 8])}, "a parent's id is not larger than its children's"),
        ({"parents": np.array([5, 5, 6, 6, 7, 7, 7, 8, 8])}, "a merge does not have two"),
        ({"parents": np.array([1, 5, 6, 6, 8, 7, 7, 8, 8])}, "a leaf has children"),
        ({"heights": np.where(np.arange(9) == 7, np.nan, SMALL.heights)}, "a height is not finite"),
        ({"heights": np.where(np.arange(9) == 1, 0.125, SMALL.heights)}, "a leaf's is not 0"),
        ({"heights": np.where(np.arange(9) == 6, 0.6, SMALL.heights)}, "a node is higher than its parent"),
        ({"sizes": np.where(np.arange(9) == 7, 3, SMALL.sizes)}, "a size is not the number of leaves below"),
        ({"sizes": np.where(np.arange(9) == 2, 2, SMALL.sizes)}, "a size is not the number of leaves below"),
    ],
)
def test_broken_files(tmp_path, changes, message):
    arrays = {"parents": SMALL.parents, "heights": SMALL.heights, "sizes": SMALL.sizes} | changes
    write_npz(tmp_path / "tree.npz", **arrays)
    with pytest.raises(RunError, match=f"tree.npz: .*{message}"):
        load_tree(tmp_path / "tree.npz")
