"""Support of merges against a count over all edges."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ultrafield.ultrametric import AffinityGraph, EditedTree, build_tree, child_nodes, leaves, merge_evidence


def random_graph(seed):
    generator = np.random.default_rng(seed)
    nodes = int(generator.integers(1, 20))
    edges = generator.integers(0, nodes, (int(generator.integers(0, 50)), 2))
    edges = edges[edges[:, 0] != edges[:, 1]]
    values = generator.random(len(edges)).astype(np.float32)
    return AffinityGraph(nodes, edges, values, generator.integers(0, 5, len(edges)).astype(np.float32), 1.0)


@settings(deadline=None, max_examples=60)
@given(st.integers(0, 2**32 - 1), st.sampled_from(["single", "average"]))
def test_every_edge_supports_the_merge_that_closed_its_border(seed, linkage):
    graph = random_graph(seed)
    tree = build_tree(graph, linkage=linkage)
    support = merge_evidence(tree, graph)
    assert len(support.edges) == len(support.evidence) == graph.num_nodes - 1
    for row, (a, b) in enumerate(child_nodes(tree)):
        one, other = np.isin(graph.edges, leaves(tree, a)), np.isin(graph.edges, leaves(tree, b))
        across = (one[:, 0] & other[:, 1]) | (one[:, 1] & other[:, 0])
        assert support.edges[row] == across.sum()
        assert support.evidence[row] == graph.evidence[across].sum()  # small integers: exact in any order


@settings(deadline=None, max_examples=60)
@given(st.integers(0, 2**32 - 1))
def test_average_heights_are_means_over_the_supporting_edges(seed):
    graph = random_graph(seed)
    tree = build_tree(graph, linkage="average", weights="count")
    weighted = AffinityGraph(graph.num_nodes, graph.edges, graph.dissimilarity, graph.dissimilarity, 1.0)
    support = merge_evidence(tree, weighted)
    joined = support.edges > 0
    means = support.evidence[joined] / support.edges[joined]
    np.testing.assert_allclose(tree.heights[graph.num_nodes :][joined], means, rtol=1e-6)  # float32 heights


def test_parts_joined_without_an_edge_have_no_support():
    graph = AffinityGraph(3, np.array([[0, 1]]), np.array([0.5], np.float32), np.array([4.0], np.float32), 1.0)
    support = merge_evidence(build_tree(graph), graph)
    assert support.edges.tolist() == [1, 0]
    assert support.evidence.tolist() == [4, 0]


def test_edited_trees_have_support_too():
    edges = np.array([[0, 1], [1, 2], [2, 3]])
    values = np.array([0.25, 0.5, 0.75], np.float32)
    graph = AffinityGraph(4, edges, values, np.array([1, 2, 4], np.float32), 1.0)
    edited = EditedTree(build_tree(graph))
    joint = edited.merge([3, 2])
    support = merge_evidence(edited.tree, graph)
    by_id = dict(zip(edited.ids[4:].tolist(), support.evidence.tolist(), strict=True))
    assert by_id == {4: 1, joint: 4, 6: 2}


def test_a_graph_of_another_size():
    graph = AffinityGraph(2, np.array([[0, 1]]), np.array([0.5], np.float32), np.array([4.0], np.float32), 1.0)
    tree = build_tree(graph)
    with pytest.raises(ValueError, match="graph: expected the tree's 2 leaves as nodes, got 3"):
        merge_evidence(tree, AffinityGraph(3, graph.edges, graph.dissimilarity, graph.evidence, 1.0))
