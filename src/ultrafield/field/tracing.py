"""Tracing of rays through a radiance field: the samples that light reaches, with their densities and weights."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace

import numpy as np
import torch
from torch import Tensor

from ..budget import release_memory
from .level_set import LAG
from .march import march
from .model import RadianceField
from .samples import Samples
from .volrend import ray_indices, render_weights, run_offsets

_SAMPLES_PER_RAY = 32  # visible ones, on average; more are fog, and then fewer rays are traced together
_PIECES = 16


@dataclass(frozen=True)
class Batches:
    """Batch sizes: as much as fits in caches on the CPU, as much as fills the device within 2 GB on CUDA.

    Attributes:
        rays: Rays traced together.
        positions: Positions evaluated together.
        pixels: Pixels of the views rendered, and copied to the host, together; at least one view.
        stage: Samples that rays advance together before opaque ones drop out.
    """

    rays: int
    positions: int
    pixels: int
    stage: int


_FEW_RAYS = 1 << 12  # are always traced together
_ON_CPU = Batches(rays=1 << 15, positions=1 << 16, pixels=1, stage=12)
_ON_CUDA = Batches(rays=1 << 18, positions=1 << 20, pixels=1 << 23, stage=24)


def batches(device: torch.device) -> Batches:
    """Batch sizes that suit a device."""
    return _ON_CUDA if device.type == "cuda" else _ON_CPU


@dataclass(frozen=True, eq=False)
class Traced:
    """Visible samples of rays.

    Attributes:
        samples: The visible samples of R rays.
        sigma: Their densities [S].
        weights: Their rendering weights [S].
        vectors: Inputs of the colour network [S, 16], if asked for.
        encoded: Features of the hash grid [S, L · F], if asked for.
        lag: So many sample lengths in front of a sample lies the middle of what it stands for.
    """

    samples: Samples
    sigma: Tensor
    weights: Tensor
    vectors: Tensor | None = None
    encoded: Tensor | None = None
    lag: float = 0.0


def sample_positions(rays_o: Tensor, rays_d: Tensor, samples: Samples) -> tuple[Tensor, Tensor]:
    """Positions [S, 3] of packed samples, and the ray of each [S]."""
    rays = ray_indices(samples.offsets, len(samples))
    return rays_o[rays] + samples.t[:, None] * rays_d[rays], rays


@torch.no_grad()
def trace(
    field: RadianceField,
    rays_o: Tensor,
    rays_d: Tensor,
    *,
    jitter: Tensor | None = None,
    stage: int | None = None,
    vectors: bool = False,
    encoded: bool = False,
    most: int | None = None,
) -> Traced:
    """Find all visible samples of rays, without gradients.

    Rays advance `stage` samples at a time, and opaque ones drop out: behind the first surface, only the rest of its
    stage is evaluated.

    Args:
        field: Geometry.
        rays_o: Origins [R, 3].
        rays_d: Unit directions [R, 3].
        jitter: Position within the steps [R], as for `march`.
        stage: Samples per ray and stage, as suits the device if None; on CUDA, where stages cost, each is twice as
            long as the one before.
        vectors: Whether to return the inputs of the colour network, for `shade`.
        encoded: Whether to return the features of the hash grid, on the CPU, for `RadianceField.geometry`.
        most: Visible samples beyond which the work is given up, on the CPU; see `traced_parts`.

    Returns:
        Samples in front of which the transmittance exceeds `min_transmittance`, with densities and weights.
    """
    limit = -float(np.log(field.config.min_transmittance))
    at_once = batches(rays_o.device).positions
    stage = batches(rays_o.device).stage if stage is None else stage
    if rays_o.is_cuda:
        from .trace_gpu import trace_gpu

        samples, sigma, weights, rows = trace_gpu(
            field, rays_o, rays_d, jitter=jitter, limit=limit, stage=stage, vectors=vectors, at_once=at_once
        )
        return Traced(samples, sigma, weights, rows, lag=_lag(field))
    count, device = len(rays_o), rays_o.device
    alive = torch.arange(count, device=device)
    depth = torch.zeros(count, device=device)  # optical depth so far
    first = torch.zeros(count, dtype=torch.int64, device=device)
    parts: list[tuple[Tensor, ...]] = []
    part: tuple[Tensor, ...]
    before: Tensor | None = None  # what a surface must know of the samples of earlier stages
    while len(alive):
        origins, directions = rays_o[alive], rays_d[alive]
        samples, after = march(
            origins,
            directions,
            field.occupancy,
            field.edges,
            jitter=None if jitter is None else jitter[alive],
            first=first,
            limit=stage,
        )
        positions, rays = sample_positions(origins, directions, samples)
        evaluated = [_evaluated(field, part, vectors, encoded) for part in positions.split(at_once)]
        sigma = torch.cat([density for density, *_ in evaluated])
        if field.level_set is not None:
            raw = torch.cat([first for _, first, *_ in evaluated])
            sigma = field.level_set.ray_density(sigma, raw, samples, rays, before)
            before = field.level_set.last_of_each(raw, samples, before)
        passed = sigma * samples.delta
        # Reach of each sample: optical depth of the ray before this stage plus the samples in front, in this stage.
        running = torch.cat([passed.new_zeros(1, dtype=torch.float64), passed.double().cumsum(0)])
        front = (running[:-1] - running[samples.offsets[:-1]][rays]).float() + depth[rays]
        kept = front < limit
        if most is not None and int(kept.sum()) + sum(len(rays) for rays, *_ in parts) > most:
            raise _TooManySamples
        part = (alive[rays[kept]], samples.t[kept], samples.delta[kept], sigma[kept])
        if vectors or encoded:  # each piece of them is dropped as soon as what is kept of it is copied
            chosen = [[column[chunk] for column in evaluated.pop(0)[2:]] for chunk in kept.split(at_once)]
            part = (*part, *(torch.cat(pieces) for pieces in zip(*chosen, strict=True)))
        parts.append(part)
        depth = depth + (running[samples.offsets[1:]] - running[samples.offsets[:-1]]).float()
        going = (after < len(field.edges) - 1) & (depth < limit)
        alive, depth, first = alive[going], depth[going], after[going]
        before = None if before is None else before[going]
    traced, more = _assemble(parts, count, device)
    rows = more.pop(0) if vectors and more else None
    return replace(traced, vectors=rows, encoded=more.pop() if more else None, lag=_lag(field))


def _lag(field: RadianceField) -> float:
    return 0.0 if field.level_set is None else LAG


def _evaluated(field: RadianceField, positions: Tensor, vectors: bool, encoded: bool) -> tuple[Tensor, ...]:
    """Density at positions, the network's first output and, if asked for, all of it and features of the grid."""
    features = field.encode(positions) if encoded else None
    density, raw = field.geometry(positions) if features is None else field.decode(features)
    return (density, raw[:, 0], *([raw] if vectors else []), *([] if features is None else [features]))


