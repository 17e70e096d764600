"""The kernel that weakens gradients near cameras against plain PyTorch in float64."""

from __future__ import annotations

import pytest
import torch

pytest.importorskip("triton", reason="needs Triton")


@pytest.mark.parametrize("count", [0, 1, 700])
@pytest.mark.parametrize("shape", [(), (1,), (3,)])
def test_gradients_are_weakened_by_the_square_of_the_distance(kernel_device, count, shape):
    from ultrafield.training.geometry.kernels.near_gpu import weaken_gpu

    generator = torch.Generator().manual_seed(0)
    gradient, distance = torch.randn(count, *shape, generator=generator), 3 * torch.rand(count, generator=generator)
    strided = gradient.T.contiguous().T if gradient.ndim == 2 else gradient
    found = weaken_gpu(strided.to(kernel_device), distance.to(kernel_device), 2.0)
    share = (distance.double() / 2).square().clamp(max=1).view(-1, *(1 for _ in shape))
    torch.testing.assert_close(found.cpu().double(), gradient * share, rtol=1e-6, atol=0)  # float32 roundings
