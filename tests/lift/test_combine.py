"""Features as one more view: sums against all pairs of points, calibration, and who decides where."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from toy_scene import Toy

from ultrafield.config import SegmentConfig
from ultrafield.lift import build_graph
from ultrafield.lift.combine import FeatureView, combined_edges, cosines, feature_view, with_features
from ultrafield.lift.edges import neighbor_edges
from ultrafield.lift.kernels.rows_cpu import Rows
from ultrafield.lift.memberships import memberships
from ultrafield.lift.superpoints import join_regions
from ultrafield.masks import build_mask_set
from ultrafield.surface import Surface
from ultrafield.ultrametric import AffinityGraph


def unit(features: np.ndarray) -> np.ndarray:
    return (features / np.linalg.norm(features, axis=1, keepdims=True)).astype(np.float32)


def random_features(count: int, channels: int = 5) -> np.ndarray:
    return unit(np.random.default_rng(3).normal(size=(count, channels)))


def test_region_sums_are_those_of_all_pairs_of_points(toy: Toy, toy_surface: Surface) -> None:
    count, regions = len(toy_surface), 7
    view = FeatureView(random_features(count), slope=0.8, weight=0.3)
    labels = np.random.default_rng(0).integers(0, regions, count)
    rows = memberships(toy_surface, toy.scene, labels, regions)
    more = with_features(rows, labels, view)

    def table(of: Rows) -> np.ndarray:
        dense = np.zeros((regions, len(of.weights)))
        for region in range(regions):
            row = slice(of.first[region], of.first[region] + of.length[region])
            dense[region, of.columns[row]] = of.counts[row]
        return dense

    np.testing.assert_array_equal(table(more)[:, : len(rows.weights)], table(rows))
    first, second = np.flatnonzero(labels == 2), np.flatnonzero(labels == 5)
    pairs = np.stack(np.meshgrid(first, second, indexing="ij"), -1).reshape(-1, 2)
    both, either = (votes.sum() for votes in view.votes(pairs))
    added = slice(len(rows.weights), None)
    dense = table(more)[:, added]
    found = float((dense[2] * dense[5] * more.weights[added]).sum())
    assert found == pytest.approx(both, rel=1e-5)  # float32 features, summed in another order
    seen, weighted = np.hsplit(more.sums, 2)
    product = weighted[2, -1] * seen[5, -1] + seen[2, -1] * weighted[5, -1]
    assert product - found == pytest.approx(either, rel=1e-5)


def test_regions_of_one_feature_are_equal(toy: Toy, toy_surface: Surface) -> None:
    count, regions = len(toy_surface), 40
    labels = np.random.default_rng(0).integers(0, regions, count)
    edges = np.stack([np.arange(count - 1), np.arange(1, count)], axis=1)
    graph = AffinityGraph(count, edges, np.full(len(edges), 0.5), np.ones(len(edges)), 1.0)
    view = FeatureView(np.tile(random_features(1), (count, 1)), slope=0.8, weight=0.3)
    train = toy.scene.train
    views = tuple(item.changed(masks=build_mask_set(np.ones((1, *item.shape), bool))) for item in train)
    scene = replace(toy.scene, splits={"train": replace(train, views=views)})
    rows = with_features(memberships(toy_surface, scene, labels, regions), labels, view)
    np.testing.assert_array_equal(join_regions(graph, labels, rows).dissimilarity, 0.0)


def test_cosines_by_their_definition() -> None:
    features = random_features(40)
    pairs = np.random.default_rng(1).integers(0, 40, (90, 2))
    np.testing.assert_allclose(cosines(features, pairs), (features @ features.T)[tuple(pairs.T)], atol=1e-6)
    assert len(cosines(features, np.zeros((0, 2), np.int64))) == 0


def test_calibration_follows_what_the_masks_say(toy: Toy, toy_surface: Surface, toy_ids: np.ndarray) -> None:
    right = np.eye(3, dtype=np.float32)[toy_ids - 1]
    angle = np.deg2rad(20)  # the same partition, much closer together
    near = unit(np.array([[0.0, 0.0, 1.0]]) + np.tan(angle) * right)
    slopes = [feature_view(toy_surface, toy.scene, features).slope for features in (right, near)]
    assert 0.7 < slopes[0] < 1.1
    for features, slope in zip((right, near), slopes, strict=True):
        view = feature_view(toy_surface, toy.scene, features)
        across = np.array([[np.flatnonzero(toy_ids == 1)[0], np.flatnonzero(toy_ids == 2)[0]]])
        assert view.slope == slope  # the same pairs are drawn each time
        within = np.flatnonzero(toy_ids == 2)[None, :2]
        assert view.votes(within)[0] == pytest.approx(view.weight, rel=1e-5)
        assert view.votes(across)[0] < 0.6 * view.weight
    assert slopes[1] > 2 * slopes[0]


def test_features_that_are_equal_everywhere_or_unrelated_to_masks(toy: Toy, toy_surface: Surface) -> None:
    equal = np.tile(np.array([[1.0, 0.0]], np.float32), (len(toy_surface), 1))
    assert feature_view(toy_surface, toy.scene, equal).slope == 0.0
    opposed = unit(np.random.default_rng(2).choice([-1.0, 1.0], (len(toy_surface), 1)))
    assert 0.0 <= feature_view(toy_surface, toy.scene, opposed).slope < 0.5


def test_votes_decide_where_masks_see_and_features_where_none_does(
    toy: Toy, toy_surface: Surface, toy_ids: np.ndarray
) -> None:
    edges = neighbor_edges(toy_surface, 16)
    ends = toy_ids[edges]
    border, inside = ends[:, 0] != ends[:, 1], ends[:, 0] == ends[:, 1]
    weight = feature_view(toy_surface, toy.scene, random_features(len(toy_surface))).weight

    # Features that know nothing of the border, and see another one inside every box.
    half = (toy_surface.points[:, 0] > np.median(toy_surface.points[:, 0])).astype(int)
    wrong = FeatureView(np.eye(2, dtype=np.float32)[half], slope=1.0, weight=weight)
    graph = combined_edges(toy_surface, edges, toy.scene, wrong)
    other = half[edges[:, 0]] != half[edges[:, 1]]
    assert (inside & other).sum() > 10
    assert graph.dissimilarity[border & ~other].mean() > graph.dissimilarity[inside & other].mean() + 0.2

    # The same surface where no view sees anything: only the features are left.
    blind = replace(toy_surface, visible=toy_surface.visible.copy())
    blind.visible[:, : blind.visible.shape[1] // 2] = 0  # eight points a byte
    unseen = (edges < 8 * (blind.visible.shape[1] // 2)).all(axis=1)
    right = FeatureView(np.eye(3, dtype=np.float32)[toy_ids - 1], slope=1.0, weight=weight)
    graph = combined_edges(blind, edges, toy.scene, right)
    assert (unseen & border).any()
    assert (unseen & inside).any()
    np.testing.assert_allclose(graph.dissimilarity[unseen & border], 1.0)
    np.testing.assert_allclose(graph.dissimilarity[unseen & inside], 0.0, atol=1e-6)
    np.testing.assert_allclose(graph.evidence[unseen & inside], weight, rtol=1e-6)


@pytest.mark.parametrize("patches", [0, 200])
def test_the_boxes_are_told_apart_with_any_number_of_patches(
    toy: Toy, toy_surface: Surface, toy_ids: np.ndarray, patches: int
) -> None:
    features = np.eye(3, dtype=np.float32)[toy_ids - 1]
    config = SegmentConfig(superpoints=patches)
    graph = build_graph(toy_surface, engine="both", scene=toy.scene, features=features, config=config)
    ends = toy_ids[graph.edges]
    within, across = ends[:, 0] == ends[:, 1], ends[:, 0] != ends[:, 1]
    assert graph.dissimilarity[within].mean() < 0.1
    assert graph.dissimilarity[across].mean() > 0.7
    assert graph.bound == 1.0
    assert graph.dissimilarity.dtype == graph.evidence.dtype == np.float32
    assert ((graph.dissimilarity >= 0) & (graph.dissimilarity <= 1)).all()


def test_opposite_features_stay_within_the_bound(toy: Toy, toy_surface: Surface, toy_ids: np.ndarray) -> None:
    features = np.where(toy_ids == 1, 1.0, -1.0)[:, None].astype(np.float32)
    graph = build_graph(toy_surface, engine="both", scene=toy.scene, features=features)
    assert 0.5 < graph.dissimilarity.max() <= 1.0
