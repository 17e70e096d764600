"""Feature steps of fixed shape against those of the CPU: the same pixels rendered, the same losses and gradients."""

from __future__ import annotations

import copy
from dataclasses import replace
from functools import partial

import numpy as np
import pytest
import torch

from ultrafield.training import fit_geometry
from ultrafield.training.contrast import euclidean_loss, ultrametric_loss
from ultrafield.training.contrast.mask_pool import MaskPool
from ultrafield.training.contrast.neighbors import border_evidence
from ultrafield.training.contrast.pairs import Pairs
from ultrafield.training.features.surface_cache import PaddedCache, build_cache
from ultrafield.training.features.trainer import HostFeatureTrainer
from ultrafield.training.features.vote_weights import vote_table
from ultrafield.training.pixels import pixel_pool


@pytest.fixture(scope="module")
def geometry(balls, config):
    return fit_geometry(balls, replace(config, geometry=replace(config.geometry, steps=100)), progress=False)


@pytest.fixture(params=[(None, 1), (0.05, 1), (0.05, 3)], ids=["alike", "votes", "votes, 3 negatives"])
def trainers(balls, config, geometry, kernel_device, request):
    from ultrafield.training.cuda.features import DeviceFeatureTrainer
    from ultrafield.training.cuda.masks import DeviceMasks

    voxel, negatives = request.param
    grid = config.features.grid if kernel_device == "cuda" else replace(config.features.grid, levels=2)
    settings = replace(config.features, grid=grid, pixels=128, images=2, pairs_per_mask=8, neighbors=4)
    config = replace(config, features=replace(settings, vote_voxel=voxel, negatives=negatives))
    device = torch.device(kernel_device)
    pool, masks = pixel_pool(balls, torch.device("cpu")), MaskPool(balls)
    cache = build_cache(geometry, pool, 4, lambda done: None)
    own = vote_table(pool, masks, cache, config.features.vote_voxel) if config.features.vote_voxel is not None else None
    here = HostFeatureTrainer(pool, masks, cache, own, config, bounded=True, device=torch.device("cpu"))
    padded = padded_cache(cache, 4, device)
    pixels = pixel_pool(balls, device)
    votes = (
        vote_table(pixels, masks, padded, config.features.vote_voxel)
        if config.features.vote_voxel is not None
        else None
    )
    there = DeviceFeatureTrainer(
        pixels, DeviceMasks(masks, config.features, device), padded, votes, config, bounded=True, device=device
    )
    return here, there


def padded_cache(cache, count, device):
    counts = cache.offsets.diff()
    slot = torch.arange(len(cache.t)) - cache.offsets[:-1].repeat_interleave(counts)
    row = torch.arange(len(counts)).repeat_interleave(counts)
    t, weights = torch.zeros(len(counts), count), torch.zeros(len(counts), count)
    t[row, slot], weights[row, slot] = cache.t, cache.weights
    return PaddedCache(t.to(device), weights.to(device))


@pytest.fixture
def exact_products(monkeypatch, kernel_device):
    """Products in float32 on a GPU too: rounded to tf32, other edges may limit a pair, and the gradient jumps."""
    from ultrafield.field.kernels import mlp_gpu as module

    monkeypatch.setattr(module, "mlp_gpu", partial(module.mlp_gpu, precision="ieee"))


@pytest.mark.usefixtures("exact_products")
def test_losses_and_gradients_are_those_of_the_cpu(trainers):
    here, there = trainers
    with torch.no_grad():  # features that differ by more than rounding, so that it is clear which edge limits a pair
        here.field.grid.table.mul_(300)
        there.field.grid.table.mul_(300)
    batch = there.masks.draw(there.generator)
    losses = there.losses(there.render(batch.pixels), batch)
    torch.stack(list(losses.values())).sum().backward()

    settings, valid = here.settings, batch.valid.cpu()
    rendered = here.render(batch.pixels.cpu())
    features = torch.nn.functional.normalize(rendered, dim=1)
    anchor, positive, negative = (part.cpu()[valid].numpy() for part in (batch.anchor, batch.positive, batch.negative))
    pairs = Pairs(anchor, positive, negative)
    if here.votes is not None:
        pairs = here.votes.weigh(batch.pixels.cpu(), pairs)
        assert len(pairs.weight.unique()) > 5
    edges = real_edges(there, batch).numpy()
    crossings = border_evidence(edges, batch.bits.cpu().numpy().view(np.uint64), settings.border_weighting)
    expected = {
        "norm": settings.norm_weight * (rendered.norm(dim=1) - 1.0).square().mean(),
        "euclidean": settings.euclidean_weight * euclidean_loss(features, pairs, temperature=settings.temperature),
        "ultrametric": settings.ultrametric_weight
        * ultrametric_loss(
            features,
            pairs,
            edges,
            crossings,
            temperature=settings.temperature,
            border_penalty=settings.border_penalty,
            border_factor=settings.border_factor,
        ),
    }
    torch.stack(list(expected.values())).sum().backward()
    assert losses.keys() == expected.keys()
    for name, loss in expected.items():
        torch.testing.assert_close(losses[name].cpu(), loss, rtol=1e-3, atol=1e-6)
    gradient = here.field.grid.table.grad
    assert (there.table_grad.cpu() - gradient).norm() < 1e-3 * gradient.norm()
    for one, other in zip(there.field.trunk.parameters(), here.field.trunk.parameters(), strict=True):
        assert (one.grad.cpu() - other.grad).norm() < 1e-3 * other.grad.norm()


def real_edges(trainer, batch):
    """The edges of a batch without padding, on the CPU."""
    edges = trainer._edges(batch).cpu()
    return edges[edges[:, 0] >= 0]


def test_edges_join_every_pixel_with_the_nearest_ones_of_its_picture(trainers):
    _, trainer = trainers
    batch = trainer.masks.draw(trainer.generator)
    images, count = batch.positions.shape[:2]
    positions = batch.positions.cpu().double()
    edges, neighbors = real_edges(trainer, batch), trainer.settings.neighbors
    assert len(edges) == images * count * neighbors
    first, second = edges.view(images, count, neighbors, 2).unbind(-1)
    assert torch.equal(first, torch.arange(images * count).view(images, count, 1).expand_as(first))
    assert torch.equal(second // count, first // count)
    assert not bool((first == second).any())
    flat = positions.view(-1, 2)
    lengths = (flat[first] - flat[second]).norm(dim=-1).sort(-1).values
    table = torch.cdist(positions, positions, compute_mode="donot_use_mm_for_euclid_dist")
    table.diagonal(dim1=1, dim2=2).fill_(torch.inf)
    # Which of several equally distant pixels is taken is open.
    torch.testing.assert_close(lengths, table.sort(-1).values[..., :neighbors])


def test_a_step_reports_its_losses_and_a_state_goes_on(trainers):
    _, there = trainers
    first = {name: float(value) for name, value in there.step(0).items()}
    assert set(first) == {"norm", "euclidean", "ultrametric"}
    assert (there.table_grad == 0).all()  # spent by the optimiser
    state = copy.deepcopy(there.state(1))
    one = {name: float(value) for name, value in there.step(1).items()}
    there.restore(state)
    other = {name: float(value) for name, value in there.step(1).items()}
    # Atomic additions come in any order on a GPU.
    assert one == pytest.approx(other, rel=1e-3, abs=1e-6)
