"""Edits of trees against the distances that define them."""

from __future__ import annotations

import json

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ultrafield.errors import ConfigError, RunError
from ultrafield.ultrametric import (
    AffinityGraph,
    EditedTree,
    Operation,
    Tree,
    build_tree,
    check_tree,
    child_nodes,
    cut,
    leaves,
    load_edits,
    lowest_common_ancestor,
    save_edits,
)


@st.composite
def trees(draw, fewest=1):
    n = draw(st.integers(fewest, 14))
    generator = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    edges = np.stack([np.arange(1, n), [generator.integers(0, node) for node in range(1, n)]], axis=1)
    values = (generator.integers(1, 9, n - 1) / 8).astype(np.float32)
    return build_tree(
        AffinityGraph(n, edges.astype(np.int64).reshape(-1, 2), values, np.ones(n - 1, np.float32), 1.0),
        linkage="single",
    )


def distances(tree):
    """Height at which each pair of leaves comes together [n, n]."""
    pairs = np.stack(np.meshgrid(*2 * [np.arange(tree.num_leaves)], indexing="ij"), axis=-1).reshape(-1, 2)
    return tree.heights[lowest_common_ancestor(tree, pairs)].reshape(tree.num_leaves, -1)


def regions(edited):
    """Leaves and height of every node by its lasting id."""
    tree, ids = edited.tree, edited.ids
    return {int(ids[at]): (frozenset(leaves(tree, at).tolist()), tree.heights[at]) for at in range(len(ids))}


def moved(before, a, b, height):
    """Distances after the leaves `b` moved to the leaves `a`."""
    after = before.copy()
    for leaf in b:
        for other in set(range(len(before))) - b:
            to_a = 0 if other in a else before[min(a), other]
            after[leaf, other] = after[other, leaf] = max(to_a, height)
    return after


def assert_same_tree(one, other):
    for name in ("parents", "heights", "sizes"):
        np.testing.assert_array_equal(getattr(one, name), getattr(other, name))


def random_edit(edited, data):
    """Do some valid edit."""
    existing = regions(edited)
    node = data.draw(st.sampled_from(sorted(existing)))
    apart = sorted(other for other in existing if not existing[other][0] & existing[node][0])
    root = int(edited.ids[-1])
    if apart and data.draw(st.booleans()):
        edited.merge([node, data.draw(st.sampled_from(apart))])
    elif node not in (root, *range(edited.original.num_leaves)):
        edited.split(node)
    else:
        edited.rename(node, data.draw(st.sampled_from(["", "leg", "seat"])))


@settings(deadline=None, max_examples=100)
@given(trees(fewest=2), st.data())
def test_merges_move_one_region_to_another(tree, data):
    edited = EditedTree(tree)
    for _ in range(3):
        existing, before = regions(edited), distances(edited.tree)
        a = data.draw(st.sampled_from([node for node in sorted(existing) if len(existing[node][0]) < tree.num_leaves]))
        b = data.draw(st.sampled_from([node for node in sorted(existing) if not existing[node][0] & existing[a][0]]))
        height = max(existing[a][1], existing[b][1])
        whole = edited.merge([a, b])
        check_tree(edited.tree)
        np.testing.assert_array_equal(distances(edited.tree), moved(before, *(existing[i][0] for i in (a, b)), height))
        now = regions(edited)
        assert now[whole][0] >= existing[a][0] | existing[b][0]
        assert now[whole][1] == height
        for node in set(now) & set(existing) - {whole}:  # a node keeps its leaves, but for those that moved
            assert now[node][0] - existing[b][0] == existing[node][0] - existing[b][0] or node == b
        assert now[a] == existing[a]
        assert now[b] == existing[b]


@settings(deadline=None, max_examples=60)
@given(trees(fewest=3), st.data())
def test_splits_keep_children_apart_up_to_the_parents_height(tree, data):
    node = data.draw(st.integers(tree.num_leaves, len(tree.parents) - 2))
    edited = EditedTree(tree)
    edited.split(node)
    check_tree(edited.tree)
    expected = distances(tree)
    first, second = (leaves(tree, child) for child in child_nodes(tree)[node - tree.num_leaves])
    expected[np.ix_(first, second)] = expected[np.ix_(second, first)] = tree.heights[tree.parents[node]]
    np.testing.assert_array_equal(distances(edited.tree), expected)
    np.testing.assert_array_equal(edited.ids, np.arange(len(tree.parents)))
    for height in np.unique(tree.heights):
        assert node not in edited.cut(height)


