"""Operations on the graph of a training step's pixels: neighbours, forests, bottlenecks, similarities, the loss."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import torch
from lib.case import Case, Check, Op, Outputs, Setup, cache, compare
from torch import Tensor
from torch.nn.functional import normalize

from ultrafield.config import preset
from ultrafield.training.contrast import Pairs, pixel_neighbors, ultrametric_loss
from ultrafield.training.contrast.losses import contrastive_loss
from ultrafield.training.contrast.similarity import pair_similarity, pair_similarity_torch
from ultrafield.ultrametric import boruvka, bottlenecks, minimax
from ultrafield.ultrametric.boruvka import rounds_needed
from ultrafield.ultrametric.kernels.boruvka_torch import boruvka_torch
from ultrafield.ultrametric.kernels.minimax_torch import minimax_torch

_NEIGHBORS = 10
_CHANNELS = preset("standard").features.dim


@dataclass(frozen=True)
class _Sizes:
    images: int
    pixels: int
    pairs: int

    @property
    def nodes(self) -> int:
        """Pixels of all pictures."""
        return self.images * self.pixels

    @property
    def edges(self) -> int:
        return self.nodes * _NEIGHBORS


def cases(setup: Setup) -> Iterator[Case]:
    """Every operation of this kind that exists on the device."""
    sizes = _Sizes(2, 100, 1000) if setup.quick else _Sizes(8, 2048, 200_000)
    graph = f"{sizes.images} × {sizes.pixels:,} pixels, {_NEIGHBORS} neighbours"
    pairs = f"{sizes.pairs:,} pairs"
    yield Case("pixel_neighbors", graph, lambda: _neighbors(setup, sizes))
    if setup.device.type == "cuda" or not setup.triton:
        waits = ", the host waits" if setup.triton else ""
        yield Case(f"boruvka{waits}", graph, lambda: _boruvka(setup, sizes))
        yield Case("minimax", f"{graph}, {pairs}", lambda: _minimax(setup, sizes))
    yield Case("bottlenecks", f"{graph}, {pairs}", lambda: _bottlenecks(setup, sizes))
    rows = f"{pairs} of {sizes.nodes:,} × {_CHANNELS}"
    yield Case("pair_similarity", rows, lambda: _similarity(setup, sizes))
    yield Case("pair_similarity, backward", rows, lambda: _similarity_backward(setup, sizes))
    if setup.device.type == "cuda" or not setup.triton:
        yield Case("ultrametric_loss, forward and backward", f"{graph}, {pairs}", lambda: _loss(setup, sizes))


def _positions(setup: Setup, sizes: _Sizes) -> Tensor:
    """Pixels of pictures of 800 × 800."""
    return setup.indices(800, sizes.images, sizes.pixels, 2, seed=0).int()


def _edges(setup: Setup, sizes: _Sizes) -> Tensor:
    """The graph of neighbouring pixels [E, 2], as training builds it."""
    nearest = torch.as_tensor(pixel_neighbors(_positions(setup, sizes), _NEIGHBORS))
    first = torch.arange(sizes.nodes, device=setup.device).view(sizes.images, sizes.pixels, 1)
    second = nearest + torch.arange(0, sizes.nodes, sizes.pixels, device=setup.device)[:, None, None]
    return torch.stack([first.expand_as(second), second], dim=-1).view(-1, 2)


def _pairs(setup: Setup, sizes: _Sizes, *, seed: int = 2) -> Tensor:
    """Pairs of pixels of one picture each [P, 2]."""
    picture = setup.indices(sizes.images, sizes.pairs, 1, seed=seed)
    return picture * sizes.pixels + setup.indices(sizes.pixels, sizes.pairs, 2, seed=seed + 1)


def _neighbors(setup: Setup, sizes: _Sizes) -> Op:
    positions, function = _positions(setup, sizes), pixel_neighbors
    if setup.triton:
        from ultrafield.training.contrast.kernels.pixel_graph_gpu import pixel_neighbors_gpu as function
    places = positions.double()

    def distances(table: Tensor) -> Tensor:
        """Distance to each neighbour: which of several equally near pixels is taken is free."""
        picture = torch.arange(sizes.images, device=setup.device)[:, None, None]
        return (places[picture, table] - places[:, :, None]).norm(dim=-1)

    def check(outputs: Outputs) -> list[Check]:
        (table,) = outputs
        own = torch.arange(sizes.pixels, device=setup.device)
        far = torch.cdist(places, places, compute_mode="donot_use_mm_for_euclid_dist")  # products would cancel
        far[:, own, own] = torch.inf
        nearest = far.topk(_NEIGHBORS, largest=False, sorted=True).values
        ordered = table.sort(dim=2).values
        distinct = (ordered.diff(dim=2) > 0).all() & (table != own[:, None]).all()
        return [Check(distances(table), nearest, 1e-6), Check(distinct, torch.ones_like(distinct), 0.0)]

    moved = positions.numel() * 4 + sizes.edges * 8
    return Op(lambda: (function(positions, _NEIGHBORS),), check, bytes=moved)


def _weighted_graph(setup: Setup, sizes: _Sizes) -> tuple[Tensor, Tensor]:
    """Edges, and weights of which some are equal."""
    edges = _edges(setup, sizes)
    return edges, (setup.uniform(len(edges), seed=1) * (1 << 20)).floor() / (1 << 20)


def _boruvka(setup: Setup, sizes: _Sizes) -> Op:
    edges, weights = _weighted_graph(setup, sizes)

    def run() -> Outputs:
        tree = boruvka(sizes.nodes, edges, weights)
        return tree.mst_edges, tree.parents

    def check(outputs: Outputs) -> list[Check]:
        parents, chosen = boruvka_torch(sizes.nodes, edges.cpu(), weights.cpu())
        forest = torch.cat(chosen).unique()
        forest = forest[forest >= 0]
        starts = torch.tensor([0, *(len(parent) for parent in parents)]).cumsum(0)[1:]
        levels = torch.cat([parent + start for parent, start in zip(parents, starts.tolist(), strict=True)])
        found_forest, found_parents = outputs
        return [
            Check(found_forest.sort().values.cpu(), forest, 0.0),
            Check(found_parents[: len(levels)].cpu(), levels, 0.0),  # behind them stands the last level
        ]

    return Op(run, check, bytes=sizes.edges * 20 + 2 * sizes.nodes * 8)


def _wanted_limits(sizes: _Sizes, edges: Tensor, weights: Tensor, pairs: Tensor) -> Tensor:
    """Limiting edges by plain PyTorch on the CPU, on the forest of the CPU's kernel."""
    tree = boruvka(sizes.nodes, edges.cpu(), weights.cpu())
    return minimax_torch(tree.parents, tree.choices, tree.mst_edges, pairs.cpu(), tree.num_rounds)


