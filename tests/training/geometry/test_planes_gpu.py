"""The kernels of the loss of triples against plain PyTorch in float64."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from ultrafield.config import GeometryConfig
from ultrafield.training.geometry.losses import planarity

pytest.importorskip("triton", reason="needs Triton")

SETTINGS = GeometryConfig(planar_weight=1.0)


def random_triples(count: int) -> tuple[Tensor, Tensor, Tensor, Tensor, Tensor]:
    """Depths, opacities, parts, focal lengths, and which triples count."""
    generator = torch.Generator().manual_seed(count)
    opacity = 0.4 + 0.6 * torch.rand(3 * count, generator=generator)
    depth = (1 + 0.2 * torch.rand(3 * count, generator=generator)) * opacity
    part, focal = torch.rand(2, count, generator=generator)
    counted = torch.rand(count, generator=generator) < 0.8
    return depth, opacity, 0.3 + 0.4 * part, 10 + 90 * focal, counted


@pytest.mark.parametrize("count", [1, 3, 300])
def test_the_loss_and_its_gradients(kernel_device, count):
    from ultrafield.training.geometry.kernels.planes_gpu import planarity_gpu

    *columns, counted = random_triples(count)
    exact = [column.double() for column in columns]
    wanted = planarity(exact[0].requires_grad_(), exact[1].requires_grad_(), *exact[2:], SETTINGS, counted=counted)
    depth, opacity, *_ = columns
    opaque = (opacity.view(-1, 3) > 0.5).all(1)
    depth.view(-1, 3)[~counted | ~opaque] = torch.nan  # what does not count must not matter
    opacity.view(-1, 3)[~counted] = torch.nan
    given = [column.to(kernel_device) for column in columns]
    learned = [column.requires_grad_() for column in given[:2]]
    found = planarity_gpu(*given, counted.to(kernel_device), opaque=0.5, tolerance=4.0)
    # A difference of two float32 numbers around one, times a hundred.
    torch.testing.assert_close(found.cpu().double(), wanted, rtol=1e-5, atol=1e-5)
    gradients, expected = torch.autograd.grad(found, learned), torch.autograd.grad(wanted, exact[:2])
    for gradient, other in zip(gradients, expected, strict=True):
        torch.testing.assert_close(gradient.cpu().double(), other, rtol=1e-4, atol=1e-5)
        assert count < 300 or bool(other.any())


@pytest.mark.parametrize("count", [0, 5])
def test_where_no_triple_counts_nothing_is_lost(kernel_device, count):
    from ultrafield.training.geometry.kernels.planes_gpu import planarity_gpu

    *columns, _ = (column.to(kernel_device) for column in random_triples(count))
    learned = [column.requires_grad_() for column in columns[:2]]
    none = torch.zeros(count, dtype=torch.bool, device=kernel_device)
    found = planarity_gpu(*columns, none, opaque=0.5, tolerance=4.0)
    assert float(found.detach()) == 0
    assert not any(bool(gradient.any()) for gradient in torch.autograd.grad(found, learned))
