"""Borůvka, minimax and the losses on CUDA tensors against the CPU."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from ultrafield.ultrametric import boruvka, euclidean_loss, minimax, ultrametric_loss
from ultrafield.ultrametric.pairs import Pairs

pytestmark = [pytest.mark.gpu, pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")]


def random_graph(nodes: int, edges: int) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    generator = torch.Generator().manual_seed(0)
    ends = torch.randint(nodes, (edges, 2), generator=generator)
    ends = ends[ends[:, 0] != ends[:, 1]]
    weights = torch.randint(50, (len(ends),), generator=generator) / 50.0  # many ties
    return ends, weights, torch.randint(nodes, (4000, 2), generator=generator)


@pytest.mark.parametrize(("nodes", "edges"), [(1, 0), (50, 30), (3000, 9000)])
def test_the_limiting_edges_are_the_same(nodes, edges):
    ends, weights, pairs = random_graph(nodes, edges)
    cpu = minimax(boruvka(nodes, ends, weights), pairs)
    cuda = minimax(boruvka(nodes, ends.cuda(), weights.cuda()), pairs.cuda())
    assert torch.equal(cpu, cuda.cpu())


def test_losses_and_gradients_are_the_same():
    ends, _, pairs = random_graph(500, 3000)
    generator = np.random.default_rng(0)
    comparisons = Pairs(
        pairs[:1000, 0].numpy() % 500, pairs[:1000, 1].numpy() % 500, generator.integers(500, size=(1000, 2))
    )
    crossings = generator.random(len(ends)) < 0.2
    features = torch.randn(500, 32, generator=torch.Generator().manual_seed(1))
    results = []
    for device in ("cpu", "cuda"):
        f = features.to(device).requires_grad_()
        one = euclidean_loss(f, comparisons, temperature=0.1)
        two = ultrametric_loss(f, comparisons, ends.numpy(), crossings, temperature=0.1, border_penalty=10.0)
        results.append([one, two, *torch.autograd.grad(one + two, f)])
    for one, other in zip(*results, strict=True):
        torch.testing.assert_close(other.cpu(), one, rtol=1e-3, atol=1e-5)