def _minimax(setup: Setup, sizes: _Sizes) -> Op:
    (edges, weights), pairs = _weighted_graph(setup, sizes), _pairs(setup, sizes)
    tree = boruvka(sizes.nodes, edges, weights)
    return Op(
        lambda: (minimax(tree, pairs, check=False),),
        compare(lambda: (_wanted_limits(sizes, edges, weights, pairs),), 0.0),
        bytes=sizes.pairs * 24,
    )


def _bottlenecks(setup: Setup, sizes: _Sizes) -> Op:
    (edges, weights), pairs = _weighted_graph(setup, sizes), _pairs(setup, sizes)
    rounds = rounds_needed(sizes.pixels)

    def run() -> Outputs:
        if setup.triton:
            from ultrafield.ultrametric.kernels.minimax_gpu import bottlenecks_gpu

            return (bottlenecks_gpu(sizes.nodes, edges, weights, pairs, rounds),)
        return (bottlenecks(sizes.nodes, edges, weights, pairs),)

    check = compare(lambda: (_wanted_limits(sizes, edges, weights, pairs),), 0.0)
    return Op(run, check, bytes=sizes.edges * 20 + sizes.pairs * 24)


def _similarity(setup: Setup, sizes: _Sizes) -> Op:
    features, pairs, function = setup.normal(sizes.nodes, _CHANNELS, seed=4), _pairs(setup, sizes), pair_similarity
    if setup.triton:
        from ultrafield.training.contrast.kernels.similarity_gpu import similarity_gpu as function
    return Op(
        lambda: (function(features, pairs),),
        compare(lambda: (pair_similarity_torch(features.double(), pairs),), 1e-5),
        # Every pair reads its two rows.
        bytes=sizes.pairs * (20 + 8 * _CHANNELS),
        ceiling=cache(setup, features.numel() * 4),
    )