@settings(deadline=None, max_examples=60)
@given(trees(), st.data())
def test_undo_and_redo_go_through_the_same_states(tree, data):
    edited = EditedTree(tree)
    states = [(edited.tree, edited.ids, edited.names)]
    for _ in range(5):
        random_edit(edited, data)
        check_tree(edited.tree)
        states.append((edited.tree, edited.ids, edited.names))
    done = edited.operations
    for steps in (range(4, -1, -1), range(1, 6)):
        for step in steps:
            operation = edited.undo() if steps.step < 0 else edited.redo()
            assert operation == done[step if steps.step < 0 else step - 1]
            assert_same_tree(edited.tree, states[step][0])
            np.testing.assert_array_equal(edited.ids, states[step][1])
            assert edited.names == states[step][2]
        if steps.step < 0:
            assert_same_tree(edited.tree, tree)
            np.testing.assert_array_equal(edited.ids, np.arange(len(tree.parents)))
    assert edited.operations == done


@settings(deadline=None, max_examples=30)
@given(trees(), st.data())
def test_save_and_load(tmp_path_factory, tree, data):
    edited = EditedTree(tree)
    for _ in range(4):
        random_edit(edited, data)
    file = tmp_path_factory.mktemp("edits") / "edits.json"
    save_edits(file, edited)
    loaded = load_edits(file, tree)
    assert loaded.operations == edited.operations
    assert_same_tree(loaded.tree, edited.tree)
    np.testing.assert_array_equal(loaded.ids, edited.ids)
    assert loaded.names == edited.names
    loaded.undo()
    edited.undo()
    assert_same_tree(loaded.tree, edited.tree)


#          8          0.75
#      6       7      0.25, 0.5
#    5   2   3   4    0.125
def small():
    edges = np.array([[0, 1], [1, 2], [2, 3], [3, 4]])
    values = np.array([0.125, 0.25, 0.75, 0.5], np.float32)
    return build_tree(AffinityGraph(5, edges, values, np.ones(4, np.float32), 1.0), linkage="single")


def test_siblings_merge_under_their_own_parent():
    edited = EditedTree(small())
    assert edited.merge([5, 2]) == 6
    assert edited.ids.tolist() == list(range(9))
    assert edited.cut(0.125).tolist() == [6, 6, 6, 3, 4]


def test_a_region_moves_across_the_root():
    edited = EditedTree(small())
    assert edited.merge([3, 6]) == 9
    # 3 and 6 come together at 0.25, then with 4 at 0.5; the old root is gone
    assert edited.ids.tolist() == [0, 1, 2, 3, 4, 5, 6, 9, 7]
    assert edited.cut(0.3).tolist() == [9, 9, 9, 9, 4]
    assert edited.cut(0.5).tolist() == [7] * 5
    with pytest.raises(ValueError, match="split: there is no node 8"):
        edited.split(8)


def test_a_high_region_joins_what_is_whole_at_its_height():
    edited = EditedTree(small())
    assert edited.merge([0, 7]) == 8  # at 0.5 leaf 0 is already one with 1 and 2: node 6
    assert edited.cut(0.5).tolist() == [8] * 5
    assert edited.cut(0.25).tolist() == [6, 6, 6, 3, 4]


def test_many_regions_at_once():
    edited = EditedTree(small())
    whole = edited.merge([0, 3, 4])
    assert edited.cut(0).tolist() == [whole, 1, 2, whole, whole]
    high_first = EditedTree(small())
    assert high_first.merge([0, 7, 2]) == 8  # 2 is already in what 7 joined


def test_names():
    edited = EditedTree(small())
    edited.rename(7, "chair")
    edited.rename(6, "table")
    edited.rename(6, "")
    assert edited.names == {7: "chair"}
    edited.merge([2, 3])  # dissolves node 7
    assert edited.names == {}
    edited.undo()
    assert edited.names == {7: "chair"}


@pytest.mark.parametrize("name", [5, None, b"can"])
def test_a_name_is_text(name):
    edited = EditedTree(small())
    with pytest.raises(TypeError, match="name: expected text, empty for none, got"):
        edited.rename(5, name)
    with pytest.raises(TypeError, match="name: expected text, empty for none, got"):
        edited.apply(Operation("rename", (5,), name))
    assert edited.operations == ()


@pytest.mark.parametrize("name", ["two\nlines", "x" * 201, "\udcff", "\0"])
def test_a_name_can_be_shown_and_stored(name):
    edited = EditedTree(small())
    with pytest.raises(ConfigError, match=r"name: .* cannot be a name: it"):
        edited.rename(5, name)
    with pytest.raises(ConfigError, match=r"name: .* cannot be a name: it"):
        edited.apply(Operation("rename", (5,), name))
    assert edited.operations == ()


