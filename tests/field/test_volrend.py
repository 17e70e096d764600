"""Packed rendering against one ray at a time in float64, with autograd for the gradients."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from ultrafield.field.kernels.volrend_torch import accumulate_torch, distortion_torch, render_weights_torch
from ultrafield.field.volrend import accumulate, distortion, ray_indices, render_weights

BACKENDS = {
    "cpu": (render_weights, accumulate, distortion),
    "torch": (render_weights_torch, accumulate_torch, distortion_torch),
}
COUNTS = [[], [0], [1], [3, 0, 5, 1], [0, 0, 70, 33, 2]]


def literal_weights(sigma: Tensor, delta: Tensor) -> Tensor:
    alpha = 1 - torch.exp(-sigma * delta)
    through = torch.cat([alpha.new_ones(1), torch.cumprod(1 - alpha, 0)[:-1]])
    return alpha * through


def literal_distortion(weights: Tensor, position: Tensor, delta: Tensor) -> Tensor:
    pairs = weights[:, None] * weights * (position[:, None] - position).abs()
    return pairs.sum() + (weights**2 * delta).sum() / 3


def random_rays(counts: list[int], seed: int = 0) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    generator = torch.Generator().manual_seed(seed)
    total = sum(counts)
    sigma = torch.rand(total, generator=generator) * 30
    delta = torch.rand(total, generator=generator) * 0.1 + 1e-3
    position = torch.cat([torch.rand(n, generator=generator).sort().values for n in counts] or [torch.empty(0)])
    offsets = torch.tensor([0, *counts]).cumsum(0)
    return sigma, delta, position, offsets


def split(values: Tensor, offsets: Tensor) -> list[Tensor]:
    return [values[a:b] for a, b in zip(offsets[:-1].tolist(), offsets[1:].tolist(), strict=True)]


@pytest.mark.parametrize("counts", COUNTS)
@pytest.mark.parametrize("backend", BACKENDS)
def test_weights_and_their_gradient(backend, counts):
    sigma, delta, _, offsets = random_rays(counts)
    upstream = torch.randn(len(sigma), generator=torch.Generator().manual_seed(1))
    sigma.requires_grad_()
    found = BACKENDS[backend][0](sigma, delta, offsets)
    exact = sigma.detach().double().requires_grad_()
    rays = zip(split(exact, offsets), split(delta.double(), offsets), strict=True)
    expected = torch.cat([literal_weights(s, d) for s, d in rays] or [exact])
    torch.testing.assert_close(found, expected.float(), rtol=1e-5, atol=1e-6)
    (gradient,) = torch.autograd.grad(found, sigma, upstream)
    (wanted,) = torch.autograd.grad(expected, exact, upstream.double())
    torch.testing.assert_close(gradient, wanted.float(), rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("counts", COUNTS)
@pytest.mark.parametrize("backend", BACKENDS)
def test_sums_and_their_gradients(backend, counts):
    weights, _, _, offsets = random_rays(counts)
    values = torch.randn(len(weights), 3, generator=torch.Generator().manual_seed(2))
    upstream = torch.randn(len(counts), 3, generator=torch.Generator().manual_seed(3))
    weights.requires_grad_(), values.requires_grad_()
    found = BACKENDS[backend][1](weights, values, offsets)
    rows = [(w[:, None] * v).sum(0) for w, v in zip(split(weights, offsets), split(values, offsets), strict=True)]
    expected = torch.stack(rows) if rows else torch.zeros(0, 3)
    torch.testing.assert_close(found, expected, rtol=1e-5, atol=1e-4)
    if sum(counts):
        gradients = torch.autograd.grad(found, [weights, values], upstream)
        wanted = torch.autograd.grad(expected, [weights, values], upstream)
        for one, other in zip(gradients, wanted, strict=True):
            torch.testing.assert_close(one, other, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("counts", COUNTS)
@pytest.mark.parametrize("backend", BACKENDS)
def test_distortion_and_its_gradient(backend, counts):
    sigma, delta, position, offsets = random_rays(counts)
    weights = (sigma / 30).requires_grad_()
    found = BACKENDS[backend][2](weights, position, delta, offsets)
    exact = weights.detach().double().requires_grad_()
    rays = zip(*(split(values, offsets) for values in (exact, position.double(), delta.double())), strict=True)
    terms = [literal_distortion(*ray) for ray in rays]
    expected = torch.stack(terms) if terms else exact
    torch.testing.assert_close(found, expected.float(), rtol=1e-4, atol=1e-4)
    if sum(counts):
        (gradient,) = torch.autograd.grad(found.sum(), weights)
        (wanted,) = torch.autograd.grad(expected.sum(), exact)
        torch.testing.assert_close(gradient, wanted.float(), rtol=1e-4, atol=1e-4)


def test_weights_sum_to_the_opacity():
    sigma, delta, _, offsets = random_rays([40, 7])
    sums = accumulate(render_weights(sigma, delta, offsets), torch.ones(47, 1), offsets)[:, 0]
    opacity = torch.stack(
        [1 - torch.exp(-(s * d).sum()) for s, d in zip(split(sigma, offsets), split(delta, offsets), strict=True)]
    )
    torch.testing.assert_close(sums, opacity)


def test_ray_indices_skip_empty_rays():
    assert ray_indices(torch.tensor([0, 2, 2, 3]), 3).tolist() == [0, 0, 2]


def test_lengths_of_another_count_are_refused():
    with pytest.raises(ValueError, match="delta: expected shape"):
        render_weights(torch.zeros(3), torch.zeros(2), torch.tensor([0, 3]))
