"""Bottleneck queries in Triton, on a tree and on the dense rounds, against the CPU."""

from __future__ import annotations

import pytest
import torch

from ultrafield.ultrametric import boruvka, minimax
from ultrafield.ultrametric.boruvka import rounds_needed

pytestmark = pytest.mark.usefixtures("poisoned")


def graph(seed, nodes, count, pairs):
    generator = torch.Generator().manual_seed(seed)
    edges = torch.randint(nodes, (count, 2), generator=generator)
    edges = edges[edges[:, 0] != edges[:, 1]]
    weights = torch.randint(-20, 20, (len(edges),), generator=generator) / 3
    return edges, weights, torch.randint(nodes, (pairs, 2), generator=generator)


@pytest.mark.parametrize("dtype", [torch.float16, torch.float32, torch.float64])
@pytest.mark.parametrize(
    ("nodes", "count", "pairs"), [(1, 0, 3), (2, 3, 9), (50, 30, 200), (51, 400, 129), (300, 700, 300), (9, 20, 0)]
)
def test_limiting_edges(nodes, count, pairs, dtype, kernel_device):
    from ultrafield.ultrametric.kernels.minimax_gpu import bottlenecks_gpu, minimax_gpu

    edges, weights, ends = graph(nodes + count, nodes, count, pairs)
    weights = weights.to(dtype)
    tree = boruvka(nodes, edges, weights)
    expected = minimax(tree, ends)
    tensors = (tensor.to(kernel_device) for tensor in (edges, weights, ends))
    assert torch.equal(bottlenecks_gpu(nodes, *tensors, rounds_needed(nodes)).cpu(), expected)
    arrays = (array.to(kernel_device) for array in (tree.parents, tree.choices, tree.mst_edges, ends))
    assert torch.equal(minimax_gpu(*arrays, nodes).cpu(), expected)


def test_padded_pairs_and_too_few_rounds(kernel_device):
    from ultrafield.ultrametric.kernels.minimax_gpu import bottlenecks_gpu

    edges = torch.tensor([[0, 1], [1, 2], [2, 3]], device=kernel_device)
    weights = torch.tensor([1.0, 3.0, 2.0], device=kernel_device)
    pairs = torch.tensor([[0, 3], [-1, 0], [2, 4], [-1, -1], [3, 2], [1, 1]], device=kernel_device)
    assert bottlenecks_gpu(4, edges, weights, pairs, 2).tolist() == [1, -1, -1, -1, 2, -1]
    assert bottlenecks_gpu(4, edges, weights, pairs, 1).tolist() == [-1, -1, -1, -1, 2, -1]
    assert bottlenecks_gpu(4, edges, weights, pairs, 0).tolist() == [-1] * 6


def test_negative_and_infinite_weights(kernel_device):
    from ultrafield.ultrametric.kernels.minimax_gpu import bottlenecks_gpu

    edges = torch.tensor([[0, 1], [1, 2], [2, 3]], device=kernel_device)
    weights = torch.tensor([-torch.inf, -3.0, torch.inf], device=kernel_device)
    pairs = torch.tensor([[0, 1], [0, 2], [0, 3]], device=kernel_device)
    assert bottlenecks_gpu(4, edges, weights, pairs, 2).tolist() == [0, 1, 2]


def test_strided_inputs(kernel_device):
    from ultrafield.ultrametric.kernels.minimax_gpu import bottlenecks_gpu

    edges = torch.tensor([[0, 1, 2], [1, 2, 3]], device=kernel_device).T
    weights = torch.tensor([[1.0, 3.0, 2.0], [9, 9, 9]], device=kernel_device).T[:, 0]
    pairs = torch.tensor([[0, 1], [3, 0]], device=kernel_device).T
    assert bottlenecks_gpu(4, edges, weights, pairs, 2).tolist() == [1, 0]
