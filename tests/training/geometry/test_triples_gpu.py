"""The kernel that draws triples against plain PyTorch, from the same random numbers."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch

from ultrafield.cameras import Cameras, Lens
from ultrafield.field.rays import ray_table
from ultrafield.masks import build_mask_set
from ultrafield.scene import Split, View
from ultrafield.training.geometry.planes import MaskedPixels
from ultrafield.training.pixels import PixelPool

from .test_quadruples import HEIGHT, WIDTH, some_masks, without_masks

pytest.importorskip("triton", reason="needs Triton")


def masked_pixels(scale: int, *, ignored: bool) -> MaskedPixels:
    """Pixels of three pictures, one without masks; lenses bend rays, some of which are missing."""
    masks = build_mask_set(some_masks())
    views = (View("a", None, masks), View("b", None, without_masks()), View("c", None, masks))
    size = np.array([WIDTH, HEIGHT]) * scale
    cameras = Cameras.pinhole(np.tile(np.eye(4)[:3], (3, 1, 1)), np.array([20.0, 20.0, 7.5, 6.0]) * scale, size)
    distortion = np.array([[0.3, -0.1] + [0.0] * 6, [0.0] * 8, [-0.05] + [0.0] * 7])
    cameras = replace(cameras, lenses=np.array([Lens.OPENCV] * 3), distortion=distortion)
    table, count = ray_table(cameras), int(size.prod())
    table.directions[count // 2 : count // 2 + 5] = torch.nan
    valid = (torch.arange(3 * count) % 7 > 1).nonzero()[:, 0] if ignored else None
    colors = torch.zeros((3 * count, 3), dtype=torch.uint8)
    return MaskedPixels.of(Split(views, cameras), PixelPool(table, colors, None, torch.arange(4) * count, valid))


@pytest.mark.parametrize(("count", "scale", "ignored"), [(1, 1, False), (1000, 1, True), (1000, 3, False)])
def test_triples_are_those_of_the_plain_form(kernel_device, count, scale, ignored):
    from ultrafield.training.geometry.kernels.triples_gpu import triples_gpu

    pixels, reach = masked_pixels(scale, ignored=ignored), 4
    wanted = pixels.draw(count, reach, torch.Generator().manual_seed(0))
    chance = torch.rand((3, count), generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    pool = pixels.pool
    rays = replace(pool.rays, **{name: getattr(pool.rays, name).to(kernel_device) for name in ("directions", "starts")})
    valid = None if pool.valid is None else pool.valid.to(kernel_device)
    there = replace(pool, rays=rays, starts=pool.starts.to(kernel_device), valid=valid)
    number = 3 * WIDTH * HEIGHT * scale**2 if valid is None else len(valid)
    columns = (pixels.numbers, pixels.firsts, pixels.sizes, pixels.mask_sizes, pixels.lines)
    found = triples_gpu(chance.to(kernel_device), there, number, *(column.to(kernel_device) for column in columns), 3)
    views, places, part, counted = (column.cpu() for column in found)
    assert torch.equal(views, wanted.views)
    assert torch.equal(places, wanted.pixels)
    used = pool.uses(pool.starts[views][:, None] + places).all(1)
    assert torch.equal(counted & used, wanted.counted)
    # Directions differ by 0.03 and are rounded to 1e-7.
    torch.testing.assert_close(part, wanted.part, rtol=0, atol=1e-5)
    assert count == 1 or (0.02 < counted.float().mean() < 0.9 and part[counted].std() > 1e-4)


def test_no_triples(kernel_device):
    from ultrafield.training.geometry.kernels.triples_gpu import triples_gpu

    pixels, none = masked_pixels(1, ignored=False), torch.zeros(3, 0, dtype=torch.float64)
    columns = (pixels.numbers, pixels.firsts, pixels.sizes, pixels.mask_sizes, pixels.lines)
    found = triples_gpu(none.to(kernel_device), pixels.pool, 1, *(column.to(kernel_device) for column in columns), 3)
    assert [column.shape for column in found] == [(0,), (0, 3), (0,), (0,)]
