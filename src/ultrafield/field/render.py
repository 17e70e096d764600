"""Rays traced through a radiance field: pictures, depth, the surface's features."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

import numpy as np
import torch
from torch import Tensor

from ..cameras import Cameras, RenderedView
from .model import FeatureField, RadianceField
from .rays import RayTable, ray_table
from .samples import NEGLIGIBLE
from .tracing import Traced, batches, traced_parts
from .volrend import accumulate, ray_indices

_STAGED = 1 << 22  # values that are copied to the host together


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
    for part in bright.split(batches(rays_d.device).positions):
        values[part, :3] = field.color(traced.vectors[part], harmonics[rays[part]])
    sums = accumulate(traced.weights, values, offsets)
    return sums[:, :3] + (1.0 - sums[:, 3:]) * field.background


@torch.no_grad()
def median_distance(traced: Traced) -> tuple[Tensor, Tensor]:
    """Distance along each ray at which half of the light has been stopped [R], 0 if never, and the opacity [R]."""
    offsets, delta, weights = traced.samples.offsets, traced.samples.delta, traced.weights
    t = traced.samples.t - traced.lag * delta if traced.lag else traced.samples.t
    if weights.is_cuda:
        from .kernels.select_gpu import median_distance_gpu

        return median_distance_gpu(t, delta, weights, offsets)
    rays = ray_indices(offsets, len(weights))
    running = torch.cat([weights.new_zeros(1, dtype=torch.float64), weights.double().cumsum(0)])
    start = running[offsets[:-1]]
    opacity = (running[offsets[1:]] - start).float()
    # Weights accumulate linearly within a sample, so the crossing is found by interpolation: depth without steps.
    before, after = (running[:-1] - start[rays]).float(), (running[1:] - start[rays]).float()
    crossing = ((before <= 0.5) & (after > 0.5)).nonzero()[:, 0]
    part = (0.5 - before[crossing]) / weights[crossing].clamp(min=1e-12)
    distance = weights.new_zeros(len(offsets) - 1)
    distance[rays[crossing]] = t[crossing] + (part - 0.5) * delta[crossing]
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
    table: RayTable | None = None
    for group in _groups(cameras, indices, batches(field.device).pixels):
        table = ray_table(cameras[group], field.device, like=table)
        yield from _render_group(field, cameras[group], table)


def _groups(cameras: Cameras, indices: Iterable[int], most: int) -> Iterator[list[int]]:
    """Cameras one after the other, so many together as have not more than `most` pixels; at least one."""
    group: list[int] = []
    pixels = 0
    for index in indices:
        size = int(cameras.sizes[index].prod())
        if group and pixels + size > most:
            yield group
            group, pixels = [], 0
        group.append(index)
        pixels += size
    if group:
        yield group


@torch.no_grad()
def _render_group(field: RadianceField, cameras: Cameras, table: RayTable) -> list[RenderedView]:
    """Render a few cameras together: batches of rays run across their borders."""
    ends = np.cumsum(cameras.sizes.prod(axis=1))
    total, begins = int(ends[-1]), torch.from_numpy(np.concatenate([[0], ends])).to(field.device)
    # One array, so that one copy brings everything to the host.
    values = torch.zeros(5 * total, device=field.device)
    color, depth, opacity = values[: 3 * total].view(total, 3), values[3 * total : 4 * total], values[4 * total :]
    color[:] = field.background
    sizes, begin = batches(field.device), 0
    size = sizes.rays
    while begin < total:
        pixels = torch.arange(begin, min(begin + size, total), device=field.device)
        begin += len(pixels)
        camera = torch.searchsorted(begins, pixels, right=True) - 1
        has_ray = table.directions[table.starts[camera] + pixels - begins[camera]].isfinite().all(-1).nonzero()[:, 0]
        pixels, camera = pixels[has_ray], camera[has_ray]
        if len(pixels) == 0:
            continue
        rays_o, rays_d, cosine = table.rays(camera, pixels - begins[camera])
        visible = 0
        for part, traced in traced_parts(field, rays_o, rays_d, vectors=True):
            visible += len(traced.weights)
            shown = pixels[part]
            color[shown] = shade(field, rays_d[part], traced).clamp(0.0, 1.0)
            distance, opacity[shown] = median_distance(traced)
            depth[shown] = distance * cosine[part]
            del traced  # before the next rays are traced
        size = sizes.fitting(len(pixels), visible)
    host = _to_host(values)
    parts = (
        np.split(part, ends[:-1])
        for part in (host[: 3 * total].reshape(total, 3), *host[3 * total :].reshape(2, total))
    )
    return [
        RenderedView(color.reshape(height, width, 3), depth.reshape(height, width), opacity.reshape(height, width))
        for (width, height), color, depth, opacity in zip(cameras.sizes.tolist(), *parts, strict=True)
    ]


def _to_host(values: Tensor) -> np.ndarray:
    """A copy of float32 values [N] on the host.

    It goes through a small page-locked buffer into memory in large pages, as NumPy asks for: seven times as fast as
    `Tensor.cpu` for several pictures.
    """
    host = np.empty(len(values), np.float32)
    target = torch.from_numpy(host)
    if not values.is_cuda:
        target.copy_(values)
        return host
    buffer = torch.empty(min(len(values), _STAGED), pin_memory=True)  # PyTorch keeps it for the next time
    for source, part in zip(values.split(_STAGED), target.split(_STAGED), strict=True):
        part.copy_(buffer[: len(part)].copy_(source))
    return host


@torch.no_grad()
def point_features(field: FeatureField, points: np.ndarray) -> np.ndarray:
    """Unit-length features [N, D], float32, at points [N, 3] of the normalised frame."""
    positions = torch.from_numpy(np.ascontiguousarray(points, np.float32))
    parts = [
        torch.nn.functional.normalize(field(part.to(field.device)), dim=1).cpu()
        for part in positions.split(batches(field.device).positions)
    ]
    return torch.cat(parts).numpy() if parts else np.zeros((0, field.dim), np.float32)
