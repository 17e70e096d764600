"""The kernel of spherical harmonics against plain PyTorch in float64, which is held against scipy's elsewhere."""

from __future__ import annotations

import pytest
import torch

from ultrafield.field.mlp import spherical_harmonics

pytest.importorskip("triton", reason="needs Triton")


@pytest.mark.parametrize("count", [0, 1, 131])
def test_harmonics_are_those_of_the_plain_form(kernel_device, count):
    from ultrafield.field.kernels.harmonics_gpu import harmonics_gpu

    directions = torch.randn(count, 3, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    directions = torch.nn.functional.normalize(directions, dim=1)
    strided = directions.float().T.contiguous().T.to(kernel_device)
    found = harmonics_gpu(strided)
    # Roundings of coordinates and of products of three of them.
    torch.testing.assert_close(found.cpu().double(), spherical_harmonics(directions), rtol=0, atol=1e-6)
