"""Cut, selection and edits as the viewer keeps them, without a window."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from merge_trees import SMALL, make_tree, trees
from viewer_sessions import session_of

from ultrafield.ultrametric import EditedTree, Tree, mixed_cut
from ultrafield.viewer.failure import ViewError
from ultrafield.viewer.session import Session


def test_a_click_selects_the_shown_segment_and_nothing_deselects() -> None:
    session = session_of(SMALL)
    session.cut(0.3)
    session.click(0)
    assert session.selected == (5,)
    session.click(4, add=True)
    assert session.selected == (5, 4)
    session.click(1, add=True)  # the same segment again
    assert session.selected == (4,)
    session.click(-1, add=True)
    assert session.selected == (4,)
    session.click(-1)
    assert session.selected == ()


def test_climbing_goes_to_the_root_and_descending_comes_back() -> None:
    session = session_of(SMALL)
    session.cut(0)
    session.click(2)
    for expected in (6, 7, 8):
        session.climb()
        assert session.selected == (expected,)
    with pytest.raises(ViewError, match="this is everything"):
        session.climb()
    for expected in (7, 6, 2):
        session.descend()
        assert session.selected == (expected,)
    with pytest.raises(ViewError, match="no part of segment 2 here has 1 points"):
        session.descend()


def test_descending_leads_to_the_point_clicked() -> None:
    session = session_of(SMALL)
    session.cut(1)
    session.click(4)
    session.descend()
    assert session.selected == (4,)
    session.click(1)
    assert session.selected == (8,)
    session.descend()
    session.descend()
    assert session.selected == (5,)


@settings(deadline=None, max_examples=60)
@given(trees())
def test_points_of_nodes_are_their_leaves(tree: Tree) -> None:
    session = session_of(tree)
    for node in range(len(tree.parents)):
        assert np.flatnonzero(session.leaves_of((node,))).tolist() == tree.leaves(node).tolist()
    assert session.leaves_of(tuple(range(tree.num_leaves))).all()
    assert not session.leaves_of(()).any()


@settings(deadline=None, max_examples=60)
@given(trees())
def test_climbing_enlarges_and_descending_shrinks(tree: Tree) -> None:
    session = session_of(tree)
    session.cut(0)
    session.click(0)
    sizes = [1]
    while session.hierarchy.above(session.node(session.selected[0])) is not None:
        session.climb()
        sizes.append(int(session.tree.sizes[session.node(session.selected[0])]))
    assert session.selected == (len(tree.parents) - 1,)
    assert all(later > earlier for earlier, later in pairwise(sizes))


@settings(deadline=None, max_examples=60)
@given(trees(), st.integers(0, 10**6), st.booleans())
def test_opened_and_closed_segments_are_partitions(tree: Tree, choice: int, opened: bool) -> None:
    session = session_of(tree)
    session.cut(float(tree.heights[choice % len(tree.heights)]))
    node = choice % len(tree.parents)
    session.select(node)
    if opened and session.hierarchy.opening_height(node) is None:
        with pytest.raises(ViewError, match="has no parts"):
            session.open()
        return
    if opened:
        session.open()
    else:
        session.close()
        assert (session.labels[session.leaves_of((node,))] == node).all()
    segments = np.unique(session.labels)
    assert np.array_equal(mixed_cut(tree, segments), session.labels)
    assert session.is_mixed


def test_one_node_is_open_beside_its_closed_sibling() -> None:
    session = session_of(SMALL)
    session.cut(0.6)
    session.select(7)
    session.open()
    assert np.unique(session.labels).tolist() == [4, 5, 6]
    session.select(5)
    session.open()
    assert np.unique(session.labels).tolist() == [0, 1, 4, 6]
    session.cut(0.6)
    assert np.unique(session.labels).tolist() == [4, 7]
    assert not session.is_mixed
    session.select(2)
    with pytest.raises(ViewError, match="segment 2 has no parts of 1 points"):
        session.open()
    with pytest.raises(ViewError, match="at least 0"):
        session.cut(float("nan"))


def test_hide_isolate_and_show_all() -> None:
    session = session_of(SMALL)
    for action, what in ((session.hide, "hide"), (session.isolate, "isolate")):
        with pytest.raises(ViewError, match=f"nothing is selected to {what}"):
            action()
    session.select(6)
    session.hide()
    assert session.visible.tolist() == [True, True, False, False, True]
    assert session.selected == ()
    session.select(7)
    session.isolate()
    assert session.visible.tolist() == [True, True, True, True, False]
    session.show_all()
    assert session.visible.all()


def test_edits_are_those_of_the_edited_tree() -> None:
    session = session_of(SMALL)
    session.select(3)
    with pytest.raises(ViewError, match="select two segments"):
        session.merge()
    session.select(4, add=True)
    session.merge()
    expected = EditedTree(SMALL)
    joined = expected.merge([3, 4])
    assert session.selected == (joined,)
    session.rename("  handle ")
    assert session.edits.names == {joined: "handle"}
    assert np.array_equal(session.edits.cut(0.3), expected.cut(0.3))
    session.cut(0.1)
    assert session.ids[session.labels[4]] == joined
    assert session.undo() == "rename"
    assert session.undo() == "merge"
    assert session.selected == ()
    assert session.redo() == "merge"
    with pytest.raises(ViewError, match="there is no segment 99"):
        session.select(99)
    for refused in ("a\nb", "x" * 201):
        session.select(0)
        with pytest.raises(ViewError, match="cannot be a name"):
            session.rename(refused)


def test_what_cannot_be_done_changes_nothing() -> None:
    session = session_of(SMALL)
    session.select(7)
    session.select(5, add=True)
    with pytest.raises(ViewError, match="node 5 lies inside node 7"):
        session.merge()
    with pytest.raises(ViewError, match="there is no edit to undo"):
        session.undo()
    with pytest.raises(ViewError, match="there is no undone edit"):
        session.redo()
    session.select(0)
    with pytest.raises(ViewError, match="has no parts"):
        session.split()
    session.select(8)
    with pytest.raises(ViewError, match="nothing lies above it"):
        session.split()
    assert session.edits.operations == ()


def grown() -> Tree:
    """Two halves of four leaves join at 0.5; then a crumb each at 0.52 and 0.54, then as much again at 0.9."""
    #         leaves 0-3, 4-7, crumbs 8, 9, and 10-13
    parents = [14, 14, 15, 15, 16, 16, 17, 17, 22, 23, 18, 18, 19, 19,
               20, 20, 21, 21, 24, 24, 25, 25, 23, 26, 26, 22, 26]  # fmt: skip
    heights = [0.0] * 14 + [0.1] * 6 + [0.2, 0.2, 0.52, 0.54, 0.2, 0.5, 0.9]
    return relabelled(parents, heights)


def relabelled(parents: list[int], heights: list[float]) -> Tree:
    """The tree with ids in the order of heights."""
    order = np.lexsort((np.arange(len(parents)), np.where(np.arange(len(parents)) < 14, -1, heights)))
    place = np.argsort(order)
    return make_tree(place[np.array(parents)][order], np.array(heights)[order])


def test_a_split_keeps_parts_apart_though_crumbs_joined_and_is_undone_at_once() -> None:
    tree = grown()
    session = session_of(tree, min_size=3)
    session.cut(0.6)
    session.click(0)
    whole = session.selected[0]
    assert session.tree.sizes[session.node(whole)] == 10
    session.split()
    assert len(session.edits.operations) == 3
    session.cut(0.6)
    assert session.labels[0] != session.labels[4]
    assert len(np.unique(session.labels[:4])) == len(np.unique(session.labels[4:8])) == 1
    assert session.undo() == "split"
    assert session.edits.operations == ()
    assert session.redo() == "split"
    assert len(session.edits.operations) == 3


@settings(deadline=None, max_examples=60)
@given(trees(), st.lists(st.integers(0, 10**6), min_size=1, max_size=8))
def test_a_session_survives_any_edits(tree: Tree, choices: list[int]) -> None:
    session = session_of(tree)
    for choice in choices:
        nodes = session.ids.tolist()
        session.select(nodes[choice % len(nodes)])
        session.select(nodes[choice // 7 % len(nodes)], add=True)
        actions = (session.merge, session.split, session.open, session.close, session.undo, session.redo, session.hide)
        try:
            actions[choice % len(actions)]()
        except ViewError:
            continue
        assert np.array_equal(mixed_cut(session.tree, np.unique(session.labels)), session.labels)
        assert all(session.exists(node) for node in (*session.selected, *session.hidden))
        assert len(session.visible) == tree.num_leaves


def test_one_segment_and_copies() -> None:
    session = session_of(make_tree([0], [0]))
    session.click(0)
    assert session.selected == (0,)
    with pytest.raises(ViewError, match="this is everything"):
        session.climb()
    with pytest.raises(ViewError, match="no part of"):
        session.descend()
    copy = session.copied()
    session.rename("all")
    assert copy.segmentation.names == {}
    assert session.segmentation.names == {0: "all"}


def test_the_boxes_of_a_scene(session: Session, boxes: dict[int, int], toy_ids: np.ndarray) -> None:
    assert set(boxes) == {1, 2, 3}
    leaf = int(np.flatnonzero(session.leaves_of((boxes[2],)))[0])
    session.cut(float(session.tree.heights[session.node(boxes[2])]))
    session.click(leaf)
    size = session.tree.sizes[session.node(session.selected[0])]
    session.climb()
    assert session.tree.sizes[session.node(session.selected[0])] > size
