"""Operations along rays: the march, compositing, choosing samples, and what samples take over from rays."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import torch
from case import Case, Check, Op, Outputs, Setup, compare
from torch import Tensor
from torch.nn.functional import normalize

from ultrafield.field.kernels.march_cpu import march_cpu
from ultrafield.field.kernels.march_torch import march_torch
from ultrafield.field.kernels.volrend_torch import accumulate_torch, distortion_torch, render_weights_torch
from ultrafield.field.model import to_unit_cube
from ultrafield.field.occupancy import FixedSamples, OccupancyGrid, march, step_edges
from ultrafield.field.volrend import NEGLIGIBLE, accumulate, distortion, ray_indices, render_weights, run_offsets

_LIMIT = 4.5  # optical depth behind which a sample counts as hidden
_TABLE = 8  # heaviest samples kept per ray


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
    size = f"{setup.composited:,} samples"
    yield Case("render_weights", size, lambda: _weights(setup))
    yield Case("render_weights, backward", size, lambda: _weights_backward(setup))
    yield Case("distortion", size, lambda: _distortion(setup))
    yield Case("distortion, backward", size, lambda: _distortion_backward(setup))
    for channels in (1, 4, 64):
        wide = f"{size}, {channels} channels"
        yield Case("accumulate", wide, lambda c=channels: _accumulate(setup, c))
        yield Case("accumulate, backward", wide, lambda c=channels: _accumulate_backward(setup, c))
    if setup.triton:
        yield Case("ray_indices", size, lambda: _ray_indices(setup))
        yield Case("visible_fixed", size, lambda: _visible(setup))
        yield Case(f"select_heaviest {_TABLE}", size, lambda: _heaviest(setup))
        yield Case("median_distance", size, lambda: _median(setup))
        yield Case("sample_points", size, lambda: _points(setup))
        yield Case("join_rows 16 + 16", size, lambda: _join(setup))


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
            scene.origins, scene.directions, bits, cascades, scene.grid.resolution, scene.edges, scene.jitter,
            live_rays=live, capacity=total + total // 8 + 64,
        )  # fmt: skip
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


@dataclass(frozen=True)
class _Runs:
    """Packed samples of rays with 8 to 40 each, which touch one another."""

    offsets: Tensor
    sigma: Tensor
    delta: Tensor
    t: Tensor

    @property
    def count(self) -> int:
        return len(self.t)

    @property
    def bounds(self) -> int:
        """Bytes of the rays' bounds."""
        return 8 * len(self.offsets)


