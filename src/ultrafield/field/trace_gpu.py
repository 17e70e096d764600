"""Tracing of rays on CUDA, in few stages and with few waits for the host."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from .kernels.march_gpu import march_gpu, pack_bits
from .kernels.packing_gpu import append_runs
from .kernels.select_gpu import reached
from .kernels.volrend_gpu import ray_indices_gpu, render_weights_gpu
from .model import RadianceField
from .samples import Samples
from .volrend import run_offsets


@dataclass(frozen=True, eq=False)
class Stage:
    """Samples evaluated in one stage of tracing.

    Attributes:
        rays: Rays that were not yet opaque [A], int64.
        samples: Their next samples.
        counts: How many of these, the first ones, are visible [A], int32.
        sigma: Densities [S].
        vectors: Inputs of the colour network [S, C], if asked for.
    """

    rays: Tensor
    samples: Samples
    counts: Tensor
    sigma: Tensor
    vectors: Tensor | None


def trace_gpu(
    field: RadianceField,
    rays_o: Tensor,
    rays_d: Tensor,
    *,
    jitter: Tensor | None,
    limit: float,
    stage: int,
    vectors: bool,
    at_once: int,
) -> tuple[Samples, Tensor, Tensor, Tensor | None]:
    """Visible samples, their densities, weights and vectors; see `trace`.

    Each stage is twice as long as the one before: most rays end in the first, and the others need few more. The host
    waits twice per stage, for the numbers of samples and of rays left, and once at the end.
    """
    bits, steps = pack_bits(field.occupancy.occupied), len(field.edges) - 1
    jitter = torch.full_like(rays_o[:, 0], 0.5) if jitter is None else jitter
    alive = torch.arange(len(rays_o), device=rays_o.device)
    depth = torch.zeros_like(rays_o[:, 0])  # optical depth so far
    first = torch.zeros_like(alive)
    stages: list[Stage] = []
    before: Tensor | None = None  # what a surface must know of the samples of earlier stages
    while len(alive):
        origins, directions = rays_o[alive], rays_d[alive]
        samples, after = march_gpu(
            origins, directions, field.occupancy, field.edges, jitter[alive], first, stage, bits=bits
        )
        sigma, rows, last = _evaluate(field, origins, directions, samples, vectors, at_once, before)
        counts, depth = reached(sigma, samples.delta, samples.offsets, depth, limit)
        stages.append(Stage(alive, samples, counts, sigma, rows))
        going = ((after < steps) & (depth < limit)).nonzero()[:, 0]
        alive, depth, first = alive[going], depth[going], after[going]
        before = None if last is None else last[going]
        stage *= 2
    return _assemble(stages, len(rays_o), rays_o)


def _evaluate(
    field: RadianceField,
    rays_o: Tensor,
    rays_d: Tensor,
    samples: Samples,
    vectors: bool,
    at_once: int,
    before: Tensor | None,
) -> tuple[Tensor, Tensor | None, Tensor | None]:
    """Densities [S] of packed samples, their vectors [S, C] if wanted, and of a surface what comes `before` others."""
    rays = ray_indices_gpu(samples.offsets, len(samples))
    sigma, raw, kept = torch.empty_like(samples.t), torch.empty_like(samples.t), None
    for start in range(0, max(1, len(rays)), at_once):
        part = slice(start, start + at_once)
        near = rays[part]
        sigma[part], rows = field.geometry(torch.addcmul(rays_o[near], samples.t[part, None], rays_d[near]))
        raw[part] = rows[:, 0]
        if vectors:
            kept = rows.new_empty(len(rays), rows.shape[1]) if kept is None else kept
            kept[part] = rows
    if field.level_set is None:
        return sigma, kept, None
    sigma = field.level_set.ray_density(sigma, raw, samples, rays, before)
    return sigma, kept, field.level_set.last_of_each(raw, samples, before)


def _assemble(stages: list[Stage], count: int, like: Tensor) -> tuple[Samples, Tensor, Tensor, Tensor | None]:
    """Merge the stages' visible samples into one run per ray, near to far."""
    visible = torch.zeros(count, dtype=torch.int32, device=like.device)
    for stage in stages:
        visible.index_add_(0, stage.rays, stage.counts)
    offsets = run_offsets(visible)
    total = int(offsets[-1])
    t, delta, sigma = (like.new_empty(total) for _ in range(3))
    vectors = None
    if stages and stages[0].vectors is not None:
        vectors = stages[0].vectors.new_empty(total, stages[0].vectors.shape[1])
    filled = offsets[:-1].clone()
    for stage in stages:
        pair = None if vectors is None or stage.vectors is None else (stage.vectors, vectors)
        source = (stage.samples.t, stage.samples.delta, stage.sigma)
        append_runs(source, stage.samples.offsets, stage.counts, stage.rays, filled, (t, delta, sigma), vectors=pair)
    return Samples(offsets, t, delta), sigma, render_weights_gpu(sigma, delta, offsets), vectors
