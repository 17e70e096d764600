"""Ray marching in plain PyTorch: every step of every ray is looked up, in runs of rays that fit in memory."""

from __future__ import annotations

import torch
from torch import Tensor

from ..occupancy import OccupancyGrid
from ..samples import Samples

_STEPS_AT_ONCE = 1 << 25


def march_torch(
    rays_o: Tensor, rays_d: Tensor, grid: OccupancyGrid, edges: Tensor, jitter: Tensor, first: Tensor, limit: int
) -> tuple[Samples, Tensor]:
    """Samples and next steps [R]; see `march`."""
    rows = max(1, _STEPS_AT_ONCE // len(edges))
    counts, ts, deltas, afters = [], [], [], []
    for part in range(0, len(rays_o), rows):
        rays = slice(part, part + rows)
        count, t, delta, after = _march_rows(rays_o[rays], rays_d[rays], grid, edges, jitter[rays], first[rays], limit)
        counts.append(count), ts.append(t), deltas.append(delta), afters.append(after)
    offsets = torch.zeros(len(rays_o) + 1, dtype=torch.int64, device=rays_o.device)
    if not counts:
        return Samples(offsets, rays_o.new_empty(0), rays_o.new_empty(0)), first
    offsets[1:] = torch.cat(counts).cumsum(0)
    return Samples(offsets, torch.cat(ts), torch.cat(deltas)), torch.cat(afters)


def _march_rows(
    rays_o: Tensor, rays_d: Tensor, grid: OccupancyGrid, edges: Tensor, jitter: Tensor, first: Tensor, limit: int
) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    steps = len(edges) - 1
    delta = edges.diff()  # [K]
    t = edges[:-1] + jitter[:, None] * delta  # [R, K]
    enter, leave = _span(rays_o, rays_d, grid.half_extent)
    inside = (t >= enter[:, None]) & (t <= leave[:, None]) & (leave > enter)[:, None]
    kept = inside & _occupied(rays_o[:, None] + t[..., None] * rays_d[:, None], grid)
    kept &= torch.arange(steps, device=t.device) >= first[:, None]
    rank = kept.cumsum(1)
    kept &= rank <= limit
    index = torch.arange(1, steps + 1, device=t.device)
    full = rank[:, -1] >= limit
    after = torch.where(full, (kept * index).amax(1), steps)
    return kept.sum(1), t[kept], delta.expand_as(t)[kept], after


def _span(rays_o: Tensor, rays_d: Tensor, half: float) -> tuple[Tensor, Tensor]:
    bounds = torch.stack([(-half - rays_o) / rays_d, (half - rays_o) / rays_d])  # [2, R, 3]
    parallel = rays_d == 0
    outside = (parallel & (rays_o.abs() > half)).any(-1)
    near = bounds.amin(0).masked_fill(parallel, 0.0).amax(-1).clamp(min=0.0)
    far = bounds.amax(0).masked_fill(parallel, torch.inf).amin(-1)
    return near, far.masked_fill(outside, -1.0)


def _occupied(positions: Tensor, grid: OccupancyGrid) -> Tensor:
    reach = positions.abs().amax(-1)
    cascade = torch.ceil(torch.log2(reach.clamp(min=1e-9) / 0.5)).clamp(0, grid.cascades - 1).long()
    half = 0.5 * torch.exp2(cascade.float())[..., None]
    cell = ((positions + half) * (grid.resolution / (2 * half))).long().clamp(0, grid.resolution - 1)
    flat = cell[..., 0] + grid.resolution * (cell[..., 1] + grid.resolution * cell[..., 2])
    return grid.occupied.view(-1)[cascade * grid.resolution**3 + flat]
