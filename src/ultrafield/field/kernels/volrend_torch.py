"""Packed volume rendering in plain PyTorch: any device, gradients by autograd."""

from __future__ import annotations

import torch
from torch import Tensor


def ray_indices_torch(offsets: Tensor, count: int) -> Tensor:
    """Ray of each sample [S], int64; see `ray_indices`."""
    rays = torch.arange(len(offsets) - 1, device=offsets.device)
    return torch.repeat_interleave(rays, offsets.diff(), output_size=count)


def _before(values: Tensor, offsets: Tensor, rays: Tensor) -> Tensor:
    """Sum of the values in front of each sample within its ray [S], float64.

    One running sum over all rays would lose float32's precision to the rays before; float64 has enough to spare.
    """
    running = torch.cat([values.new_zeros(1, dtype=torch.float64), values.double().cumsum(0)])
    return running[:-1] - running[offsets[:-1]][rays]


def render_weights_torch(sigma: Tensor, delta: Tensor, offsets: Tensor) -> Tensor:
    """Weights [S]; see `render_weights`."""
    depth = sigma * delta
    transmittance = torch.exp(-_before(depth, offsets, ray_indices_torch(offsets, len(sigma)))).to(sigma.dtype)
    return transmittance * -torch.expm1(-depth)


def accumulate_torch(weights: Tensor, values: Tensor, offsets: Tensor) -> Tensor:
    """Sums [R, C]; see `accumulate`."""
    out = values.new_zeros(len(offsets) - 1, values.shape[1])
    return out.index_add(0, ray_indices_torch(offsets, len(weights)), weights[:, None] * values)


def distortion_torch(weights: Tensor, position: Tensor, delta: Tensor, offsets: Tensor) -> Tensor:
    """Losses [R]; see `distortion`."""
    rays = ray_indices_torch(offsets, len(weights))
    mass = _before(weights, offsets, rays).to(weights.dtype)
    moment = _before(weights * position, offsets, rays).to(weights.dtype)
    terms = 2 * weights * (position * mass - moment) + weights.square() * delta / 3
    return weights.new_zeros(len(offsets) - 1).index_add(0, rays, terms)
