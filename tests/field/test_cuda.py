"""The CUDA path of every field operation against the CPU's."""

from __future__ import annotations

import pytest
import torch

from ultrafield.config import HashGridConfig
from ultrafield.field.hashgrid import HashGrid, encode
from ultrafield.field.march import march, step_edges
from ultrafield.field.occupancy import OccupancyGrid
from ultrafield.field.volrend import accumulate, distortion, render_weights

pytestmark = [pytest.mark.gpu, pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")]


@pytest.mark.parametrize("count", [0, 1, 4097])
def test_encode_and_its_gradients(count):
    generator = torch.Generator().manual_seed(0)
    grid = HashGrid(HashGridConfig(6, 4, 12, 4, 128), generator=generator)
    with torch.no_grad():
        grid.table.normal_(generator=generator)
    x = torch.rand(count, 3, generator=generator) * 1.1 - 0.05
    upstream = torch.randn(count, 24, generator=generator)
    results = []
    for device in ("cpu", "cuda"):
        position = x.to(device).requires_grad_()
        table = grid.table.detach().to(device).requires_grad_()
        encoded = encode(position, table, grid.layout)
        gradients = torch.autograd.grad(encoded, [position, table], upstream.to(device))
        results.append([encoded, *gradients])
    for one, other in zip(*results, strict=True):
        # float32 sums in another order, by atomic additions on the GPU.
        torch.testing.assert_close(other.cpu(), one, rtol=1e-4, atol=2e-4)


@pytest.mark.parametrize("cascades", [1, 3])
def test_march(cascades):
    generator = torch.Generator().manual_seed(0)
    grid = OccupancyGrid(cascades=cascades, resolution=16)
    grid.occupied.copy_(torch.rand(grid.occupied.shape, generator=generator) < 0.2)
    origins = torch.randn(500, 3, generator=generator)
    directions = torch.nn.functional.normalize(-origins + 0.4 * torch.randn(500, 3, generator=generator), dim=1)
    jitter = torch.rand(500, generator=generator)
    edges = step_edges(0.05, 6.0, 0.01, 1 / 64 if cascades > 1 else 0.0)
    cpu, _ = march(origins, directions, grid, edges, jitter=jitter)
    cuda, _ = march(origins.cuda(), directions.cuda(), grid.cuda(), edges.cuda(), jitter=jitter.cuda())
    # Samples within rounding of a cell border may go either way.
    assert abs(len(cpu) - len(cuda)) <= 0.002 * len(cpu)
    same = cpu.offsets.diff() == cuda.offsets.diff().cpu()
    assert float(same.float().mean()) > 0.95


def test_rendering_and_its_gradients():
    generator = torch.Generator().manual_seed(0)
    counts = torch.randint(0, 60, (300,), generator=generator)
    offsets = torch.cat([torch.zeros(1, dtype=torch.int64), counts.cumsum(0)])
    total = int(offsets[-1])
    sigma, delta = torch.rand(total, generator=generator) * 20, torch.rand(total, generator=generator) * 0.05
    position, values = torch.arange(total) / total, torch.rand(total, 3, generator=generator)
    results = []
    for device in ("cpu", "cuda"):
        d, p, o = (tensor.to(device) for tensor in (delta, position, offsets))
        s, v = sigma.to(device).requires_grad_(), values.to(device).requires_grad_()
        weights = render_weights(s, d, o)
        loss = accumulate(weights, v, o).square().sum() + distortion(weights, p, d, o).sum()
        results.append([weights, *torch.autograd.grad(loss, [s, v])])
    for one, other in zip(*results, strict=True):
        torch.testing.assert_close(other.cpu(), one, rtol=1e-3, atol=1e-4)
