"""The marching kernels against the CPU's march, sample for sample."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from ultrafield.field.kernels.march_torch import march_torch
from ultrafield.field.march import march, step_edges
from ultrafield.field.occupancy import OccupancyGrid
from ultrafield.field.volrend import ray_indices

pytest.importorskip("triton", reason="needs Triton")

from ultrafield.field.kernels.march_gpu import march_fixed, march_gpu, pack_bits

FAR, STEP = 3.0, 0.07


def random_grid(cascades: int, resolution: int, share: float = 0.2) -> OccupancyGrid:
    grid = OccupancyGrid(cascades=cascades, resolution=resolution)
    grid.occupied.copy_(torch.rand(grid.occupied.shape, generator=torch.Generator().manual_seed(0)) < share)
    return grid


def random_rays(count: int) -> tuple[Tensor, Tensor, Tensor]:
    generator = torch.Generator().manual_seed(1)
    origins = torch.randn(count, 3, generator=generator)
    directions = torch.nn.functional.normalize(-origins + 0.5 * torch.randn(count, 3, generator=generator), dim=1)
    return origins, directions, torch.rand(count, generator=generator)


@pytest.mark.parametrize("resolution", [5, 8])
def test_bits_stand_for_the_cells_of_bricks(kernel_device, resolution):
    grid = random_grid(2, resolution, share=0.5)
    words = pack_bits(grid.occupied.to(kernel_device)).cpu()
    bricks = -(-resolution // 4)
    assert words.shape == (2, 2 * bricks**3)
    bits = words[..., None] >> torch.arange(32) & 1  # [K, words, 32]
    cells = bits.view(2, bricks, bricks, bricks, 4, 4, 4).permute(0, 1, 4, 2, 5, 3, 6)  # z, y, x: brick and cell
    cells = cells.reshape(2, 4 * bricks, 4 * bricks, 4 * bricks).bool()
    inside = cells[:, :resolution, :resolution, :resolution]
    assert torch.equal(inside.reshape(2, -1), grid.occupied)
    assert int(cells.sum()) == int(grid.occupied.sum())  # nothing beyond the grid


# Both round alike (no fused multiply-add), so the results are the same to the bit.
@pytest.mark.parametrize(
    ("cascades", "resolution", "cone", "limit"),
    [(1, 8, 0.0, 10_000), (1, 10, 0.0, 3), (3, 8, 1 / 32, 3), (3, 16, 1 / 32, 10_000)],
)
def test_march_finds_the_samples_of_the_cpu(kernel_device, cascades, resolution, cone, limit):
    grid = random_grid(cascades, resolution)
    origins, directions, jitter = random_rays(37)
    directions[0], origins[0] = torch.tensor([0.0, 0.0, 1.0]), torch.tensor([0.1, 0.1, -1.0])  # along an axis
    directions[1], origins[1] = torch.tensor([0.0, 1.0, 0.0]), torch.tensor([0.0, 0.0, 9.0])  # beside the box
    edges = step_edges(0.05, FAR, STEP, cone)
    first = torch.randint(0, 9, (37,), generator=torch.Generator().manual_seed(2))
    wanted, wanted_after = march(origins, directions, grid, edges, jitter=jitter, first=first, limit=limit)
    o, d, e, j, f = (tensor.to(kernel_device) for tensor in (origins, directions, edges, jitter, first))
    found, after = march_gpu(o, d, grid.to(kernel_device), e, j, f, limit)
    assert len(wanted) > 30
    assert torch.equal(found.offsets.cpu(), wanted.offsets)
    assert torch.equal(found.t.cpu(), wanted.t)
    assert torch.equal(found.delta.cpu(), wanted.delta)
    assert torch.equal(after.cpu(), wanted_after)


def test_cells_that_straddle_the_next_finer_box_are_not_left_in_one_stride(kernel_device):
    grid = random_grid(2, 6)
    rays, edges = random_rays(20), step_edges(0.05, 2.0, 0.05, 1 / 32)
    first = torch.zeros(20, dtype=torch.int64)
    wanted, _ = march_torch(rays[0], rays[1], grid, edges, rays[2], first, 10_000)
    o, d, j, e, f = (tensor.to(kernel_device) for tensor in (*rays, edges, first))
    found, _ = march_gpu(o, d, grid.to(kernel_device), e, j, f, 10_000)
    # A sample within rounding of a cell border may fall on either side of it.
    assert abs(len(found) - len(wanted)) <= 0.01 * len(wanted)
    same = found.offsets.diff().cpu() == wanted.offsets.diff()
    assert float(same.float().mean()) > 0.9


def test_bounds_of_any_spacing_are_marched(kernel_device):
    grid, (origins, directions, jitter) = random_grid(1, 8, share=0.5), random_rays(20)
    edges = (torch.rand(60, generator=torch.Generator().manual_seed(3)) + 0.1).cumsum(0) * 0.1
    wanted, _ = march(origins, directions, grid, edges, jitter=jitter)
    o, d, j, e = (tensor.to(kernel_device) for tensor in (origins, directions, jitter, edges))
    first = torch.zeros(20, dtype=torch.int64, device=kernel_device)
    found, _ = march_gpu(o, d, grid.to(kernel_device), e, j, first, 10_000)
    assert len(wanted) > 20
    assert torch.equal(found.offsets.cpu(), wanted.offsets)
    assert torch.equal(found.t.cpu(), wanted.t)


def test_no_rays_and_no_steps_to_go(kernel_device):
    grid = random_grid(1, 8).to(kernel_device)
    edges = step_edges(0.05, FAR, STEP, 0.0).to(kernel_device)
    none = torch.zeros(0, 3, device=kernel_device)
    samples, after = march_gpu(none, none, grid, edges, none[:, 0], none[:, 0].long(), 5)
    assert samples.offsets.tolist() == [0]
    assert len(samples) == len(after) == 0
    o, d, j = (tensor.to(kernel_device) for tensor in random_rays(3))
    samples, after = march_gpu(o, d, grid, edges, j, torch.full((3,), len(edges) - 1, device=kernel_device), 5)
    assert samples.offsets.tolist() == [0, 0, 0, 0]
    assert after.tolist() == [len(edges) - 1] * 3


@pytest.mark.parametrize(("live", "room"), [(40, 1.1), (40, 1.0), (40, 0.5), (25, 1.0), (0, 1.0), (40, 0.0)])
def test_room_that_is_fixed_holds_the_first_rays(kernel_device, live, room):
    grid, (origins, directions, jitter) = random_grid(1, 8, share=0.5), random_rays(40)
    edges = step_edges(0.05, FAR, STEP, 0.0)
    every, _ = march(origins, directions, grid, edges, jitter=jitter, limit=3)
    capacity = int(room * len(every))
    o, d, j, e = (tensor.to(kernel_device) for tensor in (origins, directions, jitter, edges))
    samples = march_fixed(
        o,
        d,
        pack_bits(grid.occupied.to(kernel_device)),
        1,
        8,
        e,
        j,
        live_rays=torch.tensor([live], device=kernel_device),
        capacity=capacity,
        limit=3,
    )
    ends = every.offsets[1:].clamp(max=int(every.offsets[live]))
    fits = ends <= capacity
    used = int(ends[fits].max()) if bool(fits.any()) else 0
    assert samples.offsets.tolist() == [0, *ends.where(fits, used).tolist()]
    assert torch.equal(samples.complete.cpu(), fits & (torch.arange(40) < live))
    whole = -(-capacity // 4) * 4  # in groups of four, which are read at once
    assert [len(samples.t), len(samples.delta), len(samples.rays)] == [whole] * 3
    assert torch.equal(samples.t[:used].cpu(), every.t[:used])
    assert torch.equal(samples.delta[:used].cpu(), every.delta[:used])
    assert torch.equal(samples.rays[:used].cpu().long(), ray_indices(every.offsets, len(every))[:used])
    for column in (samples.t, samples.delta, samples.rays):
        assert not bool(column[used:].any())


@pytest.mark.parametrize(("cascades", "cone"), [(1, 0.0), (2, 1 / 32)])
def test_rays_end_with_their_first_sample_in_a_solid_cell(kernel_device, cascades, cone):
    grid, (origins, directions, jitter) = random_grid(cascades, 8, share=0.5), random_rays(40)
    dense = OccupancyGrid(cascades=cascades, resolution=8)
    dense.occupied.copy_(torch.rand(grid.occupied.shape, generator=torch.Generator().manual_seed(4)) < 0.2)
    edges = step_edges(0.05, FAR, STEP, cone)
    every, _ = march(origins, directions, grid, edges, jitter=jitter)
    both = OccupancyGrid(cascades=cascades, resolution=8)
    both.occupied.copy_(grid.occupied & dense.occupied)
    ends, _ = march(origins, directions, both, edges, jitter=jitter, limit=1)
    wanted = []
    for ray in range(40):
        run = every.t[every.offsets[ray] : every.offsets[ray + 1]]
        last = ends.t[ends.offsets[ray] : ends.offsets[ray + 1]]
        wanted.append(run[run <= last] if len(last) else run)
    o, d, j, e = (tensor.to(kernel_device) for tensor in (origins, directions, jitter, edges))
    bits, solid = (pack_bits(cells.occupied.to(kernel_device)) for cells in (grid, dense))
    live = torch.tensor([40], device=kernel_device)
    samples = march_fixed(o, d, bits, cascades, 8, e, j, live_rays=live, capacity=len(every), solid=solid)
    assert samples.offsets.diff().tolist() == [len(run) for run in wanted]
    assert torch.equal(samples.t[: samples.offsets[-1]].cpu(), torch.cat(wanted))
    assert 30 < len(torch.cat(wanted)) < 0.8 * len(every)


def test_fixed_room_without_rays_is_empty(kernel_device):
    grid, none = random_grid(1, 8), torch.zeros(0, 3, device=kernel_device)
    samples = march_fixed(
        none,
        none,
        pack_bits(grid.occupied.to(kernel_device)),
        1,
        8,
        step_edges(0.05, FAR, STEP, 0.0).to(kernel_device),
        none[:, 0],
        live_rays=torch.zeros(1, dtype=torch.int64, device=kernel_device),
        capacity=7,
    )
    assert samples.offsets.tolist() == [0]
    assert samples.t.tolist() == [0.0] * 8
