"""Volume rendering of packed samples: all rays' samples in one array, each ray's in one contiguous run.

Source: Max, "Optical models for direct volume rendering", 1995; Mildenhall et al., "NeRF", 2020, eq. 3.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from torch import Tensor

from ..errors import check_shape


def ray_indices(offsets: Tensor, count: int) -> Tensor:
    """Ray of each sample.

    Args:
        offsets: First sample of each ray, and the number of samples [R + 1], int64.
        count: Length S of the result: the number of samples; on CUDA it may be larger.

    Returns:
        [S], int64; 0 behind the last sample.
    """
    if offsets.is_cuda:
        from .kernels.volrend_gpu import ray_indices_gpu

        return ray_indices_gpu(offsets, count)
    from .kernels.volrend_torch import ray_indices_torch

    return ray_indices_torch(offsets, count)


def run_offsets(counts: Tensor) -> Tensor:
    """Bounds [R + 1], int64, of runs with `counts` [R] samples each."""
    offsets = torch.zeros(len(counts) + 1, dtype=torch.int64, device=counts.device)
    offsets[1:] = counts.cumsum(0)
    return offsets


def render_weights(sigma: Tensor, delta: Tensor, offsets: Tensor) -> Tensor:
    """Share of each sample in its ray's picture, w = T · (1 − exp(−σ δ)).

    Args:
        sigma: Densities [S], float32, one over unit length.
        delta: Lengths of the samples [S], float32.
        offsets: First sample of each ray, and S [R + 1], int64.

    Returns:
        Weights [S], float32; differentiable in `sigma`. A ray's weights sum to its opacity.

    Source: Mildenhall et al. 2020, eq. 3.
    """
    check_shape("delta", delta, tuple(sigma.shape))
    if sigma.is_cuda:
        from .kernels.volrend_gpu import render_weights_gpu

        return render_weights_gpu(sigma, delta, offsets)
    return _WeightsCpu.apply(sigma, delta, offsets)


def accumulate(weights: Tensor, values: Tensor, offsets: Tensor) -> Tensor:
    """Sum of weighted values along each ray.

    Args:
        weights: [S], float32.
        values: [S, C], float32.
        offsets: First sample of each ray, and S [R + 1], int64.

    Returns:
        [R, C], float32; differentiable in `weights` and `values`.
    """
    check_shape("values", values, (len(weights), None))
    if weights.is_cuda:
        from .kernels.accumulate_gpu import accumulate_gpu

        return accumulate_gpu(weights, values, offsets)
    return _AccumulateCpu.apply(weights, values, offsets)


def distortion(weights: Tensor, position: Tensor, delta: Tensor, offsets: Tensor) -> Tensor:
    """How widely each ray's weights are spread: Σᵢⱼ wᵢ wⱼ |sᵢ − sⱼ| + ⅓ Σ wᵢ² δᵢ.

    Args:
        weights: [S], float32.
        position: Midpoints s of the samples along the ray [S], float32, increasing within a ray.
        delta: Lengths of the samples [S], float32, same units.
        offsets: First sample of each ray, and S [R + 1], int64.

    Returns:
        [R], float32; differentiable in `weights`.

    Source: Barron et al., "Mip-NeRF 360", 2022, eq. 15.
    """
    if weights.is_cuda:
        from .kernels.volrend_gpu import distortion_gpu

        return distortion_gpu(weights, position, delta, offsets)
    return _DistortionCpu.apply(weights, position, delta, offsets)


def _numpy(tensor: Tensor) -> np.ndarray:
    return tensor.detach().contiguous().numpy()


class _WeightsCpu(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, sigma: Tensor, delta: Tensor, offsets: Tensor) -> Tensor:
        from .kernels.volrend_cpu import weights_forward

        weights = torch.empty_like(sigma)
        weights_forward(_numpy(sigma), _numpy(delta), _numpy(offsets), weights.numpy())
        ctx.save_for_backward(sigma, delta, offsets, weights)
        return weights

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor, None, None]:
        from .kernels.volrend_cpu import weights_backward

        sigma, delta, offsets, weights = (_numpy(saved) for saved in ctx.saved_tensors)
        grad_sigma = np.empty_like(sigma)
        weights_backward(_numpy(grad), sigma, delta, offsets, weights, grad_sigma)
        return torch.from_numpy(grad_sigma), None, None


class _AccumulateCpu(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, weights: Tensor, values: Tensor, offsets: Tensor) -> Tensor:
        from .kernels.volrend_cpu import accumulate_forward

        out = torch.empty(len(offsets) - 1, values.shape[1])
        accumulate_forward(_numpy(weights), _numpy(values), _numpy(offsets), out.numpy())
        ctx.save_for_backward(weights, values, offsets)
        return out

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor, Tensor, None]:
        from .kernels.volrend_cpu import accumulate_backward

        weights, values, offsets = (_numpy(saved) for saved in ctx.saved_tensors)
        grad_weights, grad_values = np.empty_like(weights), np.empty_like(values)
        accumulate_backward(_numpy(grad), weights, values, offsets, grad_weights, grad_values)
        return torch.from_numpy(grad_weights), torch.from_numpy(grad_values), None


class _DistortionCpu(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, weights: Tensor, position: Tensor, delta: Tensor, offsets: Tensor) -> Tensor:
        from .kernels.volrend_cpu import distortion_forward

        loss, slope = torch.empty(len(offsets) - 1), torch.empty_like(weights)
        distortion_forward(
            _numpy(weights), _numpy(position), _numpy(delta), _numpy(offsets), loss.numpy(), slope.numpy()
        )
        ctx.save_for_backward(slope, offsets)
        return loss

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor, None, None, None]:
        slope, offsets = ctx.saved_tensors
        return slope * grad[ray_indices(offsets, len(slope))], None, None, None