def traced_parts(
    field: RadianceField, rays_o: Tensor, rays_d: Tensor, *, vectors: bool = False
) -> Iterator[tuple[slice, Traced]]:
    """Trace rays, all together or, where that would take much memory, some at a time.

    Args:
        field: Geometry.
        rays_o: Origins [R, 3].
        rays_d: Unit directions [R, 3].
        vectors: As for `trace`.

    Yields:
        Which rays, and what `trace` finds along them; first to last.
    """
    most = None if rays_o.is_cuda else _SAMPLES_PER_RAY * max(len(rays_o), _FEW_RAYS)
    waiting, size = [slice(0, len(rays_o))], len(rays_o)
    while waiting:
        part = waiting.pop()
        count = part.stop - part.start
        if count > size:  # as many as could be traced before
            starts = range(part.start, part.stop, size)
            waiting += reversed([slice(first, min(first + size, part.stop)) for first in starts])
            continue
        try:
            traced = [
                trace(field, rays_o[part], rays_d[part], vectors=vectors, most=most if count > _FEW_RAYS else None)
            ]
        except _TooManySamples:
            size = -(-count // _PIECES)
            waiting.append(part)
            release_memory()
            continue
        foggy = most is not None and 2 * len(traced[0].weights) > most
        yield part, traced.pop()  # without holding it until the next rays are traced
        if foggy:
            release_memory()


class _TooManySamples(Exception):
    """Rays have more visible samples than were asked for at most."""


def _assemble(parts: list[tuple[Tensor, ...]], count: int, device: torch.device) -> tuple[Traced, list[Tensor]]:
    """Merge the stages' samples into one run per ray, near to far; what goes beyond density in the same order."""
    if not parts:
        empty = torch.empty(0, device=device)
        return Traced(Samples(torch.zeros(count + 1, dtype=torch.int64, device=device), empty, empty), empty, empty), []
    separate = list(zip(*parts, strict=True))
    parts.clear()
    if len(separate[0]) == 1:
        rays, *columns = (column for (column,) in separate)
    else:
        rays, order = torch.sort(torch.cat(separate.pop(0)), stable=True)
        places = torch.empty_like(order).index_copy_(0, order, torch.arange(len(order), device=device))
        del order
        columns = []
        while separate:  # one after the other, and without another copy of them all, as they may be large
            columns.append(_placed(list(separate.pop(0)), places))
    t, delta, sigma, *more = columns
    offsets = run_offsets(torch.bincount(rays, minlength=count))
    weights = render_weights(sigma, delta, offsets)
    return Traced(Samples(offsets, t, delta), sigma, weights), more


def _placed(parts: list[Tensor], places: Tensor) -> Tensor:
    """Put the rows of the parts, which follow one another, to their places [S]."""
    whole, first = parts[0].new_empty(len(places), *parts[0].shape[1:]), 0
    for part in parts:
        whole.index_copy_(0, places[first : first + len(part)], part)
        first += len(part)
    return whole