def _similarity_backward(setup: Setup, sizes: _Sizes) -> Op:
    features, pairs = setup.normal(sizes.nodes, _CHANNELS, seed=4), _pairs(setup, sizes)
    upstream = setup.normal(sizes.pairs, seed=5)

    def wanted() -> Outputs:
        exact = features.detach().double().requires_grad_()
        return torch.autograd.grad(pair_similarity_torch(exact, pairs), exact, upstream.double())

    return Op(
        _similarity_gradient(setup, features, pairs, upstream),
        compare(wanted, 1e-4),
        # Every pair reads its two rows and adds to both.
        bytes=sizes.pairs * (20 + 3 * 8 * _CHANNELS),
        ceiling=cache(setup, 2 * features.numel() * 4),
    )


def _similarity_gradient(setup: Setup, features: Tensor, pairs: Tensor, upstream: Tensor) -> Callable[[], Outputs]:
    if setup.triton:
        from ultrafield.training.contrast.kernels.similarity_gpu import similarity_gradient_gpu

        return lambda: (similarity_gradient_gpu(features, pairs, upstream),)
    leaf = features.requires_grad_()
    products = pair_similarity(leaf, pairs)
    return lambda: torch.autograd.grad(products, leaf, upstream, retain_graph=True)


def _loss(setup: Setup, sizes: _Sizes) -> Op:
    edges = _edges(setup, sizes)
    crossings = setup.uniform(len(edges), seed=6) < 0.1
    comparisons = _comparisons(setup, sizes)
    # Neighbouring pixels are alike, as after some training.
    part = setup.normal(sizes.images * 8, _CHANNELS, seed=7).repeat_interleave(sizes.nodes // (8 * sizes.images) + 1, 0)
    features = (part[: sizes.nodes] + setup.normal(sizes.nodes, _CHANNELS, seed=8)).requires_grad_()

    def run() -> Outputs:
        loss = ultrametric_loss(
            features, comparisons, edges, crossings, temperature=0.1, border_penalty=10.0, component_size=sizes.pixels
        )
        return loss.detach(), *torch.autograd.grad(loss, features)

    def check(outputs: Outputs) -> list[Check]:
        loss, gradient = _plain_loss(features, comparisons, edges, crossings)
        # Of two edges that are equally long but for rounding either may limit a pair.
        return [Check(outputs[0], loss, 1e-4), Check(outputs[1], gradient, 2e-2, norm=True)]

    # Two rows of every edge, forwards and backwards, and the rows of the result.
    moved = sizes.edges * (20 + 2 * 8 * _CHANNELS) + sizes.pairs * 24 + 2 * features.numel() * 4
    return Op(run, check, bytes=moved, ceiling=cache(setup, features.numel() * 4))


def _comparisons(setup: Setup, sizes: _Sizes) -> Pairs:
    """Anchors with one positive and one negative each."""
    count = sizes.pairs // 2
    ends = _pairs(setup, sizes)[:count]
    picture = ends[:, 0] // sizes.pixels
    other = picture * sizes.pixels + setup.indices(sizes.pixels, count, seed=9)
    return Pairs(ends[:, 0].contiguous(), ends[:, 1].contiguous(), other[:, None])


def _plain_loss(features: Tensor, comparisons: Pairs, edges: Tensor, crossings: Tensor) -> tuple[Tensor, Tensor]:
    """The loss and its gradient in float64, on the CPU and by plain PyTorch but for the forest."""
    edges, exact = edges.cpu(), features.detach().cpu().double().requires_grad_()
    unit = normalize(exact, dim=1)
    lengths = 1 - pair_similarity_torch(unit, edges).detach() + 10.0 * crossings.cpu()
    tree = boruvka(len(features), edges, lengths)

    def compared(others: Tensor) -> tuple[Tensor, Tensor]:
        pairs = torch.stack([comparisons.anchor, others], dim=1).cpu()
        limits = minimax_torch(tree.parents, tree.choices, tree.mst_edges, pairs, tree.num_rounds)
        itself = pairs[:, 0] == pairs[:, 1]
        weakest = torch.where((limits >= 0)[:, None], edges[limits.clamp(min=0)], pairs[:, :1])
        return pair_similarity_torch(unit, weakest), (limits >= 0) | itself

    positive, linked = compared(comparisons.positive)
    negative, other_linked = compared(comparisons.negative[:, 0])
    loss = contrastive_loss(
        positive, negative[:, None], 0.1, positive_valid=linked, negative_valid=other_linked[:, None]
    )
    return loss.detach(), torch.autograd.grad(loss, exact)[0]
