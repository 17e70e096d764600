"""Surroundings of a made scene: a node below the root for every engine, made of whole things; none where none are."""

from __future__ import annotations

from dataclasses import dataclass, replace
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
from toy_scene import BOXES, SIZE, Toy, cast, ring

import ultrafield as uf
from ultrafield.cameras import RenderedView, Similarity
from ultrafield.config import Engine, SegmentConfig, preset
from ultrafield.lift import build_graph, surface_tree
from ultrafield.lift.surroundings import far_points
from ultrafield.masks import build_mask_set
from ultrafield.scene import Scene, Split, View
from ultrafield.surface import Surface, surface_from_views
from ultrafield.surface.rendered import inner_box
from ultrafield.ultrametric import Tree, build_tree, cut, cut_into, load_tree, save_tree

ENGINES: tuple[Engine, ...] = ("lift", "field", "both")
PLANK, HOUSES = 4, 12  # ids: the floor and two boxes are 1 … 3, the plank 4, what stands around 5 … 16


@dataclass(frozen=True)
class Place:
    """A table with things on it, a plank that leads out of the inner box, and houses all around, with exact evidence.

    Attributes:
        scene: Views with masks of all things and of their eighths.
        surface: Its points.
        things: What each point lies on [N], 1 … 16.
        features: One direction for each thing, and a little of one for each of its eighths [N, D].
    """

    scene: Scene
    surface: Surface
    things: np.ndarray
    features: np.ndarray

    def graph(self, engine: Engine) -> uf.AffinityGraph:
        return build_graph(self.surface, engine=engine, scene=self.scene, features=self.features, config=CONFIG)


CONFIG = SegmentConfig(superpoints=600)


def boxes_around() -> np.ndarray:
    """Lowest and highest corners of everything [16, 2, 3]."""
    angles = 2 * np.pi * (np.arange(HOUSES) + 0.5) / HOUSES
    middles = 1.7 * np.stack([np.cos(angles), np.sin(angles)], axis=1)
    low = np.column_stack([middles - 0.3, np.full(HOUSES, -0.8)])
    high = np.column_stack([middles + 0.3, np.full(HOUSES, 0.1)])
    plank = [[[0.3, -0.1, -0.24], [0.9, 0.1, -0.19]]]
    return np.concatenate([BOXES, plank, np.stack([low, high], axis=1)])


def eighths(points: np.ndarray, ids: np.ndarray, boxes: np.ndarray) -> np.ndarray:
    """Which eighth of its thing each point [..., 3] lies in [...], numbered through all things; 0 for id 0."""
    beyond = points > boxes.mean(axis=1)[np.maximum(ids - 1, 0)]
    return np.where(ids > 0, 8 * (ids - 1) + beyond @ np.array([1, 2, 4]) + 1, 0)


def view(cameras: uf.Cameras, index: int, boxes: np.ndarray) -> tuple[RenderedView, View]:
    depth, ids = cast(cameras, index, boxes)
    fx, fy, cx, cy = cameras.intrinsics[index]
    columns, rows = np.meshgrid(np.arange(SIZE) + 0.5, np.arange(SIZE) + 0.5)
    local = np.stack([(columns - cx) / fx, (rows - cy) / fy, np.ones_like(rows)], axis=-1) * depth[..., None]
    points = local @ cameras.c2w[index][:, :3].T + cameras.c2w[index][:, 3]
    parts = eighths(points, ids, boxes)
    masks = np.concatenate([ids == np.arange(1, len(boxes) + 1)[:, None, None],
                            parts == np.arange(1, 8 * len(boxes) + 1)[:, None, None]])  # fmt: skip
    color = np.zeros((SIZE, SIZE, 3), np.float32)
    picture = np.zeros((SIZE, SIZE, 3), np.uint8)
    rendered = RenderedView(color, depth, (ids > 0).astype(np.float32))
    return rendered, View(f"r_{index}", picture, build_mask_set(masks[masks.sum((1, 2)) >= 8]))


@pytest.fixture(scope="module")
def place() -> Place:
    boxes, cameras = boxes_around(), ring(24)
    views = [view(cameras, index, boxes) for index in range(len(cameras))]
    split = Split(tuple(picture for _, picture in views), cameras)
    scene = Scene("place", Path("place"), "arrays", {"train": split}, Similarity(), None, half_extent=4.0)
    surface = surface_from_views(
        [rendered for rendered, _ in views],
        cameras,
        to_user=Similarity(),
        config=SegmentConfig(voxel=0.04),
        inner=inner_box(scene),
    )
    points = surface.points.astype(np.float64)
    outside = np.maximum(boxes[:, 0, None] - points, points - boxes[:, 1, None]).clip(min=0)
    things = 1 + np.argmin(np.linalg.norm(outside, axis=2), axis=0)
    random = np.random.default_rng(0)
    whole, part = random.normal(size=(len(boxes), 12)), random.normal(size=(8 * len(boxes), 12))
    features = whole[things - 1] + 0.2 * part[eighths(points, things, boxes) - 1]
    features = (features / np.linalg.norm(features, axis=1, keepdims=True)).astype(np.float32)
    return Place(scene, surface, things, features)


@pytest.fixture(scope="module", params=ENGINES)
def trees(request: pytest.FixtureRequest, place: Place) -> tuple[Tree, Tree]:
    """The tree of an engine with surroundings joined, and that with surroundings of their own."""
    graph = place.graph(request.param)
    joined = surface_tree(place.surface, graph, config=replace(CONFIG, surroundings="joined"))
    return joined, surface_tree(place.surface, graph, config=CONFIG)


