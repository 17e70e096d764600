"""Label maps against a brute-force vote, and on the toy scene from where no training camera stood."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from toy_scene import TO_USER, Toy, render, ring

from ultrafield.cameras import RenderedView
from ultrafield.config import SegmentConfig
from ultrafield.labels import ViewLabeller, label_points, label_views, view_points
from ultrafield.labels.stack import LabelStack
from ultrafield.labels.views import cut_table, vote
from ultrafield.lift import build_graph
from ultrafield.metrics import normalized_covering
from ultrafield.surface import Surface
from ultrafield.ultrametric import AffinityGraph, Tree, build_tree, cut, levels, spread_cuts


def line(count: int = 5) -> tuple[Surface, Tree]:
    """Points at x = 0, 1, 2, …; {0, 1} merge at 0.1, {2, 3, …} step by step from 0.2, all at 1."""
    points = np.zeros((count, 3), np.float32)
    points[:, 0] = np.arange(count)
    parents, heights, sizes = np.arange(2 * count - 1), np.zeros(2 * count - 1, np.float32), np.ones(2 * count - 1, int)
    parents[[0, 1]], heights[count], sizes[count] = count, 0.1, 2
    below = 2
    for node in range(count + 1, 2 * count - 2):
        parents[[below, node - count + 2]] = node
        heights[node], sizes[node], below = 0.2 + 0.01 * node, node - count + 1, node
    parents[[count, below]] = 2 * count - 2
    heights[-1], sizes[-1] = 1.0, count
    surface = Surface(
        points,
        np.zeros((count, 3), np.float32),
        np.zeros((count, 3), np.uint8),
        np.zeros((1, (count + 7) // 8), np.uint8),
        1.0,
    )
    return surface, Tree(parents, heights, sizes)


def slow_labels(table: np.ndarray, neighbors: np.ndarray) -> np.ndarray:
    """Majority by counting; ties to the nearest."""
    labels = np.full((table.shape[1], *neighbors.shape[:2]), -1)
    for row, column in np.ndindex(neighbors.shape[:2]):
        voters = [voter for voter in neighbors[row, column] if voter >= 0]
        for level in range(table.shape[1]):
            votes = [int(table[voter, level]) for voter in voters]
            if votes:
                labels[level, row, column] = max(votes, key=lambda vote: (votes.count(vote), -votes.index(vote)))
    return labels


@settings(deadline=None)
@given(st.integers(0, 500), st.integers(1, 17), st.integers(1, 9))
def test_labels_by_counting(seed: int, voters: int, cuts: int) -> None:
    rng = np.random.default_rng(seed)
    table = rng.integers(0, 4, (9, cuts)).astype(np.int32)
    neighbors = rng.integers(0, 9, (3, 4, voters)).astype(np.int32)
    present = rng.integers(0, voters + 1, (3, 4, 1))
    neighbors[np.arange(voters) >= present] = -1
    found = vote(LabelStack.of(table.T[:, :, None]), neighbors)
    assert found.columns.dtype == np.int32
    assert len(np.unique(found.columns, axis=0)) == len(found.columns) == found.index.max() + 1
    np.testing.assert_array_equal(found.expand(), slow_labels(table, neighbors))


@pytest.mark.parametrize("workers", [-1, 1])
@pytest.mark.parametrize(("count", "voters", "radius"), [(1, 5, 3.0), (7, 1, 2.0), (301, 5, 1.5), (301, 8, 4.0)])
def test_labels_of_a_random_surface_by_brute_force(count: int, voters: int, radius: float, workers: int) -> None:
    rng = np.random.default_rng(count + voters)
    voxel = 0.05
    points = rng.random((count, 3), np.float32)
    surface = Surface(points, points, np.zeros((count, 3), np.uint8), np.zeros((1, (count + 7) // 8), np.uint8), voxel)
    edges = np.stack(np.triu_indices(count, 1), axis=1)
    lengths = np.linalg.norm(points[edges[:, 0]] - points[edges[:, 1]], axis=1).astype(np.float32)
    graph = AffinityGraph(count, edges, lengths, np.ones(len(edges), np.float32), 2.0)
    tree = build_tree(graph, linkage="single")
    heights = np.linspace(0.0, tree.heights[-1], 9).astype(np.float32)
    config = SegmentConfig(label_neighbors=voters, label_radius=radius)
    pixels = rng.random((11, 13, 3), np.float32)
    pixels[rng.random((11, 13)) < 0.2] = np.nan
    distance = np.linalg.norm(pixels[:, :, None].astype(np.float64) - points, axis=3)
    distance[~(distance < radius * voxel)] = np.inf
    nearest = np.argsort(distance, axis=2)[:, :, :voters].astype(np.int32)
    nearest[~np.isfinite(np.take_along_axis(distance, nearest, axis=2))] = -1
    found = ViewLabeller(surface, tree, heights, config, workers=workers)(pixels)
    np.testing.assert_array_equal(found, slow_labels(cut_table(tree, heights), nearest))


def test_nearest_points_within_the_radius_vote() -> None:
    surface, tree = line()
    labeller = ViewLabeller(surface, tree, np.array([0.15]), SegmentConfig(label_neighbors=3, label_radius=1.7))
    points = np.array([[[0.4, 0, 0], [4.2, 0, 0], [9.0, 0, 0], [np.nan] * 3]], np.float32)
    assert labeller.nearest(points).tolist() == [[[0, 1, 2], [4, 3, -1], [-1, -1, -1], [-1, -1, -1]]]
    assert labeller(points).tolist() == [[[5, 4, -1, -1]]]  # 0.15: {0, 1} is node 5, 3 and 4 are still leaves


@pytest.mark.parametrize(("rows", "columns"), [(1, 1), (4, 3), (4096, 16)])
def test_a_table_of_cuts_is_filled_in_parts(monkeypatch: pytest.MonkeyPatch, rows: int, columns: int) -> None:
    monkeypatch.setattr("ultrafield.labels.views._ROWS_AT_ONCE", rows)
    monkeypatch.setattr("ultrafield.labels.views._CUTS_AT_ONCE", columns)
    _, tree = line(13)
    for count in (0, 1, 7, 18):
        heights = np.linspace(0.0, 1.0, count)
        table = cut_table(tree, heights)
        assert table.dtype == np.int32
        assert table.shape == (13, count)
        for column, height in enumerate(heights):
            np.testing.assert_array_equal(table[:, column], cut(tree, height))


def test_cuts_share_ids_and_are_nested() -> None:
    surface, tree = line(9)
    heights = np.array([0.0, 0.15, 0.9, 1.0])
    table = cut_table(tree, heights)
    for column, height in enumerate(heights):
        np.testing.assert_array_equal(table[:, column], cut(tree, height))
    labels = next(label_points(tree, surface, [surface.points.reshape(3, 3, 3)], heights))
    assert labels.shape == (4, 3, 3)
    assert (labels[-1] == 16).all()


def test_more_voters_than_points_are_fine() -> None:
    surface, tree = line(5)
    labeller = ViewLabeller(surface, tree, np.array([1.0]), SegmentConfig(label_neighbors=20, label_radius=50.0))
    assert labeller(surface.points[None])[0].tolist() == [[8] * 5]


def test_views_are_labelled_one_at_a_time_whatever_their_size() -> None:
    surface, tree = line()
    sizes = [(1, 5), (4, 2), (1, 1)]
    views = (np.zeros((*size, 3), np.float32) for size in sizes)
    found = label_points(tree, surface, views, np.array([0.5, 1.0]))
    assert [labels.shape for labels in found] == [(2, *size) for size in sizes]


def test_the_tree_must_be_the_surfaces() -> None:
    surface, _ = line(5)
    with pytest.raises(ValueError, match="tree: expected 5 leaves, one per surface point, got 6"):
        ViewLabeller(surface, line(6)[1], np.array([0.5]))
    with pytest.raises(ValueError, match=r"points: expected shape \[\*, \*, 3\], got \[5, 3\]"):
        ViewLabeller(*line(5), np.array([0.5]))(surface.points)


def test_a_pixels_point_is_in_the_frame_of_the_cameras(toy: Toy) -> None:
    view = toy.views[0]
    small = RenderedView(view.color[::2, ::2], view.depth[::2, ::2], view.opacity[::2, ::2])
    points = view_points(small.depth, toy.cameras, 0)
    assert points.shape == (24, 24, 3)
    np.testing.assert_array_equal(np.isnan(points[..., 0]), small.depth == 0)
    along = (points - toy.cameras.c2w[0, :, 3]) @ toy.cameras.c2w[0, :, 2]
    np.testing.assert_allclose(along[small.depth > 0], small.depth[small.depth > 0], rtol=1e-4)


def test_new_views_are_labelled_like_the_truth(toy: Toy, toy_surface: Surface) -> None:
    tree = build_tree(build_graph(toy_surface, engine="lift", scene=toy.scene))
    heights = spread_cuts(tree, 20, levels(tree))
    cameras = ring(3, turn=0.3)
    views, ids = render(cameras)
    points = [view_points(view.depth, cameras, index) for index, view in enumerate(views)]
    covering = [
        normalized_covering(labels, truth)
        for labels, truth in zip(label_points(tree, toy_surface, points, heights), ids, strict=True)
    ]
    assert np.mean(covering) > 0.93


def test_cameras_and_depth_of_the_users_frame_give_the_labels_of_rendered_views(toy: Toy, toy_surface: Surface) -> None:
    tree = build_tree(build_graph(toy_surface, engine="lift", scene=toy.scene))
    cameras = ring(3, turn=0.3)
    views, _ = render(cameras)
    points = [view_points(view.depth, cameras, index) for index, view in enumerate(views)]
    expected = label_points(tree, toy_surface, points, levels(tree))
    depths = [np.where(view.depth > 0, TO_USER.scale * view.depth, np.nan) for view in views]
    found = label_views(tree, toy_surface, cameras.moved(TO_USER), depths=depths)
    for labels, others in zip(found, expected, strict=True):
        assert (labels == others).mean() > 0.999  # the cameras went to the user's frame and back
        assert labels.max() >= len(toy_surface)


def test_a_field_and_depths_exclude_each_other(toy: Toy) -> None:
    surface, tree = line()
    with pytest.raises(ValueError, match="depths: expected either a field or depth maps, got none"):
        label_views(tree, surface, toy.cameras)
    with pytest.raises(ValueError, match="depths: expected 10, one per camera, got 2"):
        label_views(tree, surface, toy.cameras, depths=np.zeros((2, 4, 4)))
    with pytest.raises(ValueError, match=r"depths\[1\]: expected shape \[\*, \*\], got \[4\]"):
        label_views(tree, surface, toy.cameras[[0, 1]], depths=[np.zeros((4, 4)), np.zeros(4)])
