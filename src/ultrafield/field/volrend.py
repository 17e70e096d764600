"""Volume rendering of packed samples: all rays' samples in one array, each ray's in one contiguous run.

Source: Max, "Optical models for direct volume rendering", 1995; Mildenhall et al., "NeRF", 2020, eq. 3.
"""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from ..errors import check_shape

NEGLIGIBLE = 1e-4  # samples that weigh less are not shaded and not kept


def ray_indices(offsets: Tensor, count: int) -> Tensor:
    """Ray of each sample [S], int64, from the runs' bounds `offsets` [R + 1]; `count` is S.

    On CUDA `count` may exceed the number of samples; what is behind them is 0.
    """
    if offsets.is_cuda:
        from .kernels.volrend_gpu import ray_indices_gpu

        return ray_indices_gpu(offsets, count)
    rays = torch.arange(len(offsets) - 1, device=offsets.device)
    return torch.repeat_interleave(rays, offsets.diff(), output_size=count)


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


def _numpy(*tensors: Tensor) -> list[np.ndarray]:
    return [tensor.detach().contiguous().numpy() for tensor in tensors]


class _WeightsCpu(torch.autograd.Function):
    @staticmethod
    def forward(ctx, sigma: Tensor, delta: Tensor, offsets: Tensor) -> Tensor:
        from .kernels.volrend_cpu import weights_forward

        weights = torch.empty_like(sigma)
        weights_forward(*_numpy(sigma, delta, offsets), weights.numpy())
        ctx.save_for_backward(sigma, delta, offsets, weights)
        return weights

    @staticmethod
    def backward(ctx, grad: Tensor) -> tuple[Tensor, None, None]:
        from .kernels.volrend_cpu import weights_backward

        sigma, delta, offsets, weights = ctx.saved_tensors
        grad_sigma = torch.empty_like(sigma)
        weights_backward(*_numpy(grad, sigma, delta, offsets, weights), grad_sigma.numpy())
        return grad_sigma, None, None


class _AccumulateCpu(torch.autograd.Function):
    @staticmethod
    def forward(ctx, weights: Tensor, values: Tensor, offsets: Tensor) -> Tensor:
        from .kernels.volrend_cpu import accumulate_forward

        out = torch.empty(len(offsets) - 1, values.shape[1])
        accumulate_forward(*_numpy(weights, values, offsets), out.numpy())
        ctx.save_for_backward(weights, values, offsets)
        return out

    @staticmethod
    def backward(ctx, grad: Tensor) -> tuple[Tensor, Tensor, None]:
        from .kernels.volrend_cpu import accumulate_backward

        weights, values, offsets = ctx.saved_tensors
        grad_weights, grad_values = torch.empty_like(weights), torch.empty_like(values)
        accumulate_backward(*_numpy(grad, weights, values, offsets), grad_weights.numpy(), grad_values.numpy())
        return grad_weights, grad_values, None


class _DistortionCpu(torch.autograd.Function):
    @staticmethod
    def forward(ctx, weights: Tensor, position: Tensor, delta: Tensor, offsets: Tensor) -> Tensor:
        from .kernels.volrend_cpu import distortion_forward

        loss, slope = torch.empty(len(offsets) - 1), torch.empty_like(weights)
        distortion_forward(*_numpy(weights, position, delta, offsets), loss.numpy(), slope.numpy())
        ctx.save_for_backward(slope, offsets)
        return loss

    @staticmethod
    def backward(ctx, grad: Tensor) -> tuple[Tensor, None, None, None]:
        slope, offsets = ctx.saved_tensors
        return slope * grad[ray_indices(offsets, len(slope))], None, None, None
