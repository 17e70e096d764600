"""Leaves set apart: one node below the root, the same order on either side, and few splits at the others' cost."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from merge_trees import binary_tree, make_tree, same, trees

from ultrafield.ultrametric import EditedTree, check_tree, cut, cut_into, set_apart
from ultrafield.ultrametric.nodes import lowest_common_ancestor
from ultrafield.ultrametric.tree import Tree


@st.composite
def divided(draw):
    """A tree, and which of its leaves to set apart: some, but not all."""
    tree = draw(trees().filter(lambda tree: tree.num_leaves > 1))
    generator = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    apart = generator.random(tree.num_leaves) < draw(st.sampled_from([0.1, 0.5, 0.9]))
    apart[generator.permutation(tree.num_leaves)[:2]] = [True, False]
    return tree, apart


def distances(tree: Tree, leaves: np.ndarray) -> np.ndarray:
    """Ultrametric distances of all pairs of some leaves."""
    first, second = np.meshgrid(leaves, leaves)
    pairs = np.stack([first.ravel(), second.ravel()], axis=1)
    return tree.heights[lowest_common_ancestor(tree, pairs)]


def both_sides(log2: int) -> tuple[Tree, np.ndarray]:
    """Two complete binary trees of 2^log2 leaves each under one root; the second is to be set apart."""
    tree = binary_tree(log2 + 1)
    heights = np.maximum(np.arange(len(tree.parents)) - tree.num_leaves + 1, 0) / tree.num_leaves  # all different
    tree = make_tree(tree.parents, heights)
    return tree, np.arange(tree.num_leaves) >= tree.num_leaves // 2


@settings(deadline=None)
@given(divided())
def test_what_is_set_apart_is_a_node_right_below_the_root(case):
    tree, apart = case
    far = set_apart(tree, apart)
    check_tree(far)
    assert (np.diff(far.heights[far.num_leaves :]) >= 0).all()
    node = far.surroundings
    assert far.parents[node] == 2 * far.num_leaves - 2
    assert np.array_equal(far.leaves(node), np.flatnonzero(apart))
    if tree.heights[-1] > 0:
        below = far.children().max(initial=0)
        assert far.heights[-1] > far.heights[below]
        assert len(np.unique(cut(far, tree.heights[-1]))) == 2


@settings(deadline=None)
@given(divided())
def test_distances_of_the_others_stay_and_those_set_apart_shrink_in_order(case):
    tree, apart = case
    far = set_apart(tree, apart, min_size=2)
    np.testing.assert_array_equal(distances(far, np.flatnonzero(~apart)), distances(tree, np.flatnonzero(~apart)))
    before, after = distances(tree, np.flatnonzero(apart)), distances(far, np.flatnonzero(apart))
    assert (after <= before).all()
    for height in np.unique(before):
        assert after[before <= height].max() <= after[before > height].min(initial=np.inf)


def test_four_splits_of_the_others_pay_for_one():
    tree, apart = both_sides(8)
    far = set_apart(tree, apart, min_size=2)
    for count in range(2, 120):
        segments = np.unique(cut_into(far, count))
        beyond = np.unique(cut_into(far, count)[apart])
        assert len(segments) == count
        assert len(beyond) <= 1 + (count - len(beyond) - 1) / 4
    whole = np.unique(cut_into(tree, 64)[apart])
    assert len(whole) == 32  # where nothing is set apart, each half has its share
    assert 12 <= len(np.unique(cut_into(far, 64)[apart])) <= 13


def test_segments_of_every_cut_of_what_is_set_apart_are_those_of_a_cut_before():
    tree, apart = both_sides(5)
    far = set_apart(tree, apart, min_size=2)
    before = [same(cut_into(tree, count)[apart]) for count in range(1, tree.num_leaves + 1)]
    for height in np.unique(far.heights):
        assert any(np.array_equal(same(cut(far, height)[apart]), pairs) for pairs in before)


def test_where_the_others_are_one_region_what_is_set_apart_keeps_its_heights():
    tree = make_tree([4, 4, 5, 6, 5, 6, 6], [0, 0, 0, 0, 0.2, 0.4, 0.8])
    far = set_apart(tree, np.array([True, True, True, False]))
    assert far.heights[far.parents[[0, 2]]].tolist() == tree.heights[[4, 5]].tolist()


def test_a_single_leaf_is_set_apart_from_a_single_other():
    tree = make_tree([2, 2, 2], [0, 0, 0.5])
    far = set_apart(tree, np.array([False, True]))
    assert far.parents.tolist() == [2, 2, 2]
    assert far.surroundings == 1


def test_leaves_that_all_join_at_height_zero_are_set_apart_at_zero():
    tree = make_tree([4, 4, 5, 5, 6, 6, 6], [0] * 7)
    far = set_apart(tree, np.array([True, False, True, False]))
    check_tree(far)
    assert far.heights.max() == 0


@pytest.mark.parametrize("apart", [[False] * 5, [True] * 5, [True, False]])
def test_none_or_all_cannot_be_set_apart(apart):
    tree = make_tree([5, 5, 6, 6, 8, 7, 7, 8, 8], [0, 0, 0, 0, 0, 0.25, 0.25, 0.5, 0.75])
    with pytest.raises(ValueError, match="apart: expected"):
        set_apart(tree, np.array(apart))


def test_the_name_is_there_from_the_start_and_can_be_changed():
    tree, apart = both_sides(3)
    edited = EditedTree(set_apart(tree, apart))
    node = edited.original.surroundings
    assert (edited.names, edited.operations) == ({node: "surroundings"}, ())
    edited.rename(node, "garden")
    assert edited.names == {node: "garden"}
    assert edited.tree.surroundings == node
    edited.undo()
    assert edited.names == {node: "surroundings"}
    edited.rename(node, "")
    assert edited.names == {}


def test_edits_keep_the_surroundings_as_long_as_they_are_a_child_of_the_root():
    tree, apart = both_sides(3)
    far = set_apart(tree, apart)
    edited = EditedTree(far)
    inner = far.children(far.surroundings)
    edited.split(int(inner[-1]))
    assert edited.ids[edited.tree.surroundings] == far.surroundings
    edited.merge([int(far.parents[0]), int(far.parents[np.flatnonzero(apart)[0]])])  # of either side, of the smallest
    assert edited.ids[edited.tree.surroundings] == far.surroundings
    (rest,) = set(far.children(2 * far.num_leaves - 2).tolist()) - {far.surroundings}
    edited.merge([int(far.children(rest)[0]), far.surroundings])
    assert edited.tree.surroundings is None
    assert edited.undo().kind == "merge"
    assert edited.tree.surroundings is not None


@settings(deadline=None)
@given(divided())
def test_levels_are_those_of_the_rest(case):
    tree, apart = case
    far = set_apart(tree, apart)
    (rest,) = set(far.children(2 * far.num_leaves - 2).tolist()) - {far.surroundings}
    alone, _ = far.subtree(rest)
    levels = far.levels(min_size=2)
    assert np.array_equal(levels[:-1], alone.levels(min_size=2)[:-1])
    assert levels[-1] == max(alone.heights[-1], far.heights[far.surroundings])
    if tree.heights[-1] > 0:
        assert set(far.cut(levels[-1])) == {rest, far.surroundings}


def test_surroundings_that_the_user_split_leave_the_levels_of_the_rest():
    tree, apart = both_sides(5)
    far = set_apart(tree, apart)
    edited = EditedTree(far)
    edited.split(far.surroundings)
    assert np.array_equal(edited.tree.levels(min_size=2), far.levels(min_size=2))
    assert len(np.unique(edited.cut(far.levels(min_size=2)[-1]))) == 3
