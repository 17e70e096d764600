"""Substantial sizes, and the cluster of every node, against climbing by hand."""

from __future__ import annotations

import numpy as np

from ultrafield.ultrametric import AffinityGraph, Tree, build_tree, condense
from ultrafield.ultrametric.substantial import cluster_of_nodes, substantial_size


def path_tree(count: int) -> Tree:
    edges = np.stack([np.arange(count - 1), np.arange(1, count)], axis=1)
    heights = np.random.default_rng(count).random(count - 1).astype(np.float32)
    return build_tree(AffinityGraph(count, edges, heights, np.ones(count - 1, np.float32), 1.0), linkage="single")


def test_a_thousandth_of_the_leaves_but_at_least_two() -> None:
    assert substantial_size(path_tree(50)) == 2
    assert substantial_size(path_tree(4500)) == 4
    assert substantial_size(path_tree(50), 9) == 9


def test_the_smallest_cluster_around_each_node() -> None:
    tree = path_tree(200)
    clusters = condense(tree, 5)
    index_of = {int(node): index for index, node in enumerate(clusters.nodes)}
    found = cluster_of_nodes(tree, clusters)
    for node in range(len(tree.parents)):
        climbing = node
        while climbing not in index_of:
            climbing = int(tree.parents[climbing])
        assert found[node] == index_of[climbing]
    np.testing.assert_array_equal(found[:200], clusters.of_leaf)


def test_a_single_leaf() -> None:
    tree = Tree(np.array([0]), np.zeros(1, np.float32), np.ones(1, np.int64))
    assert cluster_of_nodes(tree, condense(tree, 1)).tolist() == [0]
