"""Graph operations and losses on CUDA tensors: the same as on the CPU, without a wait for the device."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import numpy as np
import pytest
import torch

from ultrafield.training.contrast import Pairs, border_crossings, euclidean_loss, pixel_neighbors, ultrametric_loss
from ultrafield.training.contrast.neighbors import border_shares
from ultrafield.training.contrast.similarity import pair_similarity
from ultrafield.ultrametric import boruvka, bottlenecks, minimax

pytestmark = [
    pytest.mark.gpu,
    pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device"),
    pytest.mark.filterwarnings("ignore:Synchronization debug mode is a prototype feature"),
]
OPTIONS = {"temperature": 0.1, "border_penalty": 10.0}


@contextmanager
def no_waiting() -> Iterator[None]:
    torch.cuda.set_sync_debug_mode("error")
    try:
        yield
    finally:
        torch.cuda.set_sync_debug_mode("default")


def random_graph(nodes: int, edges: int) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    generator = torch.Generator().manual_seed(0)
    ends = torch.randint(nodes, (edges, 2), generator=generator)
    ends = ends[ends[:, 0] != ends[:, 1]]
    weights = torch.randint(50, (len(ends),), generator=generator) / 50.0  # many ties
    return ends, weights, torch.randint(nodes, (4000, 2), generator=generator)


def neighbor_edges(table: torch.Tensor) -> torch.Tensor:
    """Edges [B·n·k, 2] of neighbours [B, n, k] in pixels that are numbered through; -1 where there is none."""
    images, count, _ = table.shape
    first = torch.arange(images * count, device=table.device).view(images, count, 1)
    shifted = table + torch.arange(0, images * count, count, device=table.device)[:, None, None]
    return torch.stack([first.expand_as(table), shifted], -1).masked_fill(table[..., None] < 0, -1).view(-1, 2)


@pytest.mark.parametrize("dtype", [torch.float16, torch.float32, torch.float64])
@pytest.mark.parametrize(("nodes", "edges"), [(1, 0), (50, 30), (3000, 9000), (16384, 163840)])
def test_the_limiting_edges_are_the_same(nodes, edges, dtype):
    ends, weights, pairs = random_graph(nodes, edges)
    weights = weights.to(dtype)
    cpu = minimax(boruvka(nodes, ends, weights), pairs)
    ends, weights, pairs = ends.cuda(), weights.cuda(), pairs.cuda()
    assert torch.equal(cpu, minimax(boruvka(nodes, ends, weights), pairs).cpu())
    assert torch.equal(cpu, bottlenecks(nodes, ends, weights, pairs).cpu())
    with no_waiting():
        found = bottlenecks(nodes, ends, weights, pairs, check=False)
    assert torch.equal(cpu, found.cpu())


@pytest.mark.parametrize("weights", ["equal", "rising", "falling", "random"])
def test_long_chains_are_joined_whatever_the_timing(weights):
    # Programs race for short cuts here; equal and monotone weights make one chain of all nodes in the first round.
    nodes = 100_000
    ends = torch.stack([torch.arange(nodes - 1), torch.arange(1, nodes)], 1)
    values = {
        "equal": torch.zeros(nodes - 1),
        "rising": torch.arange(nodes - 1.0),
        "falling": -torch.arange(nodes - 1.0),
        "random": torch.rand(nodes - 1, generator=torch.Generator().manual_seed(1)),
    }[weights]
    pairs = torch.randint(nodes, (20_000, 2), generator=torch.Generator().manual_seed(2))
    expected = bottlenecks(nodes, ends, values, pairs)
    for _ in range(5):
        assert torch.equal(bottlenecks(nodes, ends.cuda(), values.cuda(), pairs.cuda(), check=False).cpu(), expected)


def test_bad_values_are_reported_on_request():
    ends, weights, pairs = (tensor.cuda() for tensor in random_graph(50, 30))
    with pytest.raises(ValueError, match="weights: the weight of edge 0 is NaN"):
        bottlenecks(50, ends, weights * torch.nan, pairs % 50)
    with pytest.raises(ValueError, match=r"pairs: expected node indices in \[0, 50\), got 50"):
        bottlenecks(50, ends, weights, pairs[:1] * 0 + 50)


@pytest.mark.parametrize(("dtype", "tolerance"), [(torch.float32, 1e-4), (torch.float64, 1e-12)])  # order of the sums
def test_similarity_and_gradient_are_the_same(dtype, tolerance):
    generator = torch.Generator().manual_seed(0)
    features = torch.randn(3000, 128, generator=generator, dtype=dtype) / 128**0.5
    pairs = torch.randint(3000, (50_001, 2), generator=generator)
    pairs[::7] = -1
    weight = torch.randn(len(pairs), generator=generator, dtype=dtype)
    results = []
    for device in ("cpu", "cuda"):
        leaf = features.to(device).requires_grad_()
        products = pair_similarity(leaf, pairs.to(device), padded=True)
        results.append([products.detach().cpu(), torch.autograd.grad(products, leaf, weight.to(device))[0].cpu()])
    torch.testing.assert_close(results[1], results[0], rtol=tolerance, atol=tolerance)


@pytest.mark.parametrize(("images", "points", "neighbors"), [(8, 2048, 10), (1, 16384, 10), (3, 1000, 1)])
def test_nearest_pixels_are_as_near(images, points, neighbors):
    positions = torch.randint(600, (images, points, 2), generator=torch.Generator().manual_seed(0))
    table = pixel_neighbors(positions.cuda(), neighbors).cpu()
    rows = torch.arange(images)[:, None, None]
    near, expected = (
        (positions[rows, found] - positions[:, :, None]).square().sum(-1)
        for found in (table, pixel_neighbors(positions, neighbors))
    )
    assert torch.equal(near, expected)
    assert not (table == torch.arange(points)[:, None]).any()
    assert (table.sort(2).values.diff(dim=2) > 0).all()


def comparisons(nodes: int, count: int) -> Pairs:
    generator = np.random.default_rng(0)
    anchor, positive = generator.integers(nodes, size=(2, count))
    return Pairs(anchor, positive, generator.integers(nodes, size=(count, 2)), generator.random(count) < 0.8)


@pytest.mark.parametrize("masked", [False, True])
def test_losses_and_gradients_are_the_same(masked):
    ends, _, _ = random_graph(500, 3000)
    pairs = comparisons(500, 1000)
    if not masked:
        pairs = Pairs(pairs.anchor, pairs.positive, pairs.negative)
    crossings = np.random.default_rng(1).random(len(ends)) < 0.2
    features = torch.randn(500, 32, generator=torch.Generator().manual_seed(1))
    results = []
    for device in ("cpu", "cuda"):
        f = features.to(device).requires_grad_()
        one = euclidean_loss(f, pairs, temperature=0.1)
        two = ultrametric_loss(f, pairs, ends.numpy(), crossings, **OPTIONS)
        results.append([one, two, *torch.autograd.grad(one + two, f)])
    for one, other in zip(*results, strict=True):
        torch.testing.assert_close(other.cpu(), one, rtol=1e-3, atol=1e-5)


@pytest.mark.parametrize("crossing", [border_crossings, border_shares])
def test_a_step_is_captured_in_a_cuda_graph(crossing):
    images, points, count = 4, 500, 3000
    options = OPTIONS if crossing is border_crossings else OPTIONS | {"border_penalty": 0.0, "border_factor": 1.0}
    generator = torch.Generator().manual_seed(0)
    positions = torch.randint(100, (images, points, 2), generator=generator)
    bits = torch.randint(4, (images * points, 1), generator=generator)
    features = torch.randn(images * points, 128, generator=generator)
    host = comparisons(images * points, count)
    pairs = Pairs(
        *(torch.from_numpy(array).cuda() for array in (host.anchor, host.positive, host.negative, host.valid))
    )
    static_positions, static_bits = positions.cuda(), bits.cuda()
    leaf = torch.zeros_like(features, device="cuda").requires_grad_()

    def step() -> tuple[torch.Tensor, ...]:
        edges = neighbor_edges(pixel_neighbors(static_positions, 5))
        crossings = crossing(edges, static_bits)
        one = euclidean_loss(leaf, pairs, temperature=0.1)
        two = ultrametric_loss(leaf, pairs, edges, crossings, component_size=points, **options)
        return one.detach(), two.detach(), edges, *torch.autograd.grad(one + two, leaf)

    stream = torch.cuda.Stream()
    stream.wait_stream(torch.cuda.current_stream())
    with torch.cuda.stream(stream), no_waiting():
        step()
    torch.cuda.current_stream().wait_stream(stream)
    graph = torch.cuda.CUDAGraph()
    with torch.cuda.graph(graph):
        found = step()
    with torch.no_grad():
        leaf.copy_(features)
    graph.replay()
    one, two, edges, gradient = (tensor.cpu() for tensor in found)

    reference = features.clone().requires_grad_()
    crossings = crossing(edges, bits)
    expected = [
        euclidean_loss(reference, host, temperature=0.1),
        ultrametric_loss(reference, host, edges, crossings, **options),
    ]
    torch.testing.assert_close([one, two], [loss.detach() for loss in expected], rtol=1e-3, atol=1e-5)
    expected_gradient = torch.autograd.grad(sum(expected), reference)[0]
    # Cosines differ in their last bits, so that a few bottlenecks among nearly equal edges may move.
    error = (gradient - expected_gradient).norm() / expected_gradient.norm()
    assert error < 1e-2
