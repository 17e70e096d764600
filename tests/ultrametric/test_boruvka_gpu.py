"""Borůvka's rounds in Triton, bit for bit against the CPU, and the tables they leave."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from ultrafield.ultrametric.boruvka import rounds_needed
from ultrafield.ultrametric.kernels.boruvka_cpu import boruvka_cpu

pytestmark = pytest.mark.usefixtures("poisoned")


def graph(seed, nodes, count, values, dtype=torch.float32):
    """A random multigraph; few distinct weights make many ties, few edges many parts."""
    generator = np.random.default_rng(seed)
    first = generator.integers(0, nodes, count)
    edges = np.stack([first, (first + generator.integers(1, max(nodes, 2), count)) % nodes], axis=1)
    weights = torch.from_numpy(generator.integers(-values, values, count) / 7).to(dtype)
    return torch.from_numpy(edges), weights


def both(nodes, edges, weights, device):
    from ultrafield.ultrametric.kernels.boruvka_gpu import boruvka_gpu

    expected = boruvka_cpu(nodes, edges.numpy(), weights.numpy())
    return expected, boruvka_gpu(nodes, edges.to(device), weights.to(device), rounds_needed(nodes))


def assert_same(expected, found):
    for one, other in zip(expected, found, strict=True):
        assert [list(level) for level in one] == [level.tolist() for level in other]


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize(
    ("nodes", "count", "values"),
    [(2, 1, 1), (2, 9, 2), (3, 2, 5), (64, 40, 9), (65, 300, 1), (130, 500, 40), (257, 1000, 10**6)],
)
def test_the_same_bit_for_bit(nodes, count, values, dtype, kernel_device):
    assert_same(*both(nodes, *graph(nodes + count, nodes, count, values, dtype), kernel_device))


@pytest.mark.parametrize("nodes", [0, 1, 5])
def test_no_edges(nodes, kernel_device):
    none = torch.zeros(0, 2, dtype=torch.int64)
    assert_same(*both(nodes, none, torch.zeros(0), kernel_device))


def test_long_chains_of_choices(kernel_device):
    # Rising weights: in the first round every node chooses towards node 0, through all the others.
    ends = torch.arange(300)
    edges = torch.stack([ends[:-1], ends[1:]], 1)
    assert_same(*both(300, edges, torch.arange(299.0), kernel_device))
    shuffled = torch.randperm(300, generator=torch.Generator().manual_seed(0))
    assert_same(*both(300, shuffled[edges], torch.zeros(299), kernel_device))


def test_infinities_and_signed_zeros(kernel_device):
    from ultrafield.ultrametric.kernels.boruvka_gpu import boruvka_gpu

    edges = torch.tensor([[0, 1], [1, 0], [1, 2], [2, 3], [3, 4]], device=kernel_device)
    weights = torch.tensor([0.0, -0.0, torch.inf, -torch.inf, torch.nan], device=kernel_device)
    parents, chosen = boruvka_gpu(5, edges, weights, 2)
    assert [choice.tolist() for choice in chosen] == [[0, 0, 3, 3, 4], [2, 2]]  # the equal zeros: the smaller index
    assert [parent.tolist() for parent in parents] == [[0, 0, 1, 1, 1], [0, 0]]


def test_padding_and_self_loops_are_ignored(kernel_device):
    from ultrafield.ultrametric.kernels.boruvka_gpu import boruvka_rounds_gpu

    edges = torch.tensor([[-1, -1], [0, -1], [2, 2], [0, 3], [1, 0], [5, 0]], device=kernel_device)
    weights = torch.tensor([-9.0, -9, -9, -9, 1, -9], device=kernel_device)
    rounds = boruvka_rounds_gpu(3, edges, weights, 1)
    assert rounds.labels.tolist() == [[0, 1, 2], [0, 0, 2]]
    assert (rounds.keys[0] & 0xFFFFFFFF).tolist() == [4, 4, 0xFFFFFFFF]


def test_rounds_without_work_carry_everything_along(kernel_device):
    from ultrafield.ultrametric.kernels.boruvka_gpu import NO_KEY, boruvka_rounds_gpu

    edges, weights = graph(1, 70, 90, 20)
    one, more = (
        boruvka_rounds_gpu(70, edges.to(kernel_device), weights.to(kernel_device), rounds) for rounds in (6, 9)
    )
    assert torch.equal(one.labels, more.labels[:7])
    assert torch.equal(one.keys, more.keys[:6])
    assert torch.equal(more.labels[7:], more.labels[6].expand(3, -1))
    assert (more.keys[6:] == NO_KEY.value).all()
    done = int(more.alive.sum()) - 1
    assert more.alive.tolist() == [1] * (done + 1) + [0] * (9 - done)
    assert 0 < done <= 6


def test_no_rounds(kernel_device):
    from ultrafield.ultrametric.kernels.boruvka_gpu import boruvka_rounds_gpu

    rounds = boruvka_rounds_gpu(3, *(tensor.to(kernel_device) for tensor in graph(0, 3, 4, 2)), 0)
    assert rounds.labels.tolist() == [[0, 1, 2]]
    assert rounds.keys.shape == (0, 3)
    assert rounds.alive.tolist() == [1]


@pytest.mark.parametrize(("nodes", "rounds"), [(0, 0), (1, 0), (2, 1), (3, 1), (4, 2), (2047, 10), (2048, 11)])
def test_rounds_needed(nodes, rounds):
    assert rounds_needed(nodes) == rounds
