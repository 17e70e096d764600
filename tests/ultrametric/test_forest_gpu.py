"""The sorted spanning forest in Triton against the CPU's, and trees that were built with it."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from scipy.sparse import coo_array
from scipy.sparse.csgraph import minimum_spanning_tree

from ultrafield.ultrametric import AffinityGraph, build_tree, linkage

pytestmark = pytest.mark.usefixtures("poisoned")


def graph(seed, nodes, count, *, values=0, dtype=np.float32):
    """A random multigraph in any order and direction; a few distinct values make many ties."""
    generator = np.random.default_rng(seed)
    first = generator.integers(0, nodes, count)
    edges = np.stack([first, (first + generator.integers(1, max(nodes, 2), count)) % nodes], axis=1)
    weights = generator.integers(0, values + 1, count) / values if values else generator.random(count)
    return AffinityGraph(nodes, edges, weights.astype(dtype), np.ones(count, np.float32), 1.0)


def in_order(affinity):
    """The same graph with each edge once, ascending, the smaller end first, as `build_graph` makes it."""
    edges, first = np.unique(np.sort(affinity.edges, axis=1), axis=0, return_index=True)
    return AffinityGraph(affinity.num_nodes, edges, affinity.dissimilarity[first], affinity.evidence[first], 1.0)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize(
    ("nodes", "count", "values"),
    [(1, 0, 0), (5, 0, 0), (2, 1, 0), (2, 9, 2), (65, 40, 3), (130, 500, 1), (257, 1000, 0), (300, 2000, 7)],
)
def test_the_forest_is_that_of_the_cpu(nodes, count, values, dtype, kernel_device):
    affinity = graph(nodes + count, nodes, count, values=values, dtype=dtype)
    for given in (affinity, in_order(affinity)):
        for one, other in zip(linkage._forest(given), linkage._forest_on_device(given, kernel_device), strict=True):
            np.testing.assert_array_equal(one, other)
            assert one.dtype == other.dtype


def test_the_forest_has_scipys_weights(kernel_device):
    affinity = in_order(graph(3, 400, 900))
    values = affinity.dissimilarity.astype(np.float64)
    matrix = coo_array((values, tuple(affinity.edges.T)), shape=(400, 400)).tocsr()
    _, weights = linkage._forest_on_device(affinity, kernel_device)
    np.testing.assert_array_equal(weights, np.sort(minimum_spanning_tree(matrix).data))


def test_signed_zeros_are_equal_and_the_bound_is_kept(kernel_device):
    edges = np.array([[0, 1], [1, 2], [2, 3]])
    values = np.array([0.0, -0.0, np.nextafter(np.float32(2), np.float32(3))], np.float32)
    affinity = AffinityGraph(4, edges, values, np.ones(3, np.float32), 2.0)
    forest, weights = linkage._forest_on_device(affinity, kernel_device)
    assert forest.tolist() == edges.tolist()
    assert weights.tolist() == [0, 0, 2]
    assert not np.signbit(weights).any()


@pytest.mark.gpu
@pytest.mark.parametrize("values", [0, 5])
def test_trees_are_those_of_the_cpu(values):
    affinity = graph(9, 20_000, 100_000, values=values)
    for given in (affinity, in_order(affinity)):
        for kind in ("single", "average"):
            one, other = (build_tree(given, linkage=kind, device=device) for device in ("cpu", "cuda"))
            for name in ("parents", "heights", "sizes"):
                np.testing.assert_array_equal(getattr(one, name), getattr(other, name))


def test_the_largest_tables_are_addressed_in_64_bits(kernel_device):
    """Ends whose product passes 2³¹ are still put in order."""
    from ultrafield.ultrametric.kernels.forest_gpu import _in_order

    nodes = 3_000_000
    edges = torch.tensor([[nodes - 1, nodes - 2], [1, 0], [nodes - 2, 1]], device=kernel_device)
    found, weights = _in_order(nodes, edges, torch.tensor([0.1, 0.2, 0.3], device=kernel_device))
    assert found.tolist() == [[0, 1], [1, nodes - 2], [nodes - 2, nodes - 1]]
    np.testing.assert_array_equal(weights.cpu().numpy(), np.float32([0.2, 0.3, 0.1]))