def _runs(setup: Setup) -> _Runs:
    rays = max(1, setup.composited // 24)
    offsets = run_offsets(setup.indices(33, rays, seed=0) + 8)
    count = int(offsets[-1])
    sigma, delta = setup.uniform(count, seed=1) * 30, torch.full((count,), 1 / 128, device=setup.device)
    rank = torch.arange(count, device=setup.device) - offsets[ray_indices(offsets, count)]
    return _Runs(offsets, sigma, delta, 0.5 + (rank + 0.5) / 128)


def _volume_ops(setup: Setup) -> tuple[Callable[..., Tensor], Callable[..., Tensor], Callable[..., Tensor]]:
    """Weights, sums and distortion."""
    if setup.triton:
        from ultrafield.field.kernels.accumulate_gpu import accumulate_gpu
        from ultrafield.field.kernels.volrend_gpu import distortion_gpu, render_weights_gpu

        return render_weights_gpu, accumulate_gpu, distortion_gpu
    return render_weights, accumulate, distortion


def _weights(setup: Setup) -> Op:
    runs, function = _runs(setup), _volume_ops(setup)[0]
    inputs = (runs.sigma, runs.delta, runs.offsets)

    def wanted() -> Outputs:
        return (render_weights_torch(runs.sigma.double(), runs.delta.double(), runs.offsets),)

    return Op(lambda: (function(*inputs),), compare(wanted, 1e-5), bytes=12 * runs.count + runs.bounds)


def _weights_backward(setup: Setup) -> Op:
    runs, function = _runs(setup), _volume_ops(setup)[0]
    sigma, upstream = runs.sigma.requires_grad_(), setup.normal(runs.count, seed=3)
    weights = function(sigma, runs.delta, runs.offsets)

    def wanted() -> Outputs:
        exact = sigma.detach().double().requires_grad_()
        out = render_weights_torch(exact, runs.delta.double(), runs.offsets)
        return torch.autograd.grad(out, exact, upstream.double())

    return Op(
        lambda: torch.autograd.grad(weights, sigma, upstream, retain_graph=True),
        compare(wanted, 1e-4), bytes=20 * runs.count + runs.bounds,
    )  # fmt: skip


def _weighted(setup: Setup) -> tuple[_Runs, Tensor]:
    """Runs and their weights."""
    runs = _runs(setup)
    return runs, render_weights_torch(runs.sigma, runs.delta, runs.offsets)


def _distortion(setup: Setup) -> Op:
    (runs, weights), function = _weighted(setup), _volume_ops(setup)[2]
    weights.requires_grad_()

    def wanted() -> Outputs:
        inputs = (tensor.detach().double() for tensor in (weights, runs.t, runs.delta))
        return (distortion_torch(*inputs, runs.offsets),)

    return Op(
        lambda: (function(weights, runs.t, runs.delta, runs.offsets),),
        # Differences of sums: the kernels take the ray's first sample as origin, or sum in float32 from the camera on.
        compare(wanted, 1e-4),
        # With the slopes, which the gradient needs.
        bytes=16 * runs.count + runs.bounds + 4 * (len(runs.offsets) - 1),
    )


def _distortion_backward(setup: Setup) -> Op:
    (runs, weights), function = _weighted(setup), _volume_ops(setup)[2]
    weights.requires_grad_()
    upstream = setup.normal(len(runs.offsets) - 1, seed=3)
    loss = function(weights, runs.t, runs.delta, runs.offsets)

    def wanted() -> Outputs:
        exact = weights.detach().double().requires_grad_()
        out = distortion_torch(exact, runs.t.double(), runs.delta.double(), runs.offsets)
        return torch.autograd.grad(out, exact, upstream.double())

    return Op(
        lambda: torch.autograd.grad(loss, weights, upstream, retain_graph=True),
        compare(wanted, 1e-4), bytes=8 * runs.count + runs.bounds + 4 * len(upstream),
    )  # fmt: skip


def _accumulate(setup: Setup, channels: int) -> Op:
    (runs, weights), function = _weighted(setup), _volume_ops(setup)[1]
    values = setup.normal(runs.count, channels, seed=3)

    def wanted() -> Outputs:
        return (accumulate_torch(weights.double(), values.double(), runs.offsets),)

    moved = 4 * runs.count * (channels + 1) + 4 * (len(runs.offsets) - 1) * channels + runs.bounds
    return Op(lambda: (function(weights, values, runs.offsets),), compare(wanted, 1e-5), bytes=moved)


def _accumulate_backward(setup: Setup, channels: int) -> Op:
    (runs, weights), function = _weighted(setup), _volume_ops(setup)[1]
    rays = len(runs.offsets) - 1
    weights.requires_grad_()
    values = setup.normal(runs.count, channels, seed=3).requires_grad_()
    upstream = setup.normal(rays, channels, seed=4)
    sums = function(weights, values, runs.offsets)

    def wanted() -> Outputs:
        owner, w, v = ray_indices(runs.offsets, runs.count), weights.detach().double(), values.detach().double()
        slope = upstream.double()[owner]  # [S, C]
        return (slope * v).sum(1), w[:, None] * slope

    return Op(
        lambda: torch.autograd.grad(sums, (weights, values), upstream, retain_graph=True),
        compare(wanted, 1e-5), bytes=8 * runs.count * (channels + 1) + 4 * rays * channels + runs.bounds,
    )  # fmt: skip


def _ray_indices(setup: Setup) -> Op:
    from ultrafield.field.kernels.volrend_gpu import ray_indices_gpu

    runs = _runs(setup)
    rays = torch.arange(len(runs.offsets) - 1, device=setup.device)
    return Op(
        lambda: (ray_indices_gpu(runs.offsets, runs.count),),
        compare(lambda: (torch.repeat_interleave(rays, runs.offsets.diff()),), 0.0),
        bytes=8 * runs.count + runs.bounds,
    )


def _visible(setup: Setup) -> Op:
    from ultrafield.field.kernels.select_gpu import visible_fixed

    runs = _runs(setup)
    owner, rays = ray_indices(runs.offsets, runs.count), len(runs.offsets) - 1
    complete = torch.ones(rays, dtype=torch.bool, device=setup.device)
    samples = FixedSamples(runs.offsets, runs.t, runs.delta, owner.int(), complete)

    def run() -> Outputs:
        kept = visible_fixed(runs.sigma, samples, _LIMIT, runs.count)
        return kept.offsets.diff(), kept.t, kept.complete

    def wanted() -> Outputs:
        depth = runs.sigma.double() * runs.delta
        running = torch.cat([depth.new_zeros(1), depth.cumsum(0)])[:-1]
        front = running - running[runs.offsets[:-1]][owner]
        return (torch.zeros(rays, dtype=torch.int64, device=setup.device).index_add(0, owner, (front < _LIMIT).long()),)

    def check(outputs: Outputs) -> list[Check]:
        counts, t, whole = outputs
        used = int(counts.sum())
        rank = torch.arange(used, device=setup.device) - run_offsets(counts)[ray_indices(run_offsets(counts), used)]
        return [
            Check(counts, wanted()[0], 0.0, share=1e-3),  # a depth that is the limit to the last digit
            Check(t[:used], 0.5 + (rank + 0.5) / 128, 1e-6),  # the first ones of each ray
            Check(t[used:], torch.zeros_like(t[used:]), 0.0),
            Check(whole, complete, 0.0),
        ]

    kept = int(wanted()[0].sum())
    # Densities and lengths that light reaches are read; distance and length are copied, and the arrays zeroed before.
    return Op(run, check, bytes=8 * kept + 20 * kept + 12 * runs.count + 2 * runs.bounds)


def _dense(values: Tensor, offsets: Tensor, fill: float) -> Tensor:
    """Packed samples [S] as a table [R, 40]."""
    owner = ray_indices(offsets, len(values))
    rank = torch.arange(len(values), device=values.device) - offsets[owner]
    table = values.new_full((len(offsets) - 1, 40), fill)
    table[owner, rank] = values
    return table


def _heaviest(setup: Setup) -> Op:
    from ultrafield.field.kernels.select_gpu import select_heaviest

    runs, weights = _weighted(setup)

    def wanted() -> Outputs:
        table, t = _dense(weights, runs.offsets, 0.0), _dense(runs.t, runs.offsets, 0.0)
        order = table.sort(dim=1, descending=True, stable=True).indices[:, :_TABLE].sort(dim=1).values  # near to far
        picked = table.gather(1, order)
        kept = picked > NEGLIGIBLE
        place = torch.argsort(~kept, dim=1, stable=True)  # those kept to the front
        chosen, kept = order.gather(1, place), kept.gather(1, place)
        heaviest = table.gather(1, chosen).double() * kept
        scale = table.double().sum(1, keepdim=True) / heaviest.sum(1, keepdim=True).clamp(min=1e-12)
        return t.gather(1, chosen) * kept, heaviest * scale

    moved = 8 * runs.count + runs.bounds + 8 * _TABLE * (len(runs.offsets) - 1)
    return Op(lambda: select_heaviest(weights, runs.t, runs.offsets, _TABLE), compare(wanted, 1e-5), bytes=moved)


def _median(setup: Setup) -> Op:
    from ultrafield.field.kernels.select_gpu import median_distance_gpu

    runs, weights = _weighted(setup)

    def wanted() -> Outputs:
        table = _dense(weights, runs.offsets, 0.0).double()
        t = _dense(runs.t, runs.offsets, 0.0).double()
        after = table.cumsum(1)
        found = after[:, -1] > 0.5
        at = (after > 0.5).int().argmax(1, keepdim=True)
        own, behind = table.gather(1, at), after.gather(1, at)
        distance = t.gather(1, at) + ((0.5 - (behind - own)) / own.clamp(min=1e-12) - 0.5) / 128
        return torch.where(found, distance[:, 0], 0.0), after[:, -1]

    # A ray whose opacity is one half to the last digit has a median or none.
    moved = 12 * runs.count + runs.bounds + 8 * (len(runs.offsets) - 1)
    return Op(
        lambda: median_distance_gpu(runs.t, runs.delta, weights, runs.offsets),
        compare(wanted, 1e-4, 1e-5, share=1e-4), bytes=moved,
    )  # fmt: skip


def _points(setup: Setup) -> Op:
    from ultrafield.field.kernels.points_gpu import sample_points_gpu

    runs = _runs(setup)
    owner, rays = ray_indices(runs.offsets, runs.count), len(runs.offsets) - 1
    origins, directions = setup.normal(rays, 3, seed=2), normalize(setup.normal(rays, 3, seed=3), dim=1)
    complete = torch.ones(rays, dtype=torch.bool, device=setup.device)
    samples = FixedSamples(runs.offsets, runs.t, runs.delta, owner.int(), complete)

    def wanted() -> Outputs:
        positions = origins.double()[owner] + runs.t.double()[:, None] * directions.double()[owner]
        return (to_unit_cube(positions, bounded=False),)

    return Op(
        lambda: (sample_points_gpu(origins, directions, samples, bounded=False),),
        compare(wanted, 1e-5), bytes=20 * runs.count + 24 * rays,
    )  # fmt: skip


def _join(setup: Setup) -> Op:
    from ultrafield.field.kernels.points_gpu import join_rows_gpu

    runs = _runs(setup)
    owner = ray_indices(runs.offsets, runs.count).int()
    rows, table = setup.normal(runs.count, 16, seed=2), setup.normal(len(runs.offsets) - 1, 16, seed=3)
    return Op(
        lambda: (join_rows_gpu(rows, table, owner),),
        compare(lambda: (torch.cat([rows, table[owner.long()]], dim=1),), 0.0),
        bytes=runs.count * (64 + 4 + 128) + table.numel() * 4,
    )
