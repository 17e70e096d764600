"""Choosing among the samples of rays, what samples take over from their rays, densities of surfaces, and rays."""

from __future__ import annotations

from collections.abc import Iterator

import torch
from lib.case import SECTOR, Case, Check, Op, Outputs, Setup, compare
from lib.runs import Runs, packed_runs, weighted
from torch import Tensor
from torch.nn.functional import normalize

from ultrafield.config import GeometryConfig
from ultrafield.field.level_set import LevelSet
from ultrafield.field.model import to_unit_cube
from ultrafield.field.samples import NEGLIGIBLE, FixedSamples, Samples
from ultrafield.field.volrend import ray_indices, run_offsets

_LIMIT = 4.5  # optical depth behind which a sample counts as hidden
_TABLE = 8  # heaviest samples kept per ray
_VIEWS, _PIXELS = 100, 4096  # of each view
_CHANNELS = 64  # of an encoding


def cases(setup: Setup) -> Iterator[Case]:
    """Every operation of this kind, all of which are Triton kernels."""
    if not setup.triton:
        return
    size = f"{setup.composited:,} samples"
    yield Case("visible_fixed", size, lambda: _visible(setup))
    yield Case(f"visible_rows {_CHANNELS}", size, lambda: _visible_rows(setup))
    yield Case(f"select_heaviest {_TABLE}", size, lambda: _heaviest(setup))
    yield Case("median_distance", size, lambda: _median(setup))
    yield Case("sample_points", size, lambda: _points(setup))
    yield Case("join_rows 16 + 16", size, lambda: _join(setup))
    yield Case("level_set", size, lambda: _level_set(setup, backward=False))
    yield Case("level_set, backward", size, lambda: _level_set(setup, backward=True))
    rays = 64 if setup.quick else 1 << 16
    yield Case("rays of pixels", f"{rays:,} rays of {_VIEWS} pictures", lambda: _rays(setup, rays))


def _visible(setup: Setup) -> Op:
    from ultrafield.field.kernels.select_gpu import visible_fixed

    runs, samples = _every_sample(setup)
    owner, rays, complete = samples.rays.long(), len(runs.offsets) - 1, samples.complete

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
    # Densities and lengths that light reaches are read; distance and length are copied, the rays' indices are new, and
    # the rest of the arrays is zeroed.
    return Op(run, check, bytes=16 * kept + 12 * runs.count + 2 * runs.bounds)


def _every_sample(setup: Setup) -> tuple[Runs, FixedSamples]:
    """Packed samples, as they are and in arrays of a fixed size that they fill."""
    runs = packed_runs(setup)
    owner = ray_indices(runs.offsets, runs.count)
    complete = torch.ones(len(runs.offsets) - 1, dtype=torch.bool, device=setup.device)
    return runs, FixedSamples(runs.offsets, runs.t, runs.delta, owner.int(), complete)


def _visible_rows(setup: Setup) -> Op:
    from ultrafield.field.kernels.select_gpu import visible_fixed, visible_rows

    runs, samples = _every_sample(setup)
    kept = visible_fixed(runs.sigma, samples, _LIMIT, runs.count)
    rows, count = setup.normal(runs.count, _CHANNELS, seed=3), int(kept.offsets[-1])

    def wanted() -> Outputs:
        owner = kept.rays[:count].long()
        source = torch.arange(count, device=setup.device) + (runs.offsets - kept.offsets)[owner]
        return (torch.cat([rows[source], rows.new_zeros(len(kept.t) - count, _CHANNELS)]),)

    return Op(
        lambda: (visible_rows(rows, samples, kept),),
        compare(wanted, 0.0),
        bytes=4 * _CHANNELS * (count + len(kept.t)) + 4 * count,
    )


def _dense(values: Tensor, offsets: Tensor, fill: float) -> Tensor:
    """Packed samples [S] as a table [R, 40]."""
    owner = ray_indices(offsets, len(values))
    rank = torch.arange(len(values), device=values.device) - offsets[owner]
    table = values.new_full((len(offsets) - 1, 40), fill)
    table[owner, rank] = values
    return table


def _heaviest(setup: Setup) -> Op:
    from ultrafield.field.kernels.select_gpu import select_heaviest

    runs, weights = weighted(setup)

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

    runs, weights = weighted(setup)

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
        compare(wanted, 1e-4, 1e-5, share=1e-4),
        bytes=moved,
    )


