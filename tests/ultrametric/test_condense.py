"""Condensed trees against a recursive definition."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ultrafield.errors import ConfigError
from ultrafield.ultrametric import AffinityGraph, build_tree, child_nodes, condense, leaves


@st.composite
def trees(draw):
    n = draw(st.integers(1, 40))
    generator = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    edges = np.stack([np.arange(n - 1), np.arange(1, n)], axis=1)
    values = (generator.integers(0, 9, n - 1) / 8).astype(np.float32)
    return build_tree(AffinityGraph(n, edges, values, np.ones_like(values), 1.0), linkage="single")


def recurse(tree, min_size):
    """Clusters as {top node: (parent, birth, death, stability)} and the cluster of each leaf, by the definition."""
    children, n = child_nodes(tree), tree.num_leaves
    clusters, of_leaf = {}, np.full(n, -1)

    def follow(top, parent, death):
        stability, node = 0.0, top
        clusters[top] = None  # keeps the order of discovery
        of_leaf[leaves(tree, top)] = top
        while True:
            height = float(tree.heights[node])
            large = [child for child in children[node - n] if tree.sizes[child] >= min_size] if node >= n else []
            if len(large) != 1:
                break
            stability += (tree.sizes[node] - tree.sizes[large[0]]) * (death - height)
            node = large[0]
        stability += tree.sizes[node] * (death - height)
        clusters[top] = (parent, height, death, stability)
        for child in large:
            follow(int(child), top, height)

    follow(len(tree.parents) - 1, -1, float(tree.heights[-1]))
    return clusters, of_leaf


@settings(deadline=None, max_examples=100)
@given(trees(), st.integers(1, 6))
def test_condensed_tree_is_the_definition(tree, min_size):
    found = condense(tree, min_size)
    clusters, of_leaf = recurse(tree, min_size)
    assert sorted(found.nodes.tolist()) == sorted(clusters)
    for index, node in enumerate(found.nodes.tolist()):
        parent, birth, death, stability = clusters[node]
        assert (found.nodes[found.parents[index]] if found.parents[index] >= 0 else -1) == parent
        assert found.parents[index] < index
        assert (found.birth[index], found.death[index]) == (birth, death)
        assert found.stability[index] == pytest.approx(stability, abs=1e-9)
        assert found.sizes[index] == tree.sizes[node]
    np.testing.assert_array_equal(found.nodes[found.of_leaf], of_leaf)


def test_two_clusters_and_a_straggler():
    #  {0 1 2} and {3 4 5} join at 0.75; leaf 6 joins the second one at 0.5
    edges = [[0, 1], [1, 2], [2, 3], [3, 4], [4, 5], [5, 6]]
    values = np.array([0.125, 0.125, 0.75, 0.25, 0.25, 0.5], np.float32)
    tree = build_tree(AffinityGraph(7, np.array(edges), values, np.ones_like(values), 1.0), linkage="single")
    found = condense(tree, 3)
    assert len(found) == 3
    assert found.nodes.tolist() == [12, 8, 11]
    assert found.parents.tolist() == [-1, 0, 0]
    assert found.birth.tolist() == [0.75, 0.125, 0.25]
    assert found.death.tolist() == [0.75, 0.75, 0.75]
    assert found.sizes.tolist() == [7, 3, 4]
    assert found.stability.tolist() == [0, 3 * 0.625, 3 * 0.5 + 0.25]
    assert found.of_leaf.tolist() == [1, 1, 1, 2, 2, 2, 2]


def test_too_small_a_tree_is_one_cluster():
    tree = build_tree(AffinityGraph(2, np.array([[0, 1]]), np.full(1, 0.5, np.float32), np.ones(1), 1.0))
    found = condense(tree, 10)
    assert found.nodes.tolist() == [2]
    assert found.of_leaf.tolist() == [0, 0]


def test_inverse_density():
    edges = [[0, 1], [1, 2], [2, 3], [3, 4], [4, 5], [5, 6]]
    values = np.array([0.125, 0.125, 0.75, 0.25, 0.25, 0.5], np.float32)
    tree = build_tree(AffinityGraph(7, np.array(edges), values, np.ones_like(values), 1.0), linkage="single")
    linear, inverse = condense(tree, 3), condense(tree, 3, density="inverse")
    for name in ("nodes", "parents", "birth", "death", "sizes", "of_leaf"):
        np.testing.assert_array_equal(getattr(linear, name), getattr(inverse, name))
    np.testing.assert_allclose(inverse.stability, [0, 3 * (8 - 4 / 3), 3 * (4 - 4 / 3) + (2 - 4 / 3)], rtol=1e-12)


def test_inverse_density_needs_positive_heights():
    tree = build_tree(AffinityGraph(3, np.array([[0, 1], [1, 2]]), np.array([0.0, 0.5], np.float32), np.ones(2), 1.0))
    for min_size in (1, 2):
        with pytest.raises(ValueError, match="density: 'inverse' needs a min_size of at least 2 and merges at heights"):
            condense(tree, min_size, density="inverse")
    with pytest.raises(ConfigError, match="density: expected one of linear, inverse, got 'log'"):
        condense(tree, 2, density="log")


def test_bad_size():
    tree = build_tree(AffinityGraph(1, np.zeros((0, 2), int), np.zeros(0, np.float32), np.zeros(0), 1.0))
    with pytest.raises(ValueError, match="min_size: expected at least 1, got 0"):
        condense(tree, 0)
