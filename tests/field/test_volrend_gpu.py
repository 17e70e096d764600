"""The compositing kernels against the CPU's, whose own oracle is one ray at a time in float64."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from ultrafield.field.volrend import accumulate, distortion, ray_indices, render_weights

pytest.importorskip("triton", reason="needs Triton")

from ultrafield.field.kernels.accumulate_gpu import accumulate_gpu
from ultrafield.field.kernels.volrend_gpu import distortion_gpu, ray_indices_gpu, render_weights_gpu

from .conftest import random_runs

COUNTS = [[], [0], [1], [3, 0, 5, 1], [0, 0, 70, 33, 2], [int(n) for n in 25 * (1 + torch.sin(torch.arange(70.0)))]]
LONG = [2, 1500, 0, 1]  # one run of very many samples
TAIL = 37  # entries behind the last sample; what they hold must not matter
TAILS = [TAIL, 0]  # without any, the array may end within one of the groups of four that are read at once


def with_tail(values: Tensor, device: str, tail: int = TAIL) -> Tensor:
    return torch.cat([values.detach(), torch.full((tail, *values.shape[1:]), torch.nan)]).to(device)


def assert_same(found: Tensor, wanted: Tensor, *, rtol: float, atol: float) -> None:
    """Equal on the samples and zero behind them."""
    torch.testing.assert_close(found[: len(wanted)].cpu(), wanted.detach(), rtol=rtol, atol=atol)
    assert not bool(found[len(wanted) :].any())


@pytest.mark.parametrize("tail", TAILS)
@pytest.mark.parametrize("counts", [*COUNTS, LONG])
def test_weights_and_their_gradient(kernel_device, counts, tail):
    sigma, delta, _, offsets = random_runs(counts)
    sigma /= 1 + 0.1 * max(counts, default=0)  # some light is left behind a long run
    upstream = torch.randn(len(sigma), generator=torch.Generator().manual_seed(1))
    exact, padded = sigma.requires_grad_(), with_tail(sigma, kernel_device, tail).requires_grad_()
    wanted = render_weights(exact, delta, offsets)
    found = render_weights_gpu(padded, with_tail(delta, kernel_device, tail), offsets.to(kernel_device))
    # float32 sums in another order.
    assert_same(found, wanted, rtol=1e-5, atol=1e-6)
    (wanted_gradient,) = torch.autograd.grad(wanted, exact, upstream)
    (gradient,) = torch.autograd.grad(found, padded, with_tail(upstream, kernel_device, tail))
    assert_same(gradient, wanted_gradient, rtol=1e-4, atol=1e-5)


def test_weights_behind_an_opaque_sample_and_of_a_thin_one(kernel_device):
    sigma, delta = torch.tensor([1e-5, 0.5, 1e8, 3.0]), torch.ones(4)
    found = render_weights_gpu(sigma.to(kernel_device), delta.to(kernel_device), torch.tensor([0, 4]).to(kernel_device))
    depth = torch.tensor([0.0, 1e-5, 0.50001, 1e8], dtype=torch.float64)
    wanted = torch.exp(-depth) * -torch.expm1(-sigma.double())
    # The thin sample keeps its relative precision, the opaque one the light in front of it.
    torch.testing.assert_close(found.cpu(), wanted.float(), rtol=1e-6, atol=0)


@pytest.mark.parametrize("start", [1, 2, 3])
def test_columns_that_begin_anywhere_in_memory(kernel_device, start):
    sigma, delta, _, offsets = random_runs([3, 0, 4, 1])  # a multiple of four, so that nothing is copied
    shifted = [torch.cat([column.new_full((start,), torch.nan), column]).to(kernel_device) for column in (sigma, delta)]
    found = render_weights_gpu(*(column[start:] for column in shifted), offsets.to(kernel_device))
    torch.testing.assert_close(found.cpu(), render_weights(sigma, delta, offsets), rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("tail", TAILS)
@pytest.mark.parametrize("counts", [*COUNTS, LONG])
def test_distortion_and_its_gradient(kernel_device, counts, tail):
    sigma, delta, position, offsets = random_runs(counts)
    exact = (sigma / max(30, *counts, 0)).requires_grad_()
    padded = with_tail(exact, kernel_device, tail).requires_grad_()
    wanted = distortion(exact, position, delta, offsets)
    tails = (with_tail(position, kernel_device, tail), with_tail(delta, kernel_device, tail))
    found = distortion_gpu(padded, *tails, offsets.to(kernel_device))
    # Differences of float32 sums on both sides.
    torch.testing.assert_close(found.cpu(), wanted, rtol=1e-4, atol=1e-4)
    upstream = torch.randn(len(counts), generator=torch.Generator().manual_seed(1))
    (wanted_gradient,) = torch.autograd.grad(wanted, exact, upstream)
    (gradient,) = torch.autograd.grad(found, padded, upstream.to(kernel_device))
    assert_same(gradient, wanted_gradient, rtol=1e-4, atol=1e-4)
    with torch.no_grad():  # no slopes are kept then
        again = distortion_gpu(padded, *tails, offsets.to(kernel_device))
    assert torch.equal(again, found.detach())


@pytest.mark.parametrize("channels", [1, 3, 5, 20, 130])
@pytest.mark.parametrize("counts", COUNTS)
def test_sums_and_their_gradients(kernel_device, counts, channels):
    weights, _, _, offsets = random_runs(counts)
    generator = torch.Generator().manual_seed(2)
    values = torch.randn(len(weights), channels, generator=generator)
    upstream = torch.randn(len(counts), channels, generator=generator)
    exact = (weights.requires_grad_(), values.requires_grad_())
    padded = tuple(with_tail(tensor, kernel_device).requires_grad_() for tensor in exact)
    wanted = accumulate(*exact, offsets)
    found = accumulate_gpu(*padded, offsets.to(kernel_device))
    # float32 sums in another order, of terms up to about 100.
    torch.testing.assert_close(found.cpu(), wanted, rtol=1e-5, atol=1e-3)
    wanted_gradients = torch.autograd.grad(wanted, exact, upstream)
    gradients = torch.autograd.grad(found, padded, upstream.to(kernel_device))
    for gradient, wanted_gradient in zip(gradients, wanted_gradients, strict=True):
        assert_same(gradient, wanted_gradient, rtol=1e-5, atol=1e-4)


@pytest.mark.parametrize("wanted", [0, 1])
def test_only_one_gradient_of_a_sum(kernel_device, wanted):
    weights, _, _, offsets = random_runs([3, 0, 5, 1])
    inputs = [
        weights.to(kernel_device),
        torch.randn(9, 3, generator=torch.Generator().manual_seed(2)).to(kernel_device),
    ]
    both = [tensor.clone().requires_grad_() for tensor in inputs]
    expected = torch.autograd.grad(accumulate_gpu(*both, offsets.to(kernel_device)).square().sum(), both)
    inputs[wanted].requires_grad_()
    (found,) = torch.autograd.grad(accumulate_gpu(*inputs, offsets.to(kernel_device)).square().sum(), inputs[wanted])
    assert torch.equal(found, expected[wanted])


@pytest.mark.parametrize("counts", COUNTS)
def test_ray_of_each_sample(kernel_device, counts):
    offsets = torch.tensor([0, *counts]).cumsum(0)
    found = ray_indices_gpu(offsets.to(kernel_device), sum(counts) + TAIL)
    assert found.tolist() == ray_indices(offsets, sum(counts)).tolist() + [0] * TAIL