def _points(setup: Setup) -> Op:
    from ultrafield.field.kernels.points_gpu import sample_points_gpu

    runs = packed_runs(setup)
    owner, rays = ray_indices(runs.offsets, runs.count), len(runs.offsets) - 1
    origins, directions = setup.normal(rays, 3, seed=2), normalize(setup.normal(rays, 3, seed=3), dim=1)
    complete = torch.ones(rays, dtype=torch.bool, device=setup.device)
    samples = FixedSamples(runs.offsets, runs.t, runs.delta, owner.int(), complete)

    def wanted() -> Outputs:
        positions = origins.double()[owner] + runs.t.double()[:, None] * directions.double()[owner]
        return (to_unit_cube(positions, bounded=False),)

    return Op(
        lambda: (sample_points_gpu(origins, directions, samples, bounded=False),),
        compare(wanted, 1e-5),
        bytes=20 * runs.count + 24 * rays,
    )


def _join(setup: Setup) -> Op:
    from ultrafield.field.kernels.points_gpu import join_rows_gpu

    runs = packed_runs(setup)
    owner = ray_indices(runs.offsets, runs.count).int()
    rows, table = setup.normal(runs.count, 16, seed=2), setup.normal(len(runs.offsets) - 1, 16, seed=3)
    return Op(
        lambda: (join_rows_gpu(rows, table, owner),),
        compare(lambda: (torch.cat([rows, table[owner.long()]], dim=1),), 0.0),
        bytes=runs.count * (64 + 4 + 128) + table.numel() * 4,
    )


def _level_set(setup: Setup, *, backward: bool) -> Op:
    runs = packed_runs(setup)
    owner = ray_indices(runs.offsets, runs.count)
    complete = torch.ones(len(runs.offsets) - 1, dtype=torch.bool, device=setup.device)
    samples = FixedSamples(runs.offsets, runs.t, runs.delta, owner.int(), complete)
    raw = (setup.normal(runs.count, 16, seed=2) * 0.6 - 1).requires_grad_()
    upstream, others = setup.normal(runs.count, seed=3), setup.normal(runs.count, 16, seed=4)
    made = _half_way(setup)
    sigma, vectors = made.along(raw, samples)

    def density(values: Tensor) -> Tensor:
        exact, along = _half_way(setup).double(), Samples(runs.offsets, runs.t.double(), runs.delta.double())
        return exact.ray_density(exact.density(values[:, 0]), values[:, 0], along, owner)

    def wanted_gradient() -> Outputs:
        exact = raw.detach().double().requires_grad_()
        (gradient,) = torch.autograd.grad(density(exact), exact, upstream.double())
        return (gradient + others,)

    if not backward:
        columns = 12 + SECTOR + 4  # a column of the network's output is read in whole sectors
        return Op(
            lambda: made.along(raw, samples)[:1],
            compare(lambda: (density(raw.detach().double()),), 1e-4),
            bytes=columns * runs.count,
        )
    # Both outputs have gradients, as in training, where colours are made of the second one.
    return Op(
        lambda: torch.autograd.grad((sigma, vectors), raw, (upstream, others), retain_graph=True),
        compare(wanted_gradient, 1e-4),
        bytes=(12 + SECTOR + 4 + 128) * runs.count,
    )


def _half_way(setup: Setup) -> LevelSet:
    """A surface of some width, whose density is half that of places and half that of sections."""
    made = LevelSet(GeometryConfig()).to(setup.device)
    made.width.fill_(0.02)
    made.sections.fill_(0.5)
    return made


def _rays(setup: Setup, count: int) -> Op:
    from ultrafield.field.kernels.rays_gpu import rays_gpu

    directions = torch.cat([setup.normal(_PIXELS, 2, seed=1), torch.ones(_PIXELS, 1, device=setup.device)], dim=1)
    starts = torch.zeros(_VIEWS, dtype=torch.int64, device=setup.device)
    poses = setup.normal(_VIEWS, 3, 4, seed=2)
    camera, pixel = setup.indices(_VIEWS, count, seed=3), setup.indices(_PIXELS, count, seed=4)

    def wanted() -> Outputs:
        local = directions.double()[pixel]
        pose, cosine = poses.double()[camera], 1 / local.norm(dim=1)
        return pose[:, :, 3], (pose[:, :, :3] @ (local * cosine[:, None])[..., None])[..., 0], cosine

    return Op(
        lambda: rays_gpu(poses, directions, starts, camera, pixel),
        compare(wanted, 1e-5),
        bytes=(16 + 28 + SECTOR) * count,
    )
