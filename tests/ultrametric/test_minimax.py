"""Bottleneck edges against a Floyd–Warshall-like oracle, and the two backends against each other."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from ultrafield.ultrametric import boruvka, minimax
from ultrafield.ultrametric.kernels.minimax_torch import minimax_torch


@st.composite
def graphs(draw):
    nodes = draw(st.integers(1, 14))
    count = draw(st.integers(0, 40)) if nodes > 1 else 0
    generator = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    first = generator.integers(0, nodes, count)
    second = (first + generator.integers(1, max(nodes, 2), count)) % nodes
    weights = generator.integers(0, draw(st.sampled_from([1, 4, 1000])), count) / 3
    return nodes, torch.from_numpy(np.stack([first, second], 1)), torch.from_numpy(weights)


def bottlenecks(nodes, edges, weights):
    """Limiting edge of every pair [n, n] by relaxation over intermediate nodes; ranks make weights distinct."""
    rank = np.empty(len(edges), int)
    order = np.lexsort((np.arange(len(edges)), weights.numpy()))
    rank[order] = np.arange(len(edges))
    far = len(edges)
    worst = np.full((nodes, nodes), far)
    np.fill_diagonal(worst, -1)
    for (a, b), r in zip(edges.tolist(), rank, strict=True):
        worst[a, b] = worst[b, a] = min(worst[a, b], r)
    for middle in range(nodes):
        worst = np.minimum(worst, np.maximum(worst[:, middle, None], worst[middle]))
    answers = np.append(order, [-1, -1])  # `far` and -1 both mean none
    return answers[worst]


@settings(deadline=None, max_examples=100)
@given(graphs())
def test_limiting_edge_of_all_pairs(graph):
    nodes, edges, weights = graph
    tree = boruvka(nodes, edges, weights)
    pairs = torch.cartesian_prod(torch.arange(nodes), torch.arange(nodes)).reshape(-1, 2)
    expected = bottlenecks(nodes, edges, weights).reshape(-1)
    assert minimax(tree, pairs).tolist() == expected.tolist()
    found = minimax_torch(tree.parents, tree.choices, tree.mst_edges, pairs, tree.num_rounds)
    assert found.tolist() == expected.tolist()


def test_a_chain_takes_few_rounds_and_the_right_edge():
    n = 1000
    edges = torch.stack([torch.arange(n - 1), torch.arange(1, n)], 1)
    weights = torch.rand(n - 1, generator=torch.Generator().manual_seed(1))
    pairs = torch.randint(0, n, (3000, 2), generator=torch.Generator().manual_seed(2))
    low, high = pairs.min(1).values, pairs.max(1).values
    expected = [a + int(weights[a:b].argmax()) if a < b else -1 for a, b in zip(low, high, strict=True)]
    tree = boruvka(n, edges, weights)
    assert tree.num_rounds <= 10
    assert minimax(tree, pairs).tolist() == expected


def test_no_pairs_and_strided_pairs():
    tree = boruvka(3, torch.tensor([[0, 1], [1, 2]]), torch.tensor([1.0, 2.0]))
    empty = minimax(tree, torch.zeros(0, 2, dtype=torch.int64))
    assert empty.shape == (0,)
    assert empty.dtype == torch.int64
    assert minimax(tree, torch.tensor([[0, 0, 1], [1, 2, 1]]).T).tolist() == [0, 1, -1]


@pytest.mark.parametrize(
    ("pairs", "message"),
    [
        (torch.zeros(3, dtype=torch.int64), r"pairs: expected shape \[\*, 2\], got \[3\]"),
        (torch.zeros(1, 2), "pairs: expected int64, got torch.float32"),
        (torch.tensor([[0, 2]]), r"pairs: expected node indices in \[0, 2\), got 2"),
        (torch.tensor([[-1, 0]]), r"pairs: expected node indices in \[0, 2\), got -1"),
        (torch.zeros(1, 2, dtype=torch.int64, device="meta"), "pairs: expected a tensor on cpu, where the tree is"),
    ],
)
def test_bad_pairs(pairs, message):
    tree = boruvka(2, torch.tensor([[0, 1]]), torch.tensor([1.0]))
    with pytest.raises(ValueError, match=message):
        minimax(tree, pairs)
