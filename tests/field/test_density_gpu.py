"""The kernels of densities along rays against plain PyTorch in float64."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from ultrafield.config import GeometryConfig
from ultrafield.field.level_set import LevelSet
from ultrafield.field.mlp import truncated_exp
from ultrafield.field.samples import FixedSamples, Samples
from ultrafield.field.volrend import ray_indices

pytest.importorskip("triton", reason="needs Triton")

COUNTS = [[1], [0, 1], [5, 0, 1, 30], [0, 0, 70, 128, 3, 55, 0]]


@pytest.fixture(autouse=True)
def poisoned_results(monkeypatch):
    """Fill what kernels are to write with nonsense."""
    monkeypatch.setattr(torch, "empty_like", lambda tensor: torch.full_like(tensor, torch.nan))


def exponential(raw: Tensor, samples: FixedSamples) -> tuple[Tensor, Tensor]:
    from ultrafield.field.kernels.density_gpu import exponential_gpu

    return exponential_gpu(raw, samples)


def level_set(width: float, sections: float) -> LevelSet:
    made = LevelSet(GeometryConfig())
    made.width.fill_(width)
    made.sections.fill_(sections)
    return made


def random_surface(counts: list[int], channels: int) -> tuple[Tensor, Samples]:
    """Outputs [S, N] of a network around a surface, at samples some of which do not adjoin."""
    generator = torch.Generator().manual_seed(sum(counts))
    offsets = torch.tensor([0, *counts]).cumsum(0)
    number = int(offsets[-1])
    delta = 0.01 + 0.01 * torch.rand(number, generator=generator)
    skipped = torch.rand(number, generator=generator) < 0.2
    t = (delta * (1 + skipped)).cumsum(0)
    raw = torch.randn(number, channels, generator=generator)
    raw[:, 0] = raw[:, 0] * 0.6 - 1
    return raw, Samples(offsets, t, delta)


def fixed(samples: Samples, room: int, device: str) -> FixedSamples:
    """The samples in arrays with so much room behind them, in which nonsense stands."""
    owner = ray_indices(samples.offsets, len(samples)).int()
    t, delta = (torch.cat([column, torch.full((room,), torch.nan)]) for column in (samples.t, samples.delta))
    rays = torch.cat([owner, torch.full((room,), 7, dtype=torch.int32)])
    complete = torch.ones(len(samples.offsets) - 1, dtype=torch.bool)
    return FixedSamples(*(part.to(device) for part in (samples.offsets, t, delta, rays, complete)))


def expected_density(made: LevelSet, raw: Tensor, samples: Samples) -> Tensor:
    """The density of each sample as plain PyTorch in float64 has it."""
    exact = Samples(samples.offsets, samples.t.double(), samples.delta.double())
    made = made.double()
    return made.ray_density(made.density(raw[:, 0]), raw[:, 0], exact, ray_indices(samples.offsets, len(samples)))


@pytest.mark.parametrize("room", [0, 300])
@pytest.mark.parametrize(("width", "sections"), [(0.05, 0.0), (0.02, 0.6), (0.008, 1.0)])
@pytest.mark.parametrize("counts", COUNTS)
def test_densities_and_their_gradient(kernel_device, counts, width, sections, room):
    raw, samples = random_surface(counts, 16)
    number = len(raw)
    padded = torch.cat([raw, torch.full((room, 16), torch.nan)]).to(kernel_device).requires_grad_()
    there = level_set(width, sections).to(kernel_device)
    sigma, _ = there.along(padded, fixed(samples, room, kernel_device))
    exact = raw.double().requires_grad_()
    wanted = expected_density(level_set(width, sections), exact, samples)
    # Depths of up to 20 are rounded to float32 and divided by lengths of 0.01.
    torch.testing.assert_close(sigma[:number].cpu().double(), wanted, rtol=1e-5, atol=5e-4)
    assert not bool(sigma[number:].any())
    upstream = torch.randn(number, generator=torch.Generator().manual_seed(1))
    (wanted_gradient,) = torch.autograd.grad(wanted, exact, upstream.double())
    with_room = torch.cat([upstream, torch.full((room,), torch.nan)]).to(kernel_device)
    (gradient,) = torch.autograd.grad(sigma, padded, with_room)
    torch.testing.assert_close(gradient[:number].cpu().double(), wanted_gradient, rtol=1e-4, atol=1e-3)
    assert not bool(gradient[:, 1:].any())
    assert not bool(gradient[number:].any())


def test_densities_where_hardly_any_light_is_stopped(kernel_device):
    samples = Samples(torch.tensor([0, 5]), torch.arange(5) * 0.01, torch.full((5,), 0.01))
    raw = torch.tensor([2.0, 1.0, 0.5, 0.0, -0.3])[:, None]
    sigma, _ = level_set(0.008, 1.0).to(kernel_device).along(raw.to(kernel_device), fixed(samples, 3, kernel_device))
    wanted = expected_density(level_set(0.008, 1.0), raw.double(), samples)
    assert float(wanted[0]) < 1e-14
    torch.testing.assert_close(sigma[:5].cpu().double(), wanted, rtol=1e-4, atol=0)


@pytest.mark.parametrize("room", [0, 300])
@pytest.mark.parametrize("counts", COUNTS)
def test_exponentials_and_their_gradient(kernel_device, counts, room):
    raw, samples = random_surface(counts, 16)
    raw[:, 0] *= 12  # some of them beyond 15 and -15
    number = len(raw)
    padded = torch.cat([raw, torch.full((room, 16), torch.nan)]).to(kernel_device).requires_grad_()
    sigma, _ = exponential(padded, fixed(samples, room, kernel_device))
    exact = raw.double().requires_grad_()
    wanted = truncated_exp(exact[:, 0])
    torch.testing.assert_close(sigma[:number].cpu().double(), wanted, rtol=1e-5, atol=0)  # exponents are rounded
    assert not bool(sigma[number:].any())
    upstream = torch.randn(number, generator=torch.Generator().manual_seed(1))
    (wanted_gradient,) = torch.autograd.grad(wanted, exact, upstream.double())
    with_room = torch.cat([upstream, torch.full((room,), torch.nan)]).to(kernel_device)
    (gradient,) = torch.autograd.grad(sigma, padded, with_room)
    torch.testing.assert_close(gradient[:number].cpu().double(), wanted_gradient, rtol=1e-5, atol=0)
    assert not bool(gradient[number:].any())


@pytest.mark.parametrize("surface", [False, True])
@pytest.mark.parametrize("channels", [1, 3, 16])
def test_gradients_of_whatever_else_is_made_of_the_output_are_added(kernel_device, channels, surface):
    raw, samples = random_surface([5, 0, 1, 30], channels)
    made = level_set(0.02, 0.6).to(kernel_device).along if surface else exponential
    inputs = raw.to(kernel_device).requires_grad_()
    sigma, vectors = made(inputs, fixed(samples, 0, kernel_device))
    assert torch.equal(vectors, inputs)
    upstream = torch.randn(len(raw), 2 * channels + 1, generator=torch.Generator().manual_seed(1)).to(kernel_device)
    asked = (upstream[:, -1], upstream[:, :channels])
    (alone,) = torch.autograd.grad(sigma, inputs, asked[0], retain_graph=True)
    assert bool(alone[:, 0].any())
    for other in (asked[1], asked[1].T.contiguous().T):  # rows and columns of neighbours in memory
        (both,) = torch.autograd.grad((sigma, vectors), inputs, (asked[0], other), retain_graph=True)
        torch.testing.assert_close(both, alone + asked[1], rtol=1e-5, atol=1e-5)  # a card multiplies and adds in one
    (second,) = torch.autograd.grad(vectors, inputs, asked[1])
    assert torch.equal(second, asked[1])


@pytest.mark.parametrize("surface", [False, True])
@pytest.mark.parametrize(("counts", "room"), [([], 0), ([0, 0], 0), ([0], 8)])
def test_no_samples_have_no_densities(kernel_device, counts, room, surface):
    raw, samples = random_surface(counts, 16)
    padded = torch.cat([raw, torch.ones(room, 16)]).to(kernel_device).requires_grad_()
    made = level_set(0.02, 0.6).to(kernel_device).along if surface else exponential
    sigma, _ = made(padded, fixed(samples, room, kernel_device))
    assert len(sigma) == room
    assert not bool(sigma.any())
    (gradient,) = torch.autograd.grad(sigma.sum(), padded)
    assert not bool(gradient.any())
