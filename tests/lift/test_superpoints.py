"""Regions joined by all pairs of points: against the definition, and hand-made cases of what the masks may do."""

from __future__ import annotations

import tracemalloc
from copy import deepcopy
from dataclasses import replace
from itertools import pairwise, product
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st
from toy_scene import Toy

from ultrafield.cameras import Cameras, Similarity
from ultrafield.config import SegmentConfig
from ultrafield.lift import build_graph
from ultrafield.lift.kernels import regions_cpu
from ultrafield.lift.kernels.regions_cpu import join_heights
from ultrafield.lift.kernels.rows_cpu import Rows
from ultrafield.lift.memberships import memberships
from ultrafield.lift.superpoints import join_superpoints, superpoints
from ultrafield.lift.view_votes import view_votes
from ultrafield.lift.vote_graph import vote_graph
from ultrafield.masks import build_mask_set
from ultrafield.scene import Scene, Split, View
from ultrafield.surface import Surface
from ultrafield.ultrametric import AffinityGraph, build_tree, cut_into, lowest_common_ancestor

from .test_votes import random_masks, with_masks


class Slow:
    """The definition: all pairs of points of two regions that touch, over all views, compared mask by mask.

    Examples in which the order of two dissimilarities is open to rounding are left out.
    """

    def __init__(self, graph: AffinityGraph, labels: np.ndarray, surface: Surface, scene: Scene) -> None:
        self.both, self.either = np.zeros((2, len(surface), len(surface)))
        for view in view_votes(surface, scene):
            octets = np.unpackbits(view.codes.view(np.uint8), axis=1, bitorder="little")
            holds = (octets.astype(bool) & view.seen[:, None]).astype(float)  # [N, 64 W]
            total = holds @ view.weights
            shared = (holds * view.weights) @ holds.T
            seen = view.seen[:, None] & view.seen[None]
            self.both += shared
            self.either += np.where(seen, total[:, None] + total[None] - shared, 0.0)
        self.labels, self.region, self.edges = labels, labels.copy(), graph.edges
        self.dissimilarity = graph.dissimilarity
        self.heights, self.height_of = np.zeros(len(graph.edges)), dict.fromkeys(labels.tolist(), 0.0)

    def values(self) -> dict[tuple[int, int], float]:
        """Dissimilarity of every two regions that touch."""
        ends = np.sort(self.region[self.edges], axis=1)
        values = {}
        for a, b in {(a, b) for a, b in ends.tolist() if a != b}:
            pairs = np.ix_(self.region == a, self.region == b)
            seen = self.either[pairs].sum()
            guess = self.dissimilarity[(ends == [a, b]).all(axis=1)].astype(float).mean()
            values[a, b] = 1 - self.both[pairs].sum() / seen if seen > 0 else guess
        return values

    def join(self, kept: int, gone: int, height: float) -> None:
        ends = np.sort(self.region[self.edges], axis=1)
        self.heights[(ends == sorted([kept, gone])).all(axis=1)] = height
        self.region[self.region == gone] = kept
        self.height_of[kept] = height


def slow_greedy(slow: Slow) -> np.ndarray:
    """Heights of all edges if the two nearest regions of all merge first."""
    height = 0.0
    while values := slow.values():
        (kept, gone), value = min(values.items(), key=lambda item: item[1])
        equal = [pair for pair, other in values.items() if abs(other - value) < 1e-9]
        assume(len(equal) == 1 or value > 1 - 1e-9)  # of equally near pairs either may join first
        height = max(height, value)
        slow.join(kept, gone, height)
    return slow.heights