def count(labels: np.ndarray, points: np.ndarray) -> int:
    return len(np.unique(labels[points]))


def test_surroundings_are_exactly_a_node_below_the_root(place: Place, trees: tuple[Tree, Tree]) -> None:
    joined, own = trees
    houses = place.things > PLANK
    assert 0.1 < houses.mean() < 0.7
    assert joined.surroundings is None
    assert own.surroundings is not None
    assert own.parents[own.surroundings] == len(own.parents) - 1
    assert np.array_equal(own.leaves(own.surroundings), np.flatnonzero(houses))


def test_a_plank_that_leads_out_of_the_box_is_not_cut_in_two(place: Place, trees: tuple[Tree, Tree]) -> None:
    reach = np.abs(place.surface.points).max(axis=1)
    assert (reach[place.things == PLANK] > 0.75).sum() > 20
    assert not np.isin(np.flatnonzero(place.things == PLANK), trees[1].leaves(trees[1].surroundings)).any()


def test_surroundings_take_no_levels_and_few_segments(place: Place, trees: tuple[Tree, Tree]) -> None:
    joined, own = trees
    houses = place.things > PLANK
    assert np.unique(own.cut(own.levels()[-1])).size == 2
    for segments in (10, 20, 40):
        assert count(cut_into(own, segments), houses) <= 1 + segments / 5
        assert count(cut_into(own, segments), ~houses) > count(cut_into(joined, segments), ~houses)
    for height in own.levels():
        assert count(cut(own, height), houses) <= count(cut(joined, height), houses)
    assert count(cut(own, 0.0), houses) > HOUSES  # they have parts all the same


def test_what_is_not_surroundings_joins_as_before(place: Place, trees: tuple[Tree, Tree]) -> None:
    joined, own = trees
    near = np.flatnonzero(place.things <= PLANK)
    pairs = np.random.default_rng(0).choice(near, (2000, 2))
    assert np.array_equal(own.heights[own.lca(pairs)], joined.heights[joined.lca(pairs)])


def test_the_switch_leaves_the_tree_of_the_graph(place: Place) -> None:
    graph = place.graph("lift")
    config = replace(CONFIG, surroundings="joined")
    plain, tree = build_tree(graph), surface_tree(place.surface, graph, config=config)
    for name in ("parents", "heights", "sizes"):
        assert np.array_equal(getattr(plain, name), getattr(tree, name))
    assert preset("paper").segment.surroundings == "joined"


@pytest.mark.parametrize("engine", ENGINES)
def test_bounded_scenes_have_the_trees_that_they_had(toy: Toy, toy_surface: Surface, engine: Engine) -> None:
    features = np.random.default_rng(0).normal(size=(len(toy_surface), 4)).astype(np.float32)
    features /= np.linalg.norm(features, axis=1, keepdims=True)
    graph = build_graph(toy_surface, engine=engine, scene=toy.scene, features=features, config=CONFIG)
    plain, tree = build_tree(graph), surface_tree(toy_surface, graph)
    assert tree.surroundings is None
    for name in ("parents", "heights", "sizes"):
        assert getattr(plain, name).tobytes() == getattr(tree, name).tobytes()


def test_nothing_is_far_without_a_box_or_where_next_to_nothing_or_nearly_all_is(place: Place) -> None:
    tree = build_tree(place.graph("field"))
    assert far_points(place.surface, tree).any()
    for inner in (np.inf, 10.0, 0.01):
        assert not far_points(replace(place.surface, inner=inner), tree).any()


def test_a_heap_of_nearly_all_beside_crumbs_is_opened_before_it_is_judged(monkeypatch: pytest.MonkeyPatch) -> None:
    near, far, crumbs = np.arange(400), np.arange(400, 800), np.arange(800, 840)
    points = np.zeros((840, 3), np.float32)
    points[far, 0] = 1.0
    ends = [*pairwise(near), *pairwise(far), *crumbs.reshape(-1, 2), (0, 400)]
    heights = [0.1] * (2 * 399 + 20) + [0.5]
    ends += [(0, crumb) for crumb in crumbs[::2]]  # pairs of points, which join the heap one after the other
    heights += np.linspace(0.6, 0.9, 20).tolist()
    graph = uf.AffinityGraph(840, np.array(ends), heights, np.ones(len(ends)), bound=1.0)
    surface = Surface(points, np.zeros_like(points), np.zeros((840, 3), np.uint8), np.zeros((0, 105), np.uint8), 0.01,
                      inner=0.5)  # fmt: skip
    tree = build_tree(graph, linkage="single")
    heap = cut(tree, 0.55)
    assert (len(np.unique(heap)), np.bincount(heap).max()) == (21, 800)
    monkeypatch.setattr("ultrafield.lift.surroundings.levels", lambda tree: np.array([0.05, 0.3, 0.55, 0.9]))
    assert np.array_equal(np.flatnonzero(far_points(surface, tree)), far)


def test_the_library_call_names_the_node_and_stores_it(place: Place, tmp_path: Path) -> None:
    segmentation = uf.segment(place.surface, place.scene, CONFIG, engine="lift")
    ((node, name),) = segmentation.names.items()
    assert (node, name) == (segmentation.tree.surroundings, "surroundings")
    segmentation.save(tmp_path / "saved")
    again = uf.open_run(tmp_path / "saved")
    assert again.names == {node: "surroundings"}
    assert np.array_equal(again.levels, segmentation.levels)
    save_tree(tmp_path / "tree.npz", segmentation.tree)
    assert load_tree(tmp_path / "tree.npz").surroundings == node
