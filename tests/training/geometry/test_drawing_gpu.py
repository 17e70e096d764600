"""The kernels that draw pixels against plain Python and PyTorch, from the same random numbers."""

from __future__ import annotations

import pytest
import torch

from ultrafield.masks import build_mask_set
from ultrafield.scene import View
from ultrafield.training.geometry.outlines import Outlines

from .test_planes import cameras, masked_pixels, random
from .test_quadruples import some_masks, without_masks

pytest.importorskip("triton", reason="needs Triton")


@pytest.mark.parametrize(
    ("first", "last", "chosen"), [(0, 1, False), (3, 40, False), (5_000_000_000, 5_000_000_007, False), (3, 40, True)]
)
@pytest.mark.parametrize("count", [0, 1, 600])
def test_pixels_between_bounds(kernel_device, count, first, last, chosen):
    from ultrafield.training.geometry.kernels.drawing_gpu import pixels_between_gpu

    chance = torch.rand(count, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    if count > 1:
        chance[:2] = torch.tensor([0.0, 1.0 - 2.0**-53], dtype=torch.float64)
    valid = torch.arange(50) ** 2 if chosen else None
    wanted = [first + min(int(number * (last - first)), last - first - 1) for number in chance.tolist()]
    bounds = (torch.tensor([bound], device=kernel_device) for bound in (first, last))
    there = None if valid is None else valid.to(kernel_device)
    found = pixels_between_gpu(chance.to(kernel_device), *bounds, there)
    assert found.tolist() == [pixel**2 if chosen else pixel for pixel in wanted]


@pytest.mark.parametrize("count", [0, 1, 600])
def test_pixels_along_outlines(kernel_device, count):
    from ultrafield.training.geometry.kernels.drawing_gpu import pixels_along_gpu

    masks = build_mask_set(some_masks())
    views = (View("a", None, without_masks()), View("b", None, masks), View("c", None, None), View("d", None, masks))
    outlines = Outlines.of(masked_pixels(cameras(4), *views))
    chance = torch.rand(count, generator=random(), dtype=torch.float64)
    columns = (chance, outlines.inside, outlines.starts, outlines.pool.starts)
    found = pixels_along_gpu(*(column.to(kernel_device) for column in columns))
    assert torch.equal(found.cpu(), outlines.draw(count, random()))
