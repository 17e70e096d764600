"""The march of rays through occupied cells, and the bits that it reads."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import torch
from lib.case import Case, Check, Op, Outputs, Setup, compare
from torch import Tensor
from torch.nn.functional import normalize

from ultrafield.field.kernels.march_cpu import march_cpu
from ultrafield.field.kernels.march_torch import march_torch
from ultrafield.field.march import march, step_edges
from ultrafield.field.occupancy import OccupancyGrid
from ultrafield.field.volrend import ray_indices


def cases(setup: Setup) -> Iterator[Case]:
    """Every operation of this kind that exists on the device."""
    for cascades in (1, 4):
        size = f"{_ray_count(setup):,} rays, {cascades} cascade{'s' * (cascades > 1)}"
        if setup.device.type == "cuda" or not setup.triton:
            waits = ", the host waits" if setup.triton else ""
            yield Case(f"march{waits}", size, lambda c=cascades: _march(setup, c))
        if setup.triton:
            yield Case("march_fixed", size, lambda c=cascades: _march_fixed(setup, c))
            yield Case(
                "pack_bits", f"{_resolution(setup)}³ cells × {cascades}", lambda c=cascades: _pack_bits(setup, c)
            )


def _ray_count(setup: Setup) -> int:
    return max(1, setup.samples // 16)


def _resolution(setup: Setup) -> int:
    return 16 if setup.quick else (64 if setup.device.type == "cpu" else 128)


@dataclass(frozen=True)
class _Scene:
    """A thick shell in every cascade, and rays from around it."""

    grid: OccupancyGrid
    origins: Tensor
    directions: Tensor
    edges: Tensor
    jitter: Tensor


def _scene(setup: Setup, cascades: int) -> _Scene:
    resolution, rays = _resolution(setup), _ray_count(setup)
    grid = OccupancyGrid(cascades=cascades, resolution=resolution).to(setup.device)
    axis = (torch.arange(resolution, device=setup.device) + 0.5) / resolution - 0.5
    radius = (axis[:, None, None] ** 2 + axis[None, :, None] ** 2 + axis**2).sqrt().flatten()
    grid.occupied.copy_(((radius - 0.3).abs() < (0.1 if setup.quick else 0.02)).expand(cascades, -1))
    origins = normalize(setup.normal(rays, 3, seed=0), dim=1) * 1.2
    directions = normalize(0.3 * setup.normal(rays, 3, seed=1) - origins, dim=1)
    far, cone = (3.0, 0.0) if cascades == 1 else (16.0, 1 / 256)
    edges = step_edges(0.05, far, 3**0.5 / (8 * resolution), cone).to(setup.device)
    return _Scene(grid, origins, directions, edges, setup.uniform(rays, seed=2))


def _march(setup: Setup, cascades: int) -> Op:
    scene = _scene(setup, cascades)

    def run() -> Outputs:
        samples, _ = march(scene.origins, scene.directions, scene.grid, scene.edges, jitter=scene.jitter)
        return samples.offsets, samples.t, samples.delta

    return Op(run, lambda outputs: _same_samples(scene, *outputs), bytes=_march_bytes(scene, len(run()[1]), 8))


def _march_fixed(setup: Setup, cascades: int) -> Op:
    from ultrafield.field.kernels.march_gpu import march_fixed, pack_bits

    scene = _scene(setup, cascades)
    bits = pack_bits(scene.grid.occupied)
    total = int(_wanted_samples(scene)[0][-1])
    live = torch.full((1,), len(scene.origins), device=setup.device)

    def run() -> Outputs:
        samples = march_fixed(
            scene.origins,
            scene.directions,
            bits,
            cascades,
            scene.grid.resolution,
            scene.edges,
            scene.jitter,
            live_rays=live,
            capacity=total + total // 8 + 64,
        )
        return samples.offsets, samples.t, samples.delta, samples.rays

    def check(outputs: Outputs) -> list[Check]:
        offsets, t, delta, rays = outputs
        count = int(offsets[-1])
        same = Check(rays[:count], ray_indices(offsets, count), 0.0)
        behind = Check(
            torch.stack([t[count:], delta[count:], rays[count:].float()]), t.new_zeros(3, len(t) - count), 0.0
        )
        return [*_same_samples(scene, offsets, t[:count], delta[:count]), same, behind]

    return Op(run, check, bytes=_march_bytes(scene, total, 12) + bits.numel() * 4)


def _march_bytes(scene: _Scene, total: int, per_sample: int) -> int:
    """Rays with their jitter in, bounds and samples out."""
    return len(scene.origins) * (28 + 8) + total * per_sample


def _wanted_samples(scene: _Scene) -> tuple[Tensor, Tensor, Tensor]:
    """Bounds, distances and lengths: on the CPU from plain PyTorch, on CUDA from the CPU's kernel."""
    rays = len(scene.origins)
    if scene.origins.device.type == "cpu":
        first = torch.zeros(rays, dtype=torch.int64)
        arguments = (scene.origins, scene.directions, scene.grid, scene.edges, scene.jitter, first, len(scene.edges))
        samples, _ = march_torch(*arguments)
        return samples.offsets, samples.t, samples.delta
    inputs = (scene.origins, scene.directions, scene.grid.occupied, scene.edges, scene.jitter)
    first = torch.zeros(rays, dtype=torch.int64)
    arrays = (tensor.cpu().contiguous().numpy() for tensor in (*inputs, first))
    offsets, t, delta, _ = march_cpu(*arrays, len(scene.edges), scene.grid.resolution)
    return torch.from_numpy(offsets), torch.from_numpy(t), torch.from_numpy(delta)


def _same_samples(scene: _Scene, offsets: Tensor, t: Tensor, delta: Tensor) -> list[Check]:
    """Samples against the wanted ones; a position on a border may round into either cell."""
    wanted_offsets, wanted_t, wanted_delta = _wanted_samples(scene)
    offsets, t, delta = offsets.cpu(), t.cpu(), delta.cpu()
    counts, wanted = offsets.diff(), wanted_offsets.diff()
    same = counts == wanted
    here, there = same[ray_indices(offsets, len(t))], same[ray_indices(wanted_offsets, len(wanted_t))]
    return [
        Check(counts, wanted, 0.0, share=2e-3),
        Check(t[here], wanted_t[there], 1e-5, share=2e-3),
        Check(delta[here], wanted_delta[there], 1e-5, share=2e-3),
    ]


def _pack_bits(setup: Setup, cascades: int) -> Op:
    from ultrafield.field.kernels.march_gpu import pack_bits

    resolution = _resolution(setup)
    occupied = setup.uniform(cascades, resolution**3, seed=0) < 0.3

    def wanted() -> Outputs:
        bricks = resolution // 4
        cells = occupied.view(cascades, bricks, 4, bricks, 4, bricks, 4).permute(0, 1, 3, 5, 2, 4, 6)  # z, y, x twice
        words = (cells.reshape(cascades, -1, 32).long() << torch.arange(32, device=setup.device)).sum(2)
        return (torch.where(words >= 1 << 31, words - (1 << 32), words),)

    moved = occupied.numel() * (1 + 1 / 8)
    return Op(lambda: (pack_bits(occupied),), compare(wanted, 0.0), bytes=moved)
