"""Points along rays and joined rows, against plain PyTorch."""

from __future__ import annotations

import pytest
import torch

from ultrafield.field.model import to_unit_cube
from ultrafield.field.samples import FixedSamples

pytest.importorskip("triton")


@pytest.mark.parametrize("bounded", [True, False])
@pytest.mark.parametrize("room", [0, 13])
def test_points_are_those_of_the_plain_form(kernel_device, bounded, room):
    from ultrafield.field.kernels.points_gpu import sample_points_gpu

    generator = torch.Generator().manual_seed(0)
    rays_o = torch.randn(40, 3, generator=generator)
    rays_d = torch.nn.functional.normalize(torch.randn(40, 3, generator=generator), dim=1)
    counts = torch.randint(0, 17, (40,), generator=generator)
    offsets = torch.cat([torch.zeros(1, dtype=torch.int64), counts.cumsum(0)])
    total = int(offsets[-1])
    rays = torch.arange(40).repeat_interleave(counts)
    t = 4 * torch.rand(total, generator=generator)
    expected = to_unit_cube(rays_o[rays] + t[:, None] * rays_d[rays], bounded=bounded)
    filling = torch.full((room,), 7.0)
    samples = FixedSamples(
        offsets,
        torch.cat([t, filling]),
        torch.cat([t, filling]),
        torch.cat([rays, rays.new_zeros(room)]).int(),
        torch.ones(40, dtype=torch.bool),
    )
    moved = FixedSamples(*(getattr(samples, name).to(kernel_device) for name in samples.__dataclass_fields__))
    found = sample_points_gpu(rays_o.to(kernel_device), rays_d.to(kernel_device), moved, bounded=bounded).cpu()
    torch.testing.assert_close(found[:total], expected, rtol=1e-6, atol=1e-6)  # a few float32 roundings
    assert (found[total:] == 0).all()


@pytest.mark.parametrize(("count", "widths"), [(0, (16, 16)), (1, (3, 5)), (131, (16, 16)), (70, (7, 1))])
def test_rows_are_joined(kernel_device, count, widths):
    from ultrafield.field.kernels.points_gpu import join_rows_gpu

    generator = torch.Generator().manual_seed(0)
    rows = torch.randn(count, widths[0], generator=generator).to(kernel_device).requires_grad_()
    table = torch.randn(9, widths[1], generator=generator).to(kernel_device)
    index = torch.randint(0, 9, (count,), generator=generator, dtype=torch.int32).to(kernel_device)
    joined = join_rows_gpu(rows, table, index)
    assert torch.equal(joined, torch.cat([rows, table[index.long()]], dim=1))
    upstream = torch.randn(count, sum(widths), generator=generator).to(kernel_device)
    (gradient,) = torch.autograd.grad(joined, rows, upstream)
    assert torch.equal(gradient, upstream[:, : widths[0]])