def slow_rounds(slow: Slow, slack: float, most: int = 10**6) -> np.ndarray:
    """Heights of all edges if regions that are each other's nearest merge in rounds; see `join_heights`."""
    while most > 0 and (values := slow.values()):
        most -= 1
        lists: dict[int, list[tuple[float, int]]] = {}  # neighbours of each region, the nearest first
        for (a, b), value in values.items():
            lists.setdefault(a, []).append((value, b))
            lists.setdefault(b, []).append((value, a))
        for near in lists.values():
            near.sort()
            assume(all(after[0] - before[0] > 1e-9 for before, after in pairwise(near)))
        nearest = {region: near[0][1] for region, near in lists.items()}
        sizes = {region: int((slow.region == region).sum()) for region in lists}
        mutual = [region for region, other in nearest.items() if nearest[other] == region]
        for hub in mutual:
            if (sizes[hub], -hub) < (sizes[nearest[hub]], -nearest[hub]):
                continue
            grown = 0
            for at, (value, other) in enumerate(lists[hub]):
                grown += sizes[other]
                if nearest[other] != hub or (at > 0 and grown > slack * sizes[hub]):
                    break
                slow.join(hub, other, max(value, slow.height_of[hub], slow.height_of[other]))
    return slow.heights


def slow_round_then_greedy(slow: Slow, slack: float) -> np.ndarray:
    """Heights of all edges if one round of merges is followed by merges of the nearest two."""
    slow_rounds(slow, slack, most=1)
    ends, tops = slow.region[slow.edges], [slow.height_of[region] for region in range(len(slow.height_of))]
    apart = ends[:, 0] != ends[:, 1]
    heights = slow_greedy(slow)
    heights[apart] = np.maximum(heights[apart], np.array(tops)[ends[apart]].max(axis=1))
    return heights


def heights_of(
    graph: AffinityGraph, labels: np.ndarray, rows: Rows, slack: float, threads: int | None = None
) -> np.ndarray:
    """Heights of all edges, 0 within regions."""
    ends = np.sort(labels[graph.edges], axis=1)
    across = ends[:, 0] != ends[:, 1]
    pairs, pair = np.unique(ends[across], axis=0, return_inverse=True)
    borders = np.bincount(pair.reshape(-1), minlength=len(pairs)).astype(float)
    guesses = np.bincount(pair.reshape(-1), graph.dissimilarity[across].astype(float), len(pairs)) / borders
    heights = np.zeros(len(graph.edges))
    heights[across] = join_heights(pairs, guesses, borders, deepcopy(rows), slack, threads=threads)[pair.reshape(-1)]
    return heights


