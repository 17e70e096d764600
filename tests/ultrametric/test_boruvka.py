"""Borůvka's rounds against Kruskal's algorithm and SciPy, and the two backends against each other."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components, minimum_spanning_tree

from ultrafield.ultrametric import boruvka
from ultrafield.ultrametric.boruvka import _assemble
from ultrafield.ultrametric.kernels.boruvka_torch import boruvka_torch


@st.composite
def graphs(draw):
    """Random multigraphs: few distinct weights make many ties, few edges make many parts."""
    nodes = draw(st.integers(2, 40))
    count = draw(st.integers(0, 120))
    generator = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    edges = generator.integers(0, nodes, (count, 2))
    edges[:, 1] = np.where(edges[:, 0] == edges[:, 1], (edges[:, 1] + 1) % nodes, edges[:, 1])
    weights = generator.integers(0, draw(st.sampled_from([1, 3, 1000])), count) / 8 - 1
    return nodes, torch.from_numpy(edges), torch.from_numpy(weights).float()


def kruskal(nodes, edges, weights):
    """Spanning forest in (weight, index) order, by relabelling: slow and plain."""
    part = list(range(nodes))
    forest = []
    for edge in sorted(range(len(edges)), key=lambda edge: (float(weights[edge]), edge)):
        a, b = (part[int(end)] for end in edges[edge])
        if a != b:
            forest.append(edge)
            part = [a if p == b else p for p in part]
    return forest


def levels(tree, flat):
    return [flat[a:b] for a, b in zip(tree.starts, tree.starts[1:], strict=False)]


@settings(deadline=None, max_examples=80)
@given(graphs())
def test_forest_is_kruskals(graph):
    nodes, edges, weights = graph
    tree = boruvka(nodes, edges, weights)
    forest = kruskal(nodes, edges, weights)
    assert tree.mst_edges.tolist() == forest
    assert tree.num_nodes == nodes
    assert tree.num_components == nodes - len(forest)
    assert 2**tree.num_rounds <= nodes


@settings(deadline=None, max_examples=80)
@given(graphs())
def test_every_component_chooses_its_lightest_leaving_edge(graph):
    nodes, edges, weights = graph
    tree = boruvka(nodes, edges, weights)
    order = kruskal(nodes, edges, weights)
    component = np.arange(nodes)  # at the current level, in its local numbering
    for level, (parents, choices) in enumerate(
        zip(levels(tree, tree.parents)[:-1], levels(tree, tree.choices)[:-1], strict=True)
    ):
        for own, choice in enumerate(choices.tolist()):
            leaving = [p for p, edge in enumerate(order) if (component[edges[edge].numpy()] == own).sum() == 1]
            assert choice == min(leaving, default=-1)
        component = parents.numpy()[component] - tree.starts[level + 1]
    top = tree.parents[tree.starts[-2] :]
    assert torch.equal(top, torch.arange(tree.starts[-2], tree.starts[-1]))
    _, expected = connected_components(
        coo_array((np.ones(len(edges)), edges.numpy().T.copy()), shape=(nodes, nodes)), directed=False
    )
    assert ((component[:, None] == component) == (expected[:, None] == expected)).all()


@settings(deadline=None, max_examples=80)
@given(graphs())
def test_backends_agree_bit_for_bit(graph):
    nodes, edges, weights = graph
    numba = boruvka(nodes, edges, weights)
    torch_ = _assemble(nodes, weights, *boruvka_torch(nodes, edges, weights))
    assert numba.starts == torch_.starts
    for name in ("parents", "choices", "mst_edges"):
        assert torch.equal(getattr(numba, name), getattr(torch_, name)), name


def test_weight_of_the_tree_is_scipys():
    generator = np.random.default_rng(0)
    nodes = 500
    edges = np.stack(np.triu_indices(nodes, 1), axis=1)
    edges = edges[generator.random(len(edges)) < 0.05]
    weights = generator.random(len(edges)) + 0.1
    tree = boruvka(nodes, torch.from_numpy(edges), torch.from_numpy(weights))
    expected = minimum_spanning_tree(coo_array((weights, edges.T), shape=(nodes, nodes)).tocsr())
    assert weights[tree.mst_edges.numpy()].sum() == pytest.approx(expected.sum(), rel=1e-12)


def test_graphs_side_by_side_are_answered_as_one():
    generator = torch.Generator().manual_seed(3)
    nodes, count = 17, 60
    edges = torch.randint(0, nodes, (2, count, 2), generator=generator)
    edges[..., 1] += (edges[..., 0] == edges[..., 1]).long()
    weights = torch.rand(2, count, generator=generator)
    both = boruvka(2 * (nodes + 1), torch.cat([edges[0], edges[1] + nodes + 1]), weights.reshape(-1))
    single = [boruvka(nodes + 1, edges[k], weights[k]).mst_edges for k in range(2)]
    assert sorted(both.mst_edges.tolist()) == sorted(single[0].tolist() + (single[1] + count).tolist())


@pytest.mark.parametrize("nodes", [0, 1, 5])
def test_no_edges(nodes):
    tree = boruvka(nodes, torch.zeros(0, 2, dtype=torch.int64), torch.zeros(0))
    assert tree.starts == (0, nodes)
    assert tree.num_rounds == 0
    assert tree.num_components == nodes
    assert tree.parents.tolist() == list(range(nodes))
    assert tree.choices.tolist() == [-1] * nodes
    assert len(tree.mst_edges) == 0


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float32, torch.float64])
def test_infinities_and_signed_zeros_are_ordered_in_every_precision(dtype):
    edges = torch.tensor([[0, 1], [1, 0], [1, 2], [2, 3]])
    weights = torch.tensor([0.0, -0.0, torch.inf, -torch.inf], dtype=dtype)
    tree = boruvka(4, edges, weights)
    assert tree.mst_edges.tolist() == [3, 0, 2]
    wide = weights.float() + 0.0
    assert _assemble(4, wide, *boruvka_torch(4, edges, wide)).mst_edges.tolist() == [3, 0, 2]


def test_weights_that_need_a_gradient_and_strided_edges_are_read_only():
    ends = torch.tensor([[0, 1, 2], [1, 2, 3]])
    weights = torch.tensor([3.0, 1.0, 2.0], requires_grad=True)
    assert boruvka(4, ends.T, weights).mst_edges.tolist() == [1, 2, 0]


@pytest.mark.parametrize(
    ("nodes", "edges", "weights", "message"),
    [
        (3, [[0, 1, 2]], [1.0], r"edges: expected shape \[\*, 2\], got \[1, 3\]"),
        (3, [[0, 1]], [1.0, 2.0], r"weights: expected shape \[1\], got \[2\]"),
        (3, [[0.0, 1.0]], [1.0], "edges: expected int64, got torch.float32"),
        (3, [[0, 1]], [1], "weights: expected a floating-point dtype, got torch.int64"),
        (-1, [[0, 1]], [1.0], "num_nodes: expected at least 0, got -1"),
        (3, [[0, 3]], [1.0], r"edges: expected node indices in \[0, 3\), got 3"),
        (3, [[0, -2]], [1.0], r"edges: expected node indices in \[0, 3\), got -2"),
        (3, [[0, 1], [2, 2]], [1.0, 1.0], "edges: edge 1 joins a node with itself"),
        (3, [[0, 1], [1, 2]], [1.0, float("nan")], "weights: the weight of edge 1 is NaN"),
    ],
)
def test_bad_graphs(nodes, edges, weights, message):
    with pytest.raises(ValueError, match=message):
        boruvka(nodes, torch.tensor(edges), torch.tensor(weights))


def test_tensors_on_two_devices_are_refused():
    with pytest.raises(ValueError, match="weights: expected a tensor on cpu, where the edges are, got meta"):
        boruvka(2, torch.tensor([[0, 1]]), torch.zeros(1, device="meta"))


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
def test_cuda_agrees_bit_for_bit():
    generator = torch.Generator().manual_seed(0)
    edges = torch.randint(0, 5000, (40000, 2), generator=generator)
    edges = edges[edges[:, 0] != edges[:, 1]]
    weights = torch.randint(0, 100, (len(edges),), generator=generator) / 7
    expected = boruvka(5000, edges, weights)
    found = boruvka(5000, edges.cuda(), weights.cuda())
    assert found.starts == expected.starts
    for name in ("parents", "choices", "mst_edges"):
        assert torch.equal(getattr(found, name).cpu(), getattr(expected, name)), name