def test_a_new_edit_leaves_nothing_to_redo():
    edited = EditedTree(small())
    edited.split(6)
    edited.undo()
    edited.split(7)
    assert edited.operations == (Operation("split", (7,)),)
    with pytest.raises(ValueError, match="redo: there is no undone edit"):
        edited.redo()


@pytest.mark.parametrize(
    ("edit", "message"),
    [
        (lambda tree: tree.merge([3]), r"merge: expected at least two different nodes, got \[3\]"),
        (lambda tree: tree.merge([3, 3]), r"merge: expected at least two different nodes, got \[3, 3\]"),
        (lambda tree: tree.merge([0, 6]), "merge: node 0 lies inside node 6"),
        (lambda tree: tree.merge([3, 6, 5]), "merge: node 5 lies inside node 6"),
        (lambda tree: tree.merge([3, 9]), "merge: there is no node 9"),
        (lambda tree: tree.merge([-1, 3]), "merge: there is no node -1"),
        (lambda tree: tree.split(2), "split: node 2 is a leaf"),
        (lambda tree: tree.split(8), "split: node 8 is the root; nothing lies above it"),
        (lambda tree: tree.rename(9, "a"), "rename: there is no node 9"),
        (lambda tree: tree.undo(), "undo: there is no edit to undo"),
        (lambda tree: tree.redo(), "redo: there is no undone edit"),
    ],
)
def test_bad_edits_change_nothing(edit, message):
    edited = EditedTree(small())
    with pytest.raises(ValueError, match=message):
        edit(edited)
    assert edited.operations == ()
    assert_same_tree(edited.tree, small())


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda stored: {**stored, "version": 2}, "written by a newer ultrafield"),
        (lambda stored: {**stored, "version": "1"}, "expected edits of a tree, version 1"),
        (lambda stored: [], "expected edits of a tree, version 1"),
        (lambda stored: {**stored, "tree": "0"}, "these edits are about another tree"),
        (lambda stored: {**stored, "edits": [{"kind": "split"}]}, "edit 0: expected 'kind', 'nodes' and 'name'"),
        (
            lambda stored: {**stored, "edits": [*stored["edits"], {"kind": "cut", "nodes": [1], "name": ""}]},
            "edit 1: expected a merge, a split or a rename",
        ),
        (
            lambda stored: {**stored, "edits": [{"kind": "split", "nodes": [6, 7], "name": ""}]},
            "edit 0: expected a merge, a split or a rename",
        ),
        (
            lambda stored: {**stored, "edits": [{"kind": "split", "nodes": ["6"], "name": ""}]},
            "edit 0: expected a merge, a split or a rename",
        ),
        (
            lambda stored: {**stored, "edits": [{"kind": "split", "nodes": [8], "name": ""}]},
            "edit 0: split: node 8 is the root",
        ),
        (lambda stored: {**stored, "edits": 3}, "'edits': expected a list"),
    ],
)
def test_broken_files(tmp_path, change, message):
    edited = EditedTree(small())
    edited.split(6)
    file = tmp_path / "edits.json"
    save_edits(file, edited)
    file.write_text(json.dumps(change(json.loads(file.read_text()))))
    with pytest.raises(RunError, match=f"edits.json: {message}"):
        load_edits(file, small())


def test_missing_and_malformed_files(tmp_path):
    with pytest.raises(RunError, match=r"edits.json: no such file"):
        load_edits(tmp_path / "edits.json", small())
    (tmp_path / "edits.json").write_text("{")
    with pytest.raises(RunError, match=r"edits.json: not valid JSON"):
        load_edits(tmp_path / "edits.json", small())


def test_original_stays_as_it_was():
    tree = small()
    kept = Tree(*(array.copy() for array in (tree.parents, tree.heights, tree.sizes)))
    edited = EditedTree(tree)
    edited.merge([2, 3])
    edited.split(6)
    assert_same_tree(tree, kept)
    assert edited.original is tree
    np.testing.assert_array_equal(cut(tree, 0.3), cut(kept, 0.3))


@pytest.mark.parametrize(
    ("operation", "message"),
    [
        (Operation("turn", (4,)), "operation: expected a merge, a split or a rename, got 'turn'"),
        (Operation("split", (4, 5)), r"split: expected one node, got \[4, 5\]"),
        (Operation("rename", (), "cup"), r"rename: expected one node, got \[\]"),
    ],
)
def test_operations_that_mean_nothing(operation, message):
    edited = EditedTree(Tree([3, 3, 4, 4, 4], [0, 0, 0, 0.25, 0.75], [1, 1, 1, 2, 3]))
    with pytest.raises(ValueError, match=message):
        edited.apply(operation)
    assert edited.operations == ()
