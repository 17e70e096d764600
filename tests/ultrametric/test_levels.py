"""Which heights are chosen: hand-made hierarchies, and properties on random trees."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ultrafield.ultrametric import AffinityGraph, Tree, build_tree, condense, cut, leaves, levels, spread_cuts
from ultrafield.ultrametric.kernels.levels_cpu import best_paths_cpu, uncovered_cpu
from ultrafield.ultrametric.levels import _coverings, substantial_merges


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


def test_the_middle_of_the_gap_is_chosen_and_the_whole() -> None:
    tree = chain(np.array([0.1, 0.5, 0.1, 0.9, 0.1]))  # pairs at 0.1, then 0.5, then 0.9
    np.testing.assert_allclose(levels(tree), [0.3, 0.7, 0.9])


def test_the_coarsest_level_is_the_whole_tree() -> None:
    tree = nested_blocks()
    assert levels(tree)[-1] == tree.heights[-1]
    assert counts(tree, levels(tree)[-1:], 1) == [1]


@pytest.mark.parametrize("power", [0.2, 1.0, 3.0])
def test_squeezed_and_stretched_heights_show_the_same_segments(power: float) -> None:
    tree = nested_blocks()
    squeezed = tree.heights.copy()
    squeezed[tree.num_leaves :] = 0.5 + 0.3 * tree.heights[tree.num_leaves :] ** np.float32(power)
    found = levels(Tree(tree.parents, squeezed, tree.sizes), min_size=25)
    assert {2, 6, 24} <= set(counts(Tree(tree.parents, squeezed, tree.sizes), found, 25))


def test_levels_are_apart_in_what_they_show_not_in_height() -> None:
    """All heights but one lie in a hundredth of the range, as those of features do."""
    tree = nested_blocks()
    heights = tree.heights.copy()
    heights[tree.num_leaves : -1] = 0.7 + 0.01 * heights[tree.num_leaves : -1]
    crowded = Tree(tree.parents, heights, tree.sizes)
    found = levels(crowded, min_size=25)
    assert {6, 24} <= set(counts(crowded, found, 25))


def covering_by_hand(tree: Tree, node: int, height: float | None) -> float:
    """Mean over a node's leaves of the IoU with it of their segment at a cut; 0 for no cut."""
    if height is None:
        return 0.0
    inside_node, segments = np.zeros(tree.num_leaves, bool), cut(tree, height)
    inside_node[leaves(tree, node)] = True
    total = 0.0
    for segment in np.unique(segments[inside_node]):
        holds = segments == segment
        shared = (holds & inside_node).sum()
        total += shared * shared / (holds | inside_node).sum()
    return total / inside_node.sum()


def test_coverings_and_loss_by_definition() -> None:
    tree = chain(np.random.default_rng(4).random(59))
    clusters = condense(tree, 1)  # every node, so that no crumbs are left out
    heights = np.array([0.1, 0.35, 0.6, 0.8, 0.95], np.float32)
    pieces, whole, death = _coverings(tree, clusters, heights)
    for index, node in enumerate(clusters.nodes):
        for level, height in enumerate(heights):
            found = pieces[index, level] if level < death[index] else whole[index, level]
            assert found == pytest.approx(covering_by_hand(tree, int(node), float(height)))
    weights = np.random.default_rng(5).random(len(clusters))
    loss = uncovered_cpu(pieces, whole, death, weights)
    chosen = [-1, 1, 3, 5]  # none, then the second and fourth height, then none
    total = sum(loss[i + 1, j + 1] for i, j in itertools.pairwise(chosen))
    best = [
        max(covering_by_hand(tree, int(node), height) for height in (None, float(heights[1]), float(heights[3])))
        for node in clusters.nodes
    ]
    assert total == pytest.approx((weights * (1.0 - np.array(best))).sum())


@settings(deadline=None)
@given(st.integers(0, 1000), st.integers(1, 7), st.integers(1, 4))
def test_the_best_choice_by_trying_all(seed: int, candidates: int, most: int) -> None:
    loss = np.random.default_rng(seed).random((candidates + 2, candidates + 2))
    totals, chosen = best_paths_cpu(loss, min(most, candidates))
    for count in range(1, min(most, candidates) + 1):
        paths = [(0, *inner, candidates + 1) for inner in itertools.combinations(range(1, candidates + 1), count)]
        sums = [sum(loss[i, j] for i, j in itertools.pairwise(path)) for path in paths]
        assert totals[count - 1] == pytest.approx(min(sums))
        assert (0, *(chosen[count - 1, :count] + 1), candidates + 1) == paths[int(np.argmin(sums))]


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


def test_with_a_least_size_of_one_every_leaf_is_a_segment_from_the_start() -> None:
    tree = chain(np.array([0.25, 0.5, 0.75, 1.0]))
    assert levels(tree, min_size=1).tolist() == [0.125, 0.375, 0.625, 0.875, 1.0]


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
