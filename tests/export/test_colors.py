"""Colours: fixed, apart from each other, and shades of the parent's."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ultrafield.export import node_colors
from ultrafield.export.colors import oklch_to_srgb
from ultrafield.ultrametric import AffinityGraph, Tree, build_tree, condense, cut


def random_tree(seed: int, count: int) -> Tree:
    rng = np.random.default_rng(seed)
    edges = np.stack([np.arange(count - 1), np.arange(1, count)], axis=1)
    heights = rng.random(count - 1).astype(np.float32)
    return build_tree(AffinityGraph(count, edges, heights, np.ones(count - 1, np.float32), 1.0), linkage="single")


def test_the_runs_of_the_hand_made_tree_are_told_apart(tree: Tree) -> None:
    colors = node_colors(tree, min_size=15).astype(int)
    assert colors.shape == (179, 3)
    for height, count in ((0.5, 2), (0.1, 3)):
        shown = colors[np.unique(cut(tree, height))]
        assert len(shown) == count
        for index in range(count):
            others = np.delete(shown, index, axis=0)
            assert np.abs(others - shown[index]).max(axis=1).min() > 40


def test_children_are_nearer_to_their_parent_than_to_another_object(tree: Tree) -> None:
    colors = node_colors(tree, min_size=15).astype(float)
    condensed = condense(tree, 15)
    by_size = {int(size): colors[node] for node, size in zip(condensed.nodes, condensed.sizes, strict=True)}
    for part in (30, 20):
        assert np.linalg.norm(by_size[part] - by_size[50]) < np.linalg.norm(by_size[part] - by_size[40])


@settings(deadline=None)
@given(st.integers(0, 300), st.integers(1, 60), st.integers(1, 10))
def test_every_node_has_the_colour_of_its_smallest_cluster(seed: int, count: int, min_size: int) -> None:
    tree = random_tree(seed, count)
    colors, condensed = node_colors(tree, min_size=min_size), condense(tree, min_size)
    np.testing.assert_array_equal(colors, node_colors(tree, min_size=min_size))
    np.testing.assert_array_equal(colors[:count], colors[condensed.nodes[condensed.of_leaf]])
    for node in range(len(tree.parents)):
        cluster = node
        while cluster not in condensed.nodes:
            cluster = tree.parents[cluster]
        np.testing.assert_array_equal(colors[node], colors[cluster])


def test_known_colours_of_oklch() -> None:
    lightness = np.array([0.0, 1.0, 0.627955, 0.866440, 0.967983])
    hue = np.array([0.0, 0.0, 29.2339, 142.4953, 109.7692])
    chroma = (0.0, 0.0, 0.257683, 0.294827, 0.211006)  # black, white, and sRGB's red, green and yellow
    expected = [[0, 0, 0], [255, 255, 255], [255, 0, 0], [0, 255, 0], [255, 255, 0]]
    for index, color in enumerate(expected):
        found = oklch_to_srgb(lightness[index : index + 1], chroma[index], hue[index : index + 1])
        assert np.abs(found[0].astype(int) - color).max() <= 3


def test_what_srgb_cannot_show_keeps_hue_and_lightness() -> None:
    strong = oklch_to_srgb(np.array([0.7]), 5.0, np.array([140.0]))[0].astype(int)
    assert strong[1] == pytest.approx(strong.max())
    assert strong[1] - strong[[0, 2]].max() > 60


def test_a_single_leaf_has_a_colour() -> None:
    assert node_colors(Tree(np.array([0]), np.zeros(1, np.float32), np.ones(1, np.int64))).shape == (1, 3)
