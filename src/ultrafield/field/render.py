"""Rays traced through a radiance field: visible samples, pictures, the surface's features."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace

import numpy as np
import torch
from torch import Tensor

from ..budget import release_memory
from ..cameras import Cameras, RenderedView
from .march import march
from .model import FeatureField, RadianceField
from .rays import ray_table
from .samples import NEGLIGIBLE, Samples
from .volrend import accumulate, ray_indices, render_weights, run_offsets

_SAMPLES_PER_RAY = 32  # visible ones, on average; more are fog, and then fewer rays are traced together
_PIECES = 16


@dataclass(frozen=True)
class _Batches:
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
_ON_CPU = _Batches(rays=1 << 15, positions=1 << 16, pixels=1, stage=12)
_ON_CUDA = _Batches(rays=1 << 18, positions=1 << 20, pixels=1 << 23, stage=24)


def _batches(device: torch.device) -> _Batches:
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
    """

    samples: Samples
    sigma: Tensor
    weights: Tensor
    vectors: Tensor | None = None
    encoded: Tensor | None = None


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
    at_once = _batches(rays_o.device).positions
    stage = _batches(rays_o.device).stage if stage is None else stage
    if rays_o.is_cuda:
        from .trace_gpu import trace_gpu

        return Traced(
            *trace_gpu(field, rays_o, rays_d, jitter=jitter, limit=limit, stage=stage, vectors=vectors, at_once=at_once)
        )
    count, device = len(rays_o), rays_o.device
    alive = torch.arange(count, device=device)
    depth = torch.zeros(count, device=device)  # optical depth so far
    first = torch.zeros(count, dtype=torch.int64, device=device)
    parts: list[tuple[Tensor, ...]] = []
    part: tuple[Tensor, ...]
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
        passed = sigma * samples.delta
        # Reach of each sample: optical depth of the ray before this stage plus the samples in front, in this stage.
        running = torch.cat([passed.new_zeros(1, dtype=torch.float64), passed.double().cumsum(0)])
        front = (running[:-1] - running[samples.offsets[:-1]][rays]).float() + depth[rays]
        kept = front < limit
        if most is not None and int(kept.sum()) + sum(len(rays) for rays, *_ in parts) > most:
            raise _TooManySamples
        part = (alive[rays[kept]], samples.t[kept], samples.delta[kept], sigma[kept])
        if vectors or encoded:  # each piece of them is dropped as soon as what is kept of it is copied
            chosen = [[column[chunk] for column in evaluated.pop(0)[1:]] for chunk in kept.split(at_once)]
            part = (*part, *(torch.cat(pieces) for pieces in zip(*chosen, strict=True)))
        parts.append(part)
        depth = depth + (running[samples.offsets[1:]] - running[samples.offsets[:-1]]).float()
        going = (after < len(field.edges) - 1) & (depth < limit)
        alive, depth, first = alive[going], depth[going], after[going]
    traced, more = _assemble(parts, count, device)
    return replace(traced, vectors=more.pop(0) if vectors and more else None, encoded=more.pop() if more else None)


def _evaluated(field: RadianceField, positions: Tensor, vectors: bool, encoded: bool) -> tuple[Tensor, ...]:
    """Density at positions and, if asked for, input of the colour network and features of the grid."""
    if not encoded:
        return field.geometry(positions)[: 1 + vectors]
    features = field.encode(positions)
    return (*field.decode(features)[: 1 + vectors], features)


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


@torch.no_grad()
def shade(field: RadianceField, rays_d: Tensor, traced: Traced) -> Tensor:
    """Colours [R, 3] over the field's background of rays traced with `vectors`.

    Samples of negligible weight are not shaded.
    """
    assert traced.vectors is not None
    offsets = traced.samples.offsets
    rays = ray_indices(offsets, len(traced.weights))
    values = rays_d.new_zeros(len(rays), 4)  # colour, and 1 for the opacity
    values[:, 3] = 1.0
    bright = (traced.weights > NEGLIGIBLE).nonzero()[:, 0]
    harmonics = field.harmonics(rays_d)
    for part in bright.split(_batches(rays_d.device).positions):
        values[part, :3] = field.color(traced.vectors[part], harmonics[rays[part]])
    sums = accumulate(traced.weights, values, offsets)
    return sums[:, :3] + (1.0 - sums[:, 3:]) * field.background


