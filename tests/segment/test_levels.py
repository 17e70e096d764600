"""Which heights are chosen: hand-made hierarchies, and properties on random trees."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ultrafield.segment import levels, spread_cuts
from ultrafield.segment.levels import substantial_merges
from ultrafield.types import AffinityGraph, Tree
from ultrafield.ultrametric import build_tree, condense, cut


def chain(heights: np.ndarray) -> Tree:
    """Single-linkage tree of a path whose consecutive nodes differ by `heights`."""
    count = len(heights) + 1
    edges = np.stack([np.arange(count - 1), np.arange(1, count)], axis=1)
    bound = float(max(heights.max(initial=0), 1.0))
    graph = AffinityGraph(count, edges, heights.astype(np.float32), np.ones(count - 1, np.float32), bound)
    return build_tree(graph, linkage="single")


def nested_blocks() -> Tree:
    """2 groups of 3 objects of 4 parts of 50 points each: borders around 0.9, 0.6 and 0.3, noise below 0.05."""
    rng = np.random.default_rng(0)
    heights = rng.uniform(0.0, 0.05, 2 * 3 * 4 * 50 - 1)
    position = np.arange(1, len(heights) + 1)
    for size, height in ((50, 0.3), (200, 0.6), (600, 0.9)):
        border = position % size == 0
        heights[border] = height + rng.uniform(-0.02, 0.02, border.sum())
    return chain(heights)


def random_tree(seed: int, count: int) -> Tree:
    rng = np.random.default_rng(seed)
    return chain(rng.choice([0.0, 0.1, 0.25, 0.5, 1.0], count - 1) if seed % 3 == 0 else rng.random(count - 1))


def counts(tree: Tree, heights: np.ndarray, least: int) -> list[int]:
    """Segments of at least `least` leaves at each height."""
    return [int((np.unique(cut(tree, float(h)), return_counts=True)[1] >= least).sum()) for h in heights]


def test_levels_find_the_hierarchy() -> None:
    tree = nested_blocks()
    found = levels(tree, min_size=25)
    assert 3 <= len(found) <= 6
    assert {2, 6, 24} <= set(counts(tree, found, 25))
    assert found.dtype == np.float32


def test_crumbs_are_no_level() -> None:
    """Three blobs of which each forms only at 0.4: below, everything is dust, however wide the gap."""
    heights = np.full(299, 0.4)
    heights[[99, 199]] = 0.8, 0.9
    assert (levels(chain(heights + np.linspace(0, 1e-3, 299)), min_size=20) >= 0.4).all()


def test_the_middle_of_the_gap_is_chosen() -> None:
    tree = chain(np.array([0.1, 0.5, 0.1, 0.9, 0.1]))  # pairs at 0.1, then 0.5, then 0.9
    np.testing.assert_allclose(levels(tree), [0.3, 0.7])


@settings(deadline=None)
@given(st.integers(0, 400), st.integers(1, 80))
def test_levels_are_few_ascending_and_distinct_cuts(seed: int, count: int) -> None:
    tree = random_tree(seed, count)
    found = levels(tree)
    assert 1 <= len(found) <= 6
    assert (np.diff(found) > 0).all()
    assert (found >= 0).all()
    assert found[-1] <= tree.heights[-1]
    merges = substantial_merges(tree)[0]
    number_above = [(merges > height).sum() for height in found]
    assert len(set(number_above)) == len(found)  # no two of them show the same segmentation


@settings(deadline=None)
@given(st.integers(0, 400), st.integers(1, 80), st.integers(1, 30))
def test_spread_cuts_are_as_many_as_asked_for(seed: int, count: int, wanted: int) -> None:
    tree = random_tree(seed, count)
    automatic = levels(tree)
    found = spread_cuts(tree, wanted, automatic)
    if tree.heights[-1] == 0:
        assert found.tolist() == [0.0]
        return
    assert len(found) == max(wanted, len(automatic))
    assert (np.diff(found) > 0).all()
    assert found.dtype == np.float32
    assert np.isin(automatic, found).all()
    assert ((found >= 0) & (found <= tree.heights[-1])).all()
    if wanted > len(automatic):
        assert found[-1] == tree.heights[-1]


def test_every_substantial_segment_appears_at_some_cut() -> None:
    tree = nested_blocks()
    heights = spread_cuts(tree, 50, levels(tree))
    shown = {int(node) for height in heights for node in np.unique(cut(tree, float(height)))}
    lasting = condense(tree, 40)
    lasting_nodes = lasting.nodes[lasting.death - lasting.birth > 0.1]
    assert len(lasting_nodes) == 2 + 6 + 24
    # A segment is shown as soon as one of the cuts falls between its birth and its death.
    for node in lasting_nodes:
        assert any(tree.sizes[other] >= 0.9 * tree.sizes[node] and inside(tree, other, node) for other in shown)


def inside(tree: Tree, node: int, ancestor: int) -> bool:
    while node < ancestor:
        node = int(tree.parents[node])
    return node == ancestor


def test_substantial_merges_by_definition() -> None:
    tree = nested_blocks()
    heights, smaller = substantial_merges(tree, 30)
    expected = []
    for node in range(tree.num_leaves, len(tree.parents)):
        children = np.flatnonzero(tree.parents[:-1] == node)
        if tree.sizes[children].min() >= 30:
            expected.append((tree.heights[node], tree.sizes[children].min()))
    assert list(zip(heights.tolist(), smaller.tolist(), strict=True)) == sorted(expected, key=lambda pair: pair[0])


def test_the_smallest_trees() -> None:
    one = Tree(np.array([0]), np.zeros(1, np.float32), np.ones(1, np.int64))
    assert levels(one).tolist() == [0.0]
    assert spread_cuts(one, 5, levels(one)).tolist() == [0.0]
    two = chain(np.array([0.5]))
    assert levels(two).tolist() == [0.5]
    np.testing.assert_allclose(spread_cuts(two, 3, levels(two)), [0.125, 0.25, 0.5])


def test_no_cut_is_refused() -> None:
    with pytest.raises(ValueError, match="count: expected at least 1, got 0"):
        spread_cuts(nested_blocks(), 0, np.array([0.5], np.float32))
