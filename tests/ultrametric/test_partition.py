"""Mixed cuts against the sets of leaves they stand for."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ultrafield.ultrametric import AffinityGraph, build_tree, child_nodes, close_node, cut, leaves, mixed_cut, open_node


def chain(values):
    values = np.asarray(values, np.float32)
    count = len(values)
    edges = np.stack([np.arange(count), np.arange(1, count + 1)], axis=1)
    return build_tree(AffinityGraph(count + 1, edges, values, np.ones(count, np.float32), 1.0), linkage="single")


#          8          0.75
#      6       7      0.25, 0.5
#    5   2   3   4    0.125
SMALL = chain([0.125, 0.25, 0.75, 0.5])


@st.composite
def chains(draw):
    generator = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    return chain(generator.integers(0, 9, draw(st.integers(0, 20))) / 8)


@settings(deadline=None, max_examples=60)
@given(chains(), st.data())
def test_opening_and_closing(tree, data):
    nodes = np.array([len(tree.parents) - 1])
    children, n = child_nodes(tree), tree.num_leaves
    for _ in range(8):
        segments = [set(leaves(tree, int(node)).tolist()) for node in nodes]
        assert sum(map(len, segments)) == len(set().union(*segments)) == n
        expected = np.empty(n, int)
        for node, segment in zip(nodes, segments, strict=True):
            expected[list(segment)] = node
        np.testing.assert_array_equal(mixed_cut(tree, data.draw(st.permutations(nodes.tolist()))), expected)
        node = data.draw(st.sampled_from(nodes.tolist()))
        if node >= n and data.draw(st.booleans()):
            opened = open_node(tree, nodes, node)
            assert sorted({*nodes.tolist(), *children[node - n].tolist()} - {node}) == opened.tolist()
            assert set(close_node(tree, opened, node)) == set(nodes)
            nodes = opened
        else:
            parent = int(tree.parents[node])
            inside = set(leaves(tree, parent).tolist())
            kept = [other for other, segment in zip(nodes, segments, strict=True) if not segment <= inside]
            nodes = close_node(tree, nodes, parent)
            assert nodes.tolist() == sorted([*kept, parent])


@settings(deadline=None, max_examples=40)
@given(chains(), st.floats(0, 1.2), st.floats(0, 1.2))
def test_opening_at_a_height_is_a_cut_inside(tree, first, second):
    nodes = np.unique(cut(tree, first))
    np.testing.assert_array_equal(mixed_cut(tree, nodes), cut(tree, first))
    merges = nodes[nodes >= tree.num_leaves]
    if len(merges) == 0:
        return
    node = int(merges[-1])
    inside = leaves(tree, node)
    expected = cut(tree, first)
    expected[inside] = cut(tree, min(first, second))[inside]
    np.testing.assert_array_equal(mixed_cut(tree, open_node(tree, nodes, node, height=second)), expected)


def test_one_node_open_and_its_sibling_closed():
    assert child_nodes(SMALL).tolist() == [[0, 1], [2, 5], [3, 4], [6, 7]]
    nodes = open_node(SMALL, open_node(SMALL, np.array([8]), 8), 6)
    assert nodes.tolist() == [2, 5, 7]
    assert mixed_cut(SMALL, nodes).tolist() == [5, 5, 2, 7, 7]
    assert close_node(SMALL, nodes, 6).tolist() == [6, 7]
    assert close_node(SMALL, nodes, 7).tolist() == [2, 5, 7]
    assert open_node(SMALL, np.array([8]), 8, height=0.3).tolist() == [3, 4, 6]


def test_a_tree_of_one_leaf():
    assert mixed_cut(chain([]), np.array([0])).tolist() == [0]
    assert close_node(chain([]), np.array([0]), 0).tolist() == [0]


@pytest.mark.parametrize(
    ("ask", "message"),
    [
        (lambda: mixed_cut(SMALL, np.array([6, 3])), "nodes: leaf 4 is in none of them"),
        (lambda: mixed_cut(SMALL, np.array([], int)), "nodes: leaf 0 is in none of them"),
        (lambda: mixed_cut(SMALL, np.array([6, 7, 5])), "nodes: node 5 lies inside node 6"),
        (lambda: mixed_cut(SMALL, np.array([9])), r"nodes: expected node ids in \[0, 9\), got 9"),
        (lambda: open_node(SMALL, np.array([6, 7]), 5), "node: expected a segment of the partition, got 5"),
        (lambda: open_node(SMALL, np.array([6, 3, 4]), 3), "node: 3 is a leaf and cannot be opened"),
        (lambda: open_node(SMALL, np.array([8]), 8, height=-1.0), "height: expected at least 0, got -1.0"),
        (lambda: close_node(SMALL, np.array([6, 7]), 0), "node: 0 lies inside segment 6"),
        (lambda: close_node(SMALL, np.array([6, 7]), 9), r"node: expected node ids in \[0, 9\), got 9"),
    ],
)
def test_bad_partitions(ask, message):
    with pytest.raises(ValueError, match=message):
        ask()
