"""Rays through pixels and the pictures that pixels lie in, against plain PyTorch."""

from __future__ import annotations

import pytest
import torch

from ultrafield.field.rays import RayTable

pytest.importorskip("triton", reason="needs Triton")

SIZES = torch.tensor([[7, 5], [4, 4], [7, 5], [1, 9]])


def random_table() -> RayTable:
    """Four cameras of three lenses; one pixel has no ray."""
    generator = torch.Generator().manual_seed(0)
    directions = torch.cat([torch.randn(60, 2, generator=generator), torch.ones(60, 1)], dim=1)
    directions[37] = torch.nan
    return RayTable(torch.randn(4, 3, 4, generator=generator), directions, torch.tensor([0, 35, 0, 51]), SIZES)


@pytest.mark.parametrize("count", [0, 1, 131])
def test_rays_are_those_of_the_plain_form(kernel_device, count):
    from ultrafield.field.kernels.rays_gpu import rays_gpu

    table, generator = random_table(), torch.Generator().manual_seed(1)
    camera = torch.randint(0, 4, (count,), generator=generator)
    pixel = (torch.rand(count, generator=generator) * SIZES.prod(1)[camera]).long()
    exact = RayTable(table.c2w.double(), table.directions.double(), table.starts, table.sizes)
    columns = (table.c2w, table.directions, table.starts, camera, pixel)
    found = rays_gpu(*(column.to(kernel_device) for column in columns))
    for one, other in zip(found, exact.rays(camera, pixel), strict=True):
        assert one.dtype == torch.float32
        # A few float32 roundings of sums of numbers around one.
        torch.testing.assert_close(one.cpu().double(), other, rtol=2e-6, atol=2e-6, equal_nan=True)


def test_rays_of_one_camera_that_lacks_some(kernel_device):
    from ultrafield.field.kernels.rays_gpu import rays_gpu

    table = random_table()
    camera, pixel = torch.tensor([1]).expand(16), torch.arange(16)
    columns = (table.c2w, table.directions, table.starts, camera, pixel)
    origins, directions, cosine = (part.cpu() for part in rays_gpu(*(column.to(kernel_device) for column in columns)))
    assert torch.equal(origins, table.c2w[1, :, 3].expand(16, 3))
    assert directions.isfinite().all(1).tolist() == [row != 2 for row in range(16)]
    assert cosine.isfinite().tolist() == [row != 2 for row in range(16)]


@pytest.mark.parametrize(
    "sizes", [[1], [300], [3, 5], [0, 2, 0, 0, 7, 1, 0], [40] * 7, [int(n) % 5 for n in range(131)]]
)
def test_pixels_lie_in_their_runs(kernel_device, sizes):
    from ultrafield.field.kernels.rays_gpu import locate_gpu

    starts = torch.tensor([0, *sizes]).cumsum(0)
    pixels = torch.arange(int(starts[-1])).flip(0)
    runs, inside = locate_gpu(starts.to(kernel_device), pixels.to(kernel_device))
    places = [(run, place) for run, size in enumerate(sizes) for place in range(size)][::-1]
    assert list(zip(runs.tolist(), inside.tolist(), strict=True)) == places


def test_no_pixels_lie_nowhere(kernel_device):
    from ultrafield.field.kernels.rays_gpu import locate_gpu

    starts, none = torch.tensor([0, 4], device=kernel_device), torch.zeros(0, dtype=torch.int64, device=kernel_device)
    assert [len(part) for part in locate_gpu(starts, none)] == [0, 0]