@torch.no_grad()
def median_distance(traced: Traced) -> tuple[Tensor, Tensor]:
    """Distance along each ray at which half of the light has been stopped [R], 0 if never, and the opacity [R]."""
    offsets, weights = traced.samples.offsets, traced.weights
    if weights.is_cuda:
        from .kernels.select_gpu import median_distance_gpu

        return median_distance_gpu(traced.samples.t, traced.samples.delta, weights, offsets)
    rays = ray_indices(offsets, len(weights))
    running = torch.cat([weights.new_zeros(1, dtype=torch.float64), weights.double().cumsum(0)])
    start = running[offsets[:-1]]
    opacity = (running[offsets[1:]] - start).float()
    # Weights accumulate linearly within a sample, so the crossing is found by interpolation: depth without steps.
    before, after = (running[:-1] - start[rays]).float(), (running[1:] - start[rays]).float()
    crossing = ((before <= 0.5) & (after > 0.5)).nonzero()[:, 0]
    part = (0.5 - before[crossing]) / weights[crossing].clamp(min=1e-12)
    distance = weights.new_zeros(len(offsets) - 1)
    distance[rays[crossing]] = traced.samples.t[crossing] + (part - 0.5) * traced.samples.delta[crossing]
    return distance, opacity


def render_view(field: RadianceField, cameras: Cameras, index: int) -> RenderedView:
    """Picture, median depth and opacity that a camera sees.

    Args:
        field: Geometry.
        cameras: Cameras in the normalised frame.
        index: Which camera.

    Returns:
        Arrays of the camera's size; pixels without a ray are background.
    """
    return next(render_views(field, cameras, [index]))


def render_views(field: RadianceField, cameras: Cameras, indices: Iterable[int]) -> Iterator[RenderedView]:
    """Render several cameras, in turn, as `render_view` does; faster on CUDA than one by one."""
    group: list[int] = []
    pixels = 0
    for index in indices:
        size = int(cameras.sizes[index].prod())
        if group and pixels + size > _batches(field.device).pixels:
            yield from _render_group(field, cameras[group])
            group, pixels = [], 0
        group.append(index)
        pixels += size
    if group:
        yield from _render_group(field, cameras[group])


@torch.no_grad()
def _render_group(field: RadianceField, cameras: Cameras) -> list[RenderedView]:
    """Render a few cameras together: batches of rays run across their borders."""
    table = ray_table(cameras, field.device)
    ends = np.cumsum(cameras.sizes.prod(axis=1))
    total, begins = int(ends[-1]), torch.from_numpy(np.concatenate([[0], ends])).to(field.device)
    # One array, so that one copy brings everything to the host.
    values = torch.zeros(5 * total, device=field.device)
    color, depth, opacity = values[: 3 * total].view(total, 3), values[3 * total : 4 * total], values[4 * total :]
    color[:] = field.background
    for pixels in torch.arange(total, device=field.device).split(_batches(field.device).rays):
        camera = torch.searchsorted(begins, pixels, right=True) - 1
        has_ray = table.directions[table.starts[camera] + pixels - begins[camera]].isfinite().all(-1).nonzero()[:, 0]
        pixels, camera = pixels[has_ray], camera[has_ray]
        if len(pixels) == 0:
            continue
        rays_o, rays_d, cosine = table.rays(camera, pixels - begins[camera])
        for part, traced in traced_parts(field, rays_o, rays_d, vectors=True):
            shown = pixels[part]
            color[shown] = shade(field, rays_d[part], traced).clamp(0.0, 1.0)
            distance, opacity[shown] = median_distance(traced)
            depth[shown] = distance * cosine[part]
            del traced  # before the next rays are traced
    host = values.cpu().numpy()
    parts = (
        np.split(part, ends[:-1])
        for part in (host[: 3 * total].reshape(total, 3), *host[3 * total :].reshape(2, total))
    )
    return [
        RenderedView(color.reshape(height, width, 3), depth.reshape(height, width), opacity.reshape(height, width))
        for (width, height), color, depth, opacity in zip(cameras.sizes.tolist(), *parts, strict=True)
    ]


@torch.no_grad()
def point_features(field: FeatureField, points: np.ndarray) -> np.ndarray:
    """Unit-length features [N, D], float32, at points [N, 3] of the normalised frame."""
    positions = torch.from_numpy(np.ascontiguousarray(points, np.float32))
    parts = [
        torch.nn.functional.normalize(field(part.to(field.device)), dim=1).cpu()
        for part in positions.split(_batches(field.device).positions)
    ]
    return torch.cat(parts).numpy() if parts else np.zeros((0, field.dim), np.float32)