@settings(deadline=None, max_examples=60, suppress_health_check=[HealthCheck.filter_too_much])
@given(st.integers(0, 10_000), st.sampled_from([0.0, 0.5, 2.0]))
def test_regions_join_by_the_mean_of_all_their_pairs(seed: int, slack: float) -> None:
    rng = np.random.default_rng(seed)
    surface, scene = flat_scene(seed, points=int(rng.integers(8, 40)), views=int(rng.integers(1, 5)))
    count = len(surface)
    edges = np.unique(np.sort(rng.integers(0, count, (4 * count, 2)), axis=1), axis=0)
    graph = vote_graph(surface, edges[edges[:, 0] != edges[:, 1]], scene)
    labels = np.unique(rng.integers(0, rng.integers(1, count // 3 + 1), count), return_inverse=True)[1]
    rows = memberships(surface, scene, labels, int(labels.max()) + 1)
    expected = slow_rounds(Slow(graph, labels, surface, scene), slack)
    for threads in (None, 3):
        np.testing.assert_allclose(heights_of(graph, labels, rows, slack, threads), expected, atol=1e-9)


@settings(deadline=None, max_examples=40, suppress_health_check=[HealthCheck.filter_too_much])
@given(st.integers(0, 10_000))
def test_where_all_regions_touch_the_nearest_of_all_join_first(seed: int) -> None:
    rng = np.random.default_rng(seed)
    surface, scene = flat_scene(seed, points=int(rng.integers(8, 40)), views=int(rng.integers(1, 5)))
    graph = vote_graph(surface, np.argwhere(np.triu(np.ones((len(surface),) * 2, bool), 1)), scene)
    labels = np.unique(rng.integers(0, rng.integers(1, 14), len(surface)), return_inverse=True)[1]
    rows = memberships(surface, scene, labels, int(labels.max()) + 1)
    expected = slow_greedy(Slow(graph, labels, surface, scene))
    np.testing.assert_allclose(heights_of(graph, labels, rows, 0.0), expected, atol=1e-9)


@settings(deadline=None, max_examples=40, suppress_health_check=[HealthCheck.filter_too_much])
@given(st.integers(0, 10_000))
def test_what_rounds_leave_joins_one_after_the_other(seed: int) -> None:
    rng = np.random.default_rng(seed)
    surface, scene = flat_scene(seed, points=int(rng.integers(20, 60)), views=int(rng.integers(1, 5)))
    count = len(surface)
    edges = np.unique(np.sort(rng.integers(0, count, (4 * count, 2)), axis=1), axis=0)
    graph = vote_graph(surface, edges[edges[:, 0] != edges[:, 1]], scene)
    labels = np.unique(rng.integers(0, rng.integers(2, count // 2), count), return_inverse=True)[1]
    rows = memberships(surface, scene, labels, int(labels.max()) + 1)
    expected = slow_round_then_greedy(Slow(graph, labels, surface, scene), 0.0)
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(regions_cpu, "_FEW", 0.9)  # more than most rounds merge
        rounds = count_rounds(patched)
        found = heights_of(graph, labels, rows, 0.0)
    assume(len(rounds) <= 1)
    np.testing.assert_allclose(found, expected, atol=1e-9)


@pytest.mark.parametrize("slack", [0.0, 0.02])
def test_heights_do_not_depend_on_the_number_of_threads(slack: float) -> None:
    rng = np.random.default_rng(1)
    surface, scene = flat_scene(1, points=3000, views=6)
    edges = np.unique(np.sort(rng.integers(0, 3000, (20_000, 2)), axis=1), axis=0)
    graph = vote_graph(surface, edges[edges[:, 0] != edges[:, 1]], scene)
    labels = np.unique(rng.integers(0, 1500, 3000), return_inverse=True)[1]
    rows = memberships(surface, scene, labels, int(labels.max()) + 1)
    alone = heights_of(graph, labels, rows, slack, threads=1)
    for threads in (2, 7, None):
        np.testing.assert_array_equal(heights_of(graph, labels, rows, slack, threads=threads), alone)


def count_rounds(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """A list that grows by one with every round."""
    rounds: list[int] = []

    def counted(pairs: Any, *arguments: Any) -> Any:
        rounds.append(len(pairs))
        return matches(pairs, *arguments)

    matches = regions_cpu._matches
    monkeypatch.setattr(regions_cpu, "_matches", counted)
    return rounds


def unseen(count: int, edges: np.ndarray, guess: float) -> tuple[AffinityGraph, Rows]:
    """Points that no view sees, each a region, with one guess for all edges."""
    graph = AffinityGraph(count, edges, np.full(len(edges), guess, np.float32), np.zeros(len(edges), np.float32), 1.0)
    return graph, Rows(
        starts=np.zeros(count + 1, np.int64),
        columns=np.zeros(0, np.int32),
        counts=np.zeros(0, np.float32),
        weights=np.zeros(1),
        sums=np.zeros((count, 2)),
        sizes=np.ones(count),
    )


def test_equally_near_regions_join_everywhere_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    rounds = count_rounds(monkeypatch)
    graph, rows = unseen(4000, np.stack([np.arange(3999), np.arange(1, 4000)], axis=1), 0.25)
    np.testing.assert_array_equal(heights_of(graph, np.arange(4000), rows, 0.0), 0.25)
    assert len(rounds) < 40


def test_a_large_region_takes_up_many_crumbs_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    count = 2000
    hub, rest = np.zeros(count, np.int64), np.arange(1, count + 1)
    graph, rows = unseen(count + 1, np.stack([hub, rest], axis=1), 0.5)
    graph = replace(graph, dissimilarity=np.random.default_rng(0).random(count, np.float32))
    rows.sizes[0] = 1000
    rounds = count_rounds(monkeypatch)
    heights = heights_of(graph, np.arange(count + 1), rows, 0.02)
    assert len(rounds) < 80
    np.testing.assert_array_equal(heights, graph.dissimilarity.astype(float))
    np.testing.assert_array_equal(heights_of(graph, np.arange(count + 1), rows, 0.0), heights)


def test_rounds_that_would_merge_one_pair_each_are_left(monkeypatch: pytest.MonkeyPatch) -> None:
    count = 20_000
    rounds = count_rounds(monkeypatch)
    graph, rows = unseen(count, np.stack([np.arange(count - 1), np.arange(1, count)], axis=1), 0.0)
    graph = replace(graph, dissimilarity=np.linspace(0.1, 0.9, count - 1, dtype=np.float32))
    found = heights_of(graph, np.arange(count), rows, 0.02)
    np.testing.assert_array_equal(found, graph.dissimilarity.astype(float))
    assert len(rounds) == 1


def test_parts_that_do_not_touch_stay_apart() -> None:
    edges = np.array([[0, 1], [1, 2], [4, 5]])
    graph, rows = unseen(7, edges, 0.0)
    graph = replace(graph, dissimilarity=np.float32([0.5, 0.25, 0.75]))
    np.testing.assert_array_equal(heights_of(graph, np.arange(7), rows, 0.02), [0.5, 0.25, 0.75])
    graph, rows = unseen(1, np.zeros((0, 2), np.int64), 0.0)
    assert heights_of(graph, np.zeros(1, np.int64), rows, 0.02).shape == (0,)


def flat_scene(seed: int, *, points: int, views: int, size: int = 16) -> tuple[Surface, Scene]:
    """Random points of a square below cameras that look straight down, with random masks and random visibility."""
    rng = np.random.default_rng(seed)
    places = np.concatenate([rng.uniform(-0.45, 0.45, (points, 2)), np.zeros((points, 1))], axis=1)
    masks = [random_masks(seed + view, 5, size) for view in range(views)]
    masks[0] = build_mask_set(np.ones((1, size, size), bool))
    visible = rng.random((views, points)) < 0.7
    visible[0, 0] = True  # so that at least one mask holds a point
    return square(places, masks, visible)


def square(places: np.ndarray, masks: list, visible: np.ndarray) -> tuple[Surface, Scene]:
    """Points [N, 3] of the unit square around the origin as a surface, seen from above by one camera per mask set."""
    pose = np.array([[1.0, 0, 0, 0], [0, -1, 0, 0], [0, 0, -1, 1.0]])
    size = masks[0].shape[0]
    cameras = Cameras.pinhole(np.stack([pose] * len(masks)), [size, size, size / 2, size / 2], [size, size])
    pictures = tuple(View(f"r_{index}", None, item) for index, item in enumerate(masks))
    count = len(places)
    surface = Surface(
        places.astype(np.float32),
        np.tile(np.float32([0, 0, 1]), (count, 1)),
        np.zeros((count, 3), np.uint8),
        np.packbits(visible, axis=1, bitorder="little"),
        1.0 / 32,
    )
    return surface, Scene(
        "square", Path("square"), "blender-hs", {"train": Split(pictures, cameras)}, Similarity(), None
    )


SIDE = 32  # pixels, and points, along an edge of the square


def halves(masks: list[np.ndarray], superpoints: int = 400) -> AffinityGraph:
    """Lift graph of a square of 32×32 points, one in each pixel's middle, with the masks [M, 32, 32] of each view."""
    axis = (np.arange(SIDE) + 0.5) / SIDE - 0.5
    columns, rows = np.meshgrid(axis, -axis)
    places = np.stack([columns, rows, np.zeros_like(rows)], axis=2).reshape(-1, 3)
    surface, scene = square(places, [build_mask_set(item) for item in masks], np.ones((len(masks), SIDE * SIDE), bool))
    return build_graph(surface, engine="lift", scene=scene, config=SegmentConfig(neighbors=8, superpoints=superpoints))


def left_of(column: int) -> np.ndarray:
    return np.broadcast_to(np.arange(SIDE) < column, (SIDE, SIDE))


def found_halves(graph: AffinityGraph) -> np.ndarray:
    """The tree's two topmost segments as a picture [32, 32], True for that of the upper left corner."""
    segments = cut_into(build_tree(graph), 2)
    return (segments == segments[0]).reshape(SIDE, SIDE)


def test_borders_that_masks_draw_in_different_places_are_trusted_less() -> None:
    rng = np.random.default_rng(0)
    views = []
    for _ in range(15):  # the border in the middle is off by up to three pixels, and the two masks overlap or gape
        first, second = (16 + rng.integers(-3, 4, 2)).tolist()
        views.append(np.stack([left_of(first), ~left_of(second), np.ones((SIDE, SIDE), bool)]))
    graph = halves(views)
    found = found_halves(graph)
    assert (found == left_of(16)).mean() > 0.95
    # Edges across the border are cut by half of the masks at best, the two sides by nearly all.
    ends = graph.edges % SIDE
    crossing = (ends.min(axis=1) < 16) & (ends.max(axis=1) >= 16)
    sides = build_tree(graph).heights[-1]
    assert graph.dissimilarity[crossing].max() == sides
    plain = halves(views, superpoints=None).dissimilarity[crossing].mean()
    assert sides > 0.65 > 0.3 > plain


def test_a_mask_that_the_other_views_contradict_is_outvoted() -> None:
    truth = np.stack([left_of(16), ~left_of(16), np.ones((SIDE, SIDE), bool)])
    wrong = np.stack([left_of(25), left_of(25).T])  # cuts across both halves
    found = found_halves(halves([truth] * 5 + [wrong] * 2))
    np.testing.assert_array_equal(found, left_of(16))


def test_what_no_mask_holds_is_one_region() -> None:
    upper = np.broadcast_to((np.arange(SIDE) < 16)[:, None], (SIDE, SIDE))
    masks = np.stack([left_of(16), ~left_of(16) & upper])  # no mask holds the lower right quarter in any view
    graph = halves([masks] * 3)
    assert (graph.evidence > 0).all()
    segments = cut_into(build_tree(graph), 3).reshape(SIDE, SIDE)
    np.testing.assert_array_equal(segments == segments[-1, -1], ~left_of(16) & ~upper)


def test_where_no_view_sees_both_regions_their_border_decides() -> None:
    # Points in a row; the one view sees the outer two of each region, and no mask of it says anything of the others.
    places = np.array([[x, 0.0, 0.0] for x in (-0.4, -0.3, -0.2, 0.2, 0.3, 0.4)])
    masks = [build_mask_set(np.ones((1, SIDE, SIDE), bool))]
    surface, scene = square(places, masks, np.array([[True, True, True, False, False, False]]))
    edges = np.array([[0, 1], [1, 2], [2, 3], [3, 4], [4, 5]])
    graph = AffinityGraph(6, edges, np.float32([0, 0, 0.5, 0.25, 0.25]), np.float32([1, 1, 0, 0, 0]), 1.0)
    joined = join_superpoints(surface, scene, graph, np.array([0, 0, 0, 1, 2, 2]))
    np.testing.assert_allclose(joined.dissimilarity, [0, 0, 0.5, 0.25, 0])
    np.testing.assert_array_equal(joined.evidence, graph.evidence)


def test_the_graph_is_an_ultrametric_that_either_linkage_reproduces(toy: Toy, toy_surface: Surface) -> None:
    joined_graph = build_graph(toy_surface, engine="lift", scene=toy.scene, config=SegmentConfig(superpoints=300))
    assert joined_graph.ultrametric
    for linkage, told in product(("average", "single"), (False, True)):
        graph = replace(joined_graph, ultrametric=told)
        tree = build_tree(graph, linkage=linkage)
        joined = tree.heights[lowest_common_ancestor(tree, graph.edges)]
        np.testing.assert_allclose(joined, graph.dissimilarity, atol=1e-6)


def test_superpoints_are_numbered_and_as_many_as_asked_for(toy: Toy, toy_surface: Surface) -> None:
    graph = build_graph(toy_surface, engine="lift", scene=toy.scene, config=SegmentConfig(superpoints=None))
    labels = superpoints(graph, 50)
    numbers, first = np.unique(labels, return_index=True)
    assert numbers.tolist() == list(range(50))
    assert (np.diff(first) > 0).all()  # neighbours have near numbers
    assert superpoints(graph, 10**9).max() == len(toy_surface) - 1


def test_slack_changes_next_to_nothing(toy: Toy, toy_surface: Surface, monkeypatch: pytest.MonkeyPatch) -> None:
    scene = with_masks(toy.scene, [random_masks(seed, 20) for seed in range(10)])
    graph = build_graph(toy_surface, engine="lift", scene=scene, config=SegmentConfig(superpoints=None))
    labels = superpoints(graph, 500)
    lazy = join_superpoints(toy_surface, scene, graph, labels).dissimilarity
    monkeypatch.setattr("ultrafield.lift.superpoints._SLACK", 0.0)
    exact = join_superpoints(toy_surface, scene, graph, labels).dissimilarity
    assert np.abs(lazy - exact).mean() < 0.01


def test_memberships_count_every_mask_of_every_view(toy: Toy, toy_surface: Surface, toy_ids: np.ndarray) -> None:
    rows = memberships(toy_surface, toy.scene, toy_ids - 1, 3)
    assert rows.sizes.tolist() == np.bincount(toy_ids - 1).tolist()
    seen = [np.bincount(toy_ids[toy_surface.seen_from(view)] - 1, minlength=3) for view in range(10)]
    np.testing.assert_array_equal(rows.sums[:, :10], np.stack(seen, axis=1))
    held = np.zeros((3, 10))
    for region in range(3):
        row = slice(rows.first[region], rows.first[region] + rows.length[region])
        np.add.at(held[region], rows.columns[row] // 64, rows.counts[row] * rows.weights[rows.columns[row]])
    np.testing.assert_allclose(rows.sums[:, 10:], held, rtol=1e-12)


def test_many_masks_of_many_regions_take_little_memory() -> None:
    axis = (np.arange(64) + 0.5) / 64 - 0.5
    places = np.stack([*np.meshgrid(axis, axis), np.zeros((64, 64))], axis=2).reshape(-1, 3)
    cells = np.kron(np.eye(1024, dtype=bool).reshape(1024, 32, 32), np.ones((1, 2, 2), bool))
    surface, scene = square(places, [build_mask_set(cells)], np.ones((1, 64 * 64), bool))
    labels = np.arange(64 * 64)
    memberships(surface, scene, labels, 64 * 64)  # compiled
    tracemalloc.start()
    rows = memberships(surface, scene, labels, 64 * 64)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert rows.used == 64 * 64
    assert peak < 24e6 < 64 * 64 * 1024 * 8  # the whole table of counts


def test_regions_of_more_points_than_16_bits_count() -> None:
    axis = (np.arange(300) + 0.5) / 300 - 0.5
    places = np.stack([*np.meshgrid(axis, axis), np.zeros((300, 300))], axis=2).reshape(-1, 3)
    left = np.repeat([[True, False]], 2, axis=0)
    surface, scene = square(
        places, [build_mask_set(np.stack([left, np.ones_like(left)]))], np.ones((1, len(places)), bool)
    )
    rows = memberships(surface, scene, np.zeros(len(places), np.int64), 1)
    assert rows.columns[: rows.used].tolist() == [0, 1]
    assert rows.counts[: rows.used].tolist() == [45_000, 90_000]


def test_a_scene_whose_views_have_empty_lists_of_masks(toy: Toy, toy_surface: Surface) -> None:
    empty = build_mask_set(np.zeros((0, 4, 4), bool))
    scene = with_masks(toy.scene, [empty] * 10)
    rows = memberships(toy_surface, scene, np.zeros(len(toy_surface), np.int64), 1)
    assert (rows.used, rows.sums.sum()) == (0, 0)


def test_the_order_of_views_does_not_matter(toy: Toy, toy_surface: Surface) -> None:
    config = SegmentConfig(superpoints=200)
    graph = build_graph(toy_surface, engine="lift", scene=toy.scene, config=config)
    order = np.arange(10)[::-1]
    split = Split(tuple(toy.scene.train.views[index] for index in order), toy.cameras[order])
    scene = replace(toy.scene, splits={"train": split})
    surface = replace(toy_surface, visible=toy_surface.visible[order])
    turned = build_graph(surface, engine="lift", scene=scene, config=config)
    assert np.abs(turned.dissimilarity - graph.dissimilarity).mean() < 1e-3  # other sums, other rounding, other ties
