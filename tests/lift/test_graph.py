"""Neighbours by brute force, dissimilarity by its definition, and guesses where nothing was seen."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from toy_scene import SIZE, Toy

from ultrafield.config import SegmentConfig
from ultrafield.errors import ConfigError, RunError
from ultrafield.lift import build_graph
from ultrafield.lift.edges import neighbor_edges
from ultrafield.lift.kernels.distances_cpu import edge_distances
from ultrafield.lift.vote_graph import fill_unseen
from ultrafield.lift.votes import mask_votes
from ultrafield.masks import build_mask_set
from ultrafield.scene import Split
from ultrafield.surface import Surface
from ultrafield.surface.spacing import local_spacing


def cloud(points: np.ndarray, voxel: float = 1.0) -> Surface:
    count = len(points)
    return Surface(
        points.astype(np.float32),
        np.zeros((count, 3), np.float32),
        np.zeros((count, 3), np.uint8),
        np.zeros((0, (count + 7) // 8), np.uint8),
        voxel,
    )


@settings(deadline=None)
@given(st.integers(0, 500), st.integers(1, 40), st.integers(1, 8))
def test_neighbors_by_brute_force(seed: int, count: int, neighbors: int) -> None:
    points = np.random.default_rng(seed).uniform(0, 5, (count, 3)).astype(np.float32)
    distance = np.linalg.norm(points[:, None] - points[None], axis=2)
    np.fill_diagonal(distance, np.inf)
    expected = set()
    for first in range(count):
        for second in np.argsort(distance[first])[: min(neighbors, count - 1)]:
            expected.add((min(first, int(second)), max(first, int(second))))
    found = neighbor_edges(cloud(points), neighbors, reach=np.inf)
    assert [tuple(edge) for edge in found.tolist()] == sorted(expected)


def test_edges_do_not_jump_over_gaps() -> None:
    plane = np.stack([*np.meshgrid(np.arange(6.0), np.arange(6.0)), np.zeros((6, 6))], -1).reshape(-1, 3)
    points = np.concatenate([plane, plane + np.array([0, 0, 3.5])])
    edges = neighbor_edges(cloud(points), 30)
    assert ((edges < 36).sum(axis=1) != 1).all()  # the two sheets stay apart
    jumping = neighbor_edges(cloud(points), 71, reach=np.inf)
    assert len(jumping) == 72 * 71 // 2


def test_sparse_regions_keep_their_edges() -> None:
    far = 10.0 * np.stack([*np.meshgrid(np.arange(5.0), np.arange(5.0)), np.ones((5, 5))], -1).reshape(-1, 3)
    assert len(neighbor_edges(cloud(far), 4)) >= 40  # ten voxels apart, like everything around


def test_spacing_is_the_voxel_where_points_are_dense() -> None:
    distances = np.array([[0.5, 0.7, 0.9], [6.0, 7.0, 9.0], [1.0, np.inf, np.inf]])
    assert local_spacing(cloud(np.zeros((3, 3))), distances).tolist() == [1.0, 6.0, 1.0]
    assert local_spacing(cloud(np.zeros((1, 3))), np.zeros((1, 0))).tolist() == [1.0]


def test_coinciding_points_are_neighbours_and_no_point_is_its_own() -> None:
    edges = neighbor_edges(cloud(np.zeros((3, 3))), 2)
    assert edges.tolist() == [[0, 1], [0, 2], [1, 2]]


def test_votes_are_one_minus_the_share_of_common_masks(toy: Toy, toy_surface: Surface) -> None:
    graph = build_graph(toy_surface, engine="lift", scene=toy.scene, config=SegmentConfig(superpoints=None))
    both, either = mask_votes(toy_surface, graph.edges, toy.scene)
    seen = either > 0
    assert seen.mean() > 0.95
    np.testing.assert_allclose(graph.dissimilarity[seen], (1 - both[seen] / either[seen]).clip(0, 1), atol=1e-6)
    np.testing.assert_array_equal(graph.evidence, either.astype(np.float32))
    assert graph.bound == 1.0
    assert ((graph.dissimilarity >= 0) & (graph.dissimilarity <= 1)).all()


def test_lift_tells_the_boxes_apart(toy: Toy, toy_surface: Surface, toy_ids: np.ndarray) -> None:
    graph = build_graph(toy_surface, engine="lift", scene=toy.scene)
    ends = toy_ids[graph.edges]
    within, across = ends[:, 0] == ends[:, 1], ends[:, 0] != ends[:, 1]
    assert across.sum() > 50
    assert graph.dissimilarity[within].mean() < 0.05
    assert graph.dissimilarity[across].mean() > 0.8


def test_field_is_the_distance_of_features(toy_surface: Surface) -> None:
    features = np.random.default_rng(0).normal(size=(len(toy_surface), 8)).astype(np.float32)
    features /= np.linalg.norm(features, axis=1, keepdims=True)
    graph = build_graph(toy_surface, engine="field", features=features, config=SegmentConfig(neighbors=4))
    cosine = (features[graph.edges[:, 0]] * features[graph.edges[:, 1]]).sum(axis=1)
    np.testing.assert_allclose(graph.dissimilarity, np.sqrt(np.maximum(2 - 2 * cosine, 0)), atol=2e-3)
    assert (graph.evidence == 1).all()
    assert graph.bound == 2.0
    assert graph.dissimilarity.dtype == np.float32


def test_guesses_spread_from_what_is_known() -> None:
    #  0 --0.2-- 1 --?-- 2 --?-- 3    4 --?-- 5
    edges = np.array([[0, 1], [1, 2], [2, 3], [4, 5]])
    found = fill_unseen(6, edges, np.array([0.2, 9.0, 9.0, 9.0]), np.array([5, 0, 0, 0]))
    np.testing.assert_allclose(found, 0.2)
    #  two known edges at one node count by their evidence
    edges = np.array([[0, 1], [1, 2], [2, 3]])
    found = fill_unseen(4, edges, np.array([0.1, 0.7, 9.0]), np.array([3, 1, 0]))
    np.testing.assert_allclose(found, [0.1, 0.7, 0.7])
    edges = np.array([[0, 1], [1, 2], [1, 3]])
    found = fill_unseen(4, edges, np.array([0.1, 0.7, 9.0]), np.array([3, 1, 0]))
    np.testing.assert_allclose(found, [0.1, 0.7, (3 * 0.1 + 0.7) / 4])


def test_a_graph_without_any_evidence_stays_flat() -> None:
    edges = np.array([[0, 1], [1, 2]])
    assert fill_unseen(3, edges, np.array([1.0, 1.0]), np.array([0, 0])).tolist() == [0.0, 0.0]


@settings(deadline=None)
@given(st.integers(0, 300))
def test_guesses_lie_between_what_is_known(seed: int) -> None:
    rng = np.random.default_rng(seed)
    edges = np.unique(np.sort(rng.integers(0, 12, (20, 2)), axis=1), axis=0)
    edges = edges[edges[:, 0] != edges[:, 1]]
    values, evidence = rng.uniform(0.2, 0.9, len(edges)), rng.integers(0, 3, len(edges))
    found = fill_unseen(12, edges, values, evidence)
    known = evidence > 0
    np.testing.assert_array_equal(found[known], values[known])
    if known.any():
        assert (found >= values[known].min() - 1e-12).all()
        assert (found <= values[known].max() + 1e-12).all()


def test_masks_that_hold_no_point_are_an_error(toy: Toy, toy_surface: Surface) -> None:
    corner = np.zeros((1, SIZE, SIZE), bool)
    corner[0, 0, 0] = True
    views = tuple(replace(view, masks=build_mask_set(corner)) for view in toy.scene.train)
    scene = replace(toy.scene, splits={"train": Split(views, toy.cameras)})
    with pytest.raises(RunError, match="toy: no mask of any training view holds a point of the surface"):
        build_graph(toy_surface, engine="lift", scene=scene)


def test_what_is_missing_or_malformed_is_named(toy: Toy, toy_surface: Surface) -> None:
    with pytest.raises(ConfigError, match="engine: expected one of field, lift, both, got 'sam'"):
        build_graph(toy_surface, engine="sam")  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="scene: engine 'lift' needs it"):
        build_graph(toy_surface, engine="lift")
    with pytest.raises(ValueError, match="features: engine 'field' needs them"):
        build_graph(toy_surface, engine="field")
    features = np.ones((len(toy_surface), 1), np.float32)
    with pytest.raises(ValueError, match="scene: engine 'both' needs it"):
        build_graph(toy_surface, engine="both", features=features)
    with pytest.raises(ValueError, match="features: engine 'both' needs them"):
        build_graph(toy_surface, engine="both", scene=toy.scene)
    with pytest.raises(ValueError, match=r"features: expected shape \[\d+, \*\], got \[3, 8\]"):
        build_graph(toy_surface, engine="field", features=np.zeros((3, 8), np.float32))
    with pytest.raises(ValueError, match="features: expected finite numbers"):
        build_graph(toy_surface, engine="field", features=np.full((len(toy_surface), 2), np.nan))
    with pytest.raises(ValueError, match="neighbors: expected at least 1, got 0"):
        neighbor_edges(toy_surface, 0)
    for reach in (0.0, -1.0, float("nan")):
        with pytest.raises(ValueError, match="reach: expected a positive number, got"):
            build_graph(toy_surface, engine="field", features=features, reach=reach)


@pytest.mark.parametrize(("count", "channels"), [(0, 5), (50, 1), (300_000, 13)])  # the last on several threads
def test_distances_of_features_across_edges(count: int, channels: int) -> None:
    rng = np.random.default_rng(0)
    features = rng.normal(size=(400, channels)).astype(np.float32)
    edges = rng.integers(0, 400, (count, 2))
    wanted = np.linalg.norm(features[edges[:, 0]].astype(np.float64) - features[edges[:, 1]], axis=1)
    np.testing.assert_allclose(edge_distances(features, edges, 2.0), np.minimum(wanted, 2.0), rtol=1e-6, atol=1e-7)
