"""Nodes that words may mean, and their best views."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from toy_scene import Toy

import ultrafield as uf
from ultrafield.config import SegmentConfig
from ultrafield.pipeline.film import node_points
from ultrafield.pipeline.word_nodes import WordNodes, best_views, without_relatives
from ultrafield.ultrametric import EditedTree


@pytest.fixture(scope="module")
def segmentation(toy: Toy) -> uf.Segmentation:
    depths = [view.depth * toy.scene.to_user.scale for view in toy.views]
    surface = uf.surface_from_depth(depths, toy.scene.train.cameras)
    return uf.segment(surface, toy.scene, SegmentConfig(superpoints=200))


def test_masks_and_counts_are_those_of_a_nodes_points(segmentation: uf.Segmentation) -> None:
    nodes = WordNodes.of(segmentation)
    places = nodes.of_point[None, :].copy()
    places[0, ::7] = -1
    counts = nodes.counts(places)
    assert len(nodes) > 3
    for node in range(len(nodes)):
        inside = node_points(segmentation, int(nodes.ids[node]))
        expected = inside & (places[0] >= 0)
        np.testing.assert_array_equal(nodes.mask(places, node)[0], expected)
        assert counts[node] == expected.sum()
    assert nodes.counts(np.full((3, 3), -1)).tolist() == [0] * len(nodes)


def test_keys_tell_points_whatever_the_tree_around_them(segmentation: uf.Segmentation) -> None:
    before = WordNodes.of(segmentation)
    assert len(np.unique(before.keys)) == len(before)
    tops = np.flatnonzero(before.parents == 0)
    inner = [node for node in np.flatnonzero(before.parents > 0) if before.parents[node] != tops[0]]
    edits = EditedTree(segmentation.tree)
    edits.merge([int(before.ids[inner[0]]), int(before.ids[tops[0]])])
    edited = segmentation.with_edits(edits)
    after = WordNodes.of(edited)
    points = {
        int(key): node_points(edited, int(node)).tobytes() for key, node in zip(after.keys, after.ids, strict=True)
    }
    shared = 0
    for key, node in zip(before.keys, before.ids, strict=True):
        if int(key) in points:
            shared += 1
            assert points[int(key)] == node_points(segmentation, int(node)).tobytes()
    assert len(after) > shared
    assert shared > len(before) // 2


def test_best_views_are_those_with_most_pixels() -> None:
    counts = np.array([[5, 0, 20], [9, 3, 20], [9, 0, 1], [30, 0, 20]])
    assert [views.tolist() for views in best_views(counts, 3, 4)] == [[3, 1, 2], [], [0, 1, 3]]
    assert [views.tolist() for views in best_views(counts, 9, 1)] == [[3, 1, 2, 0], [1], [0, 1, 3, 2]]


@given(st.data())
@settings(max_examples=100, deadline=None)
def test_of_relatives_with_one_name_the_best_one_keeps_it(data: st.DataObject) -> None:
    count = data.draw(st.integers(1, 12))
    parents = np.array([-1, *(data.draw(st.integers(0, node - 1)) for node in range(1, count))])
    names = [data.draw(st.integers(-1, 2)) for _ in range(count)]
    scores = [data.draw(st.sampled_from([0.1, 0.5, 0.6, 0.9])) for _ in range(count)]
    kept = without_relatives(scores, names, parents)
    above = []
    for node in range(count):
        path, place = set(), int(parents[node])
        while place >= 0:
            path.add(place)
            place = int(parents[place])
        above.append(path)
    relatives = [[b for b in range(count) if b in above[a] or a in above[b]] for a in range(count)]
    for node in range(count):
        rivals = [b for b in relatives[node] if names[b] == names[node]]
        if kept[node]:
            assert names[node] >= 0
            assert not any(kept[b] for b in rivals)
        elif names[node] >= 0:
            assert any(scores[b] >= scores[node] for b in rivals)
