"""The samples that each training pixel shows, computed once when the geometry is final."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from ...field.model import RadianceField
from ...field.samples import NEGLIGIBLE
from ...field.tracing import Traced, trace, traced_parts
from ...field.volrend import ray_indices, run_offsets
from ..pixels import PixelPool

_RAYS_AT_ONCE = 1 << 16
_RAYS_AT_ONCE_CUDA = 1 << 18


@dataclass(frozen=True, eq=False)
class SurfaceCache:
    """The heaviest samples of every pixel of a pool, packed.

    Attributes:
        offsets: First sample of each pixel, and S [P + 1], int64.
        t: Distance along the pixel's unit ray [S], float32.
        weights: Rendering weights [S], float32; one minus their sum is the weight of a pixel's background.
    """

    offsets: Tensor
    t: Tensor
    weights: Tensor

    def gather(self, pixels: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Samples of pool pixels [R]: offsets [R + 1], distances [S'] and weights [S']."""
        counts = self.offsets[pixels + 1] - self.offsets[pixels]
        offsets = run_offsets(counts)
        total = int(offsets[-1])
        rays = ray_indices(offsets, total)
        index = torch.arange(total, device=pixels.device) + (self.offsets[pixels] - offsets[:-1])[rays]
        return offsets, self.t[index], self.weights[index]


@dataclass(frozen=True, eq=False)
class PaddedCache:
    """The heaviest samples of every pixel of a pool, with equal room for each: for steps of fixed shape.

    Attributes:
        t: Distance along the pixel's unit ray [P, C], float32, near to far; 0 where a pixel has fewer samples.
        weights: Rendering weights [P, C], float32; 0 where a pixel has fewer samples.
    """

    t: Tensor
    weights: Tensor


def keep_heaviest(traced: Traced, count: int) -> SurfaceCache:
    """Keep the `count` heaviest samples of each ray, near to far.

    The weights of those that are kept are scaled so that they sum to the opacity of the ray.
    """
    offsets, weights = traced.samples.offsets, traced.weights
    rays = ray_indices(offsets, len(weights))
    # Two stable sorts order the samples by ray, then by falling weight: the rank within the ray follows.
    order = torch.sort(weights, descending=True, stable=True).indices
    order = order[torch.sort(rays[order], stable=True).indices]
    rank = torch.empty_like(order)
    rank[order] = torch.arange(len(order), device=order.device) - offsets[:-1][rays]
    kept = (rank < count) & (weights > NEGLIGIBLE)
    sums = weights.new_zeros(len(offsets) - 1, 2)
    sums.index_add_(0, rays, torch.stack([weights, weights * kept], dim=1))
    scale = sums[:, 0] / sums[:, 1].clamp(min=1e-12)
    new_offsets = run_offsets(torch.bincount(rays[kept], minlength=len(offsets) - 1))
    return SurfaceCache(new_offsets, traced.samples.t[kept], (weights * scale[rays])[kept])


@torch.no_grad()
def build_cache(field: RadianceField, pool: PixelPool, count: int, advance: Callable[[int], None]) -> SurfaceCache:
    """Trace every pixel of a pool and keep its heaviest samples.

    Args:
        field: Final geometry.
        pool: Training pixels.
        count: Most samples per pixel.
        advance: Called with the number of pixels done so far.
    """
    total, device = len(pool.colors), pool.colors.device
    has_ray = torch.ones(total, dtype=torch.bool, device=device)
    if pool.valid is not None:
        has_ray = torch.zeros_like(has_ray).index_fill(0, pool.valid, True)
    parts, first = [], 0
    while first < total:
        pixels = torch.arange(first, min(first + _RAYS_AT_ONCE, total), device=device)
        parts.append(_trace_pixels(field, pool, pixels, has_ray[pixels], count))
        first += len(pixels)
        advance(first)
    offsets = run_offsets(torch.cat([part.offsets.diff() for part in parts]))
    return SurfaceCache(offsets, torch.cat([part.t for part in parts]), torch.cat([part.weights for part in parts]))


def _trace_pixels(field: RadianceField, pool: PixelPool, pixels: Tensor, has_ray: Tensor, count: int) -> SurfaceCache:
    kept = pixels[has_ray]
    rays_o, rays_d, _ = pool.rays.rays(*pool.locate(kept))
    caches = [keep_heaviest(traced, count) for _, traced in traced_parts(field, rays_o, rays_d)]
    counts = torch.zeros(len(pixels), dtype=torch.int64, device=pixels.device)
    counts[has_ray] = torch.cat([counts[:0], *(cache.offsets.diff() for cache in caches)])
    return SurfaceCache(
        run_offsets(counts), torch.cat([cache.t for cache in caches]), torch.cat([cache.weights for cache in caches])
    )


@torch.no_grad()
def build_padded_cache(
    field: RadianceField, pool: PixelPool, count: int, advance: Callable[[int], None]
) -> PaddedCache:
    """`build_cache` with room for `count` samples of every pixel, on a CUDA device."""
    from ...field.kernels.select_gpu import select_heaviest

    total, device = len(pool.colors), pool.colors.device
    t, weights = torch.zeros(total, count, device=device), torch.zeros(total, count, device=device)
    pixels = torch.arange(total, device=device) if pool.valid is None else pool.valid
    done = 0
    for part in pixels.split(_RAYS_AT_ONCE_CUDA):
        rays_o, rays_d, _ = pool.rays.rays(*pool.locate(part))
        traced = trace(field, rays_o, rays_d)
        t[part], weights[part] = select_heaviest(traced.weights, traced.samples.t, traced.samples.offsets, count)
        done += len(part)
        advance(done)
    return PaddedCache(t, weights)
