"""Packed volume rendering in Triton: a program holds several rays and walks a tile of samples along each.

All arrays may be longer than the number of samples in use, the last of `offsets`; what is computed per sample is zero
behind it.
"""

from __future__ import annotations

import torch
import triton
import triton.language as tl
from torch import Tensor

from .packing_gpu import clear_tail, load_runs

_RAYS, _SAMPLES = 32, 16  # of a tile; runs mostly hold 8 to 40 samples
_TAIL = 2048


def ray_indices_gpu(offsets: Tensor, count: int) -> Tensor:
    """Ray of each sample [S], int64; zeros behind the last one."""
    rays = torch.zeros(count, dtype=torch.int64, device=offsets.device)
    num_rays = len(offsets) - 1
    if num_rays and count:
        _ray_indices_kernel[(triton.cdiv(num_rays, _RAYS),)](offsets, rays, num_rays, BR=_RAYS, BS=_SAMPLES)
    return rays


def render_weights_gpu(sigma: Tensor, delta: Tensor, offsets: Tensor) -> Tensor:
    """Weights [S]; see `render_weights`."""
    return _Weights.apply(sigma.contiguous(), delta.contiguous(), offsets)


def distortion_gpu(weights: Tensor, position: Tensor, delta: Tensor, offsets: Tensor) -> Tensor:
    """Losses [R]; see `distortion`."""
    return _Distortion.apply(weights.contiguous(), position.contiguous(), delta.contiguous(), offsets)


class _Weights(torch.autograd.Function):
    @staticmethod
    def forward(ctx, sigma: Tensor, delta: Tensor, offsets: Tensor) -> Tensor:
        weights = torch.empty_like(sigma)
        _launch(_weights_forward_kernel, (sigma, delta, offsets, weights), offsets, len(sigma))
        ctx.save_for_backward(sigma, delta, offsets, weights)
        return weights

    @staticmethod
    def backward(ctx, grad: Tensor) -> tuple[Tensor, None, None]:
        sigma, delta, offsets, weights = ctx.saved_tensors
        grad_sigma = torch.empty_like(sigma)
        inputs = (grad.contiguous(), sigma, delta, offsets, weights)
        _launch(_weights_backward_kernel, (*inputs, grad_sigma), offsets, len(sigma))
        return grad_sigma, None, None


class _Distortion(torch.autograd.Function):
    @staticmethod
    def forward(ctx, weights: Tensor, position: Tensor, delta: Tensor, offsets: Tensor) -> Tensor:
        loss = weights.new_empty(len(offsets) - 1)
        # The derivative of each ray's loss costs one more walk over what has just been read.
        slopes = torch.empty_like(weights) if ctx.needs_input_grad[0] else None
        arguments = (weights, position, delta, offsets, loss, slopes)
        _launch(_distortion_forward_kernel, arguments, offsets, len(weights))
        ctx.save_for_backward(slopes, offsets)
        return loss

    @staticmethod
    def backward(ctx, grad: Tensor) -> tuple[Tensor, None, None, None]:
        slopes, offsets = ctx.saved_tensors
        grad_weights = torch.empty_like(slopes)
        arguments = (grad.contiguous(), slopes, offsets, grad_weights)
        _launch(_distortion_backward_kernel, arguments, offsets, len(slopes))
        return grad_weights, None, None, None


def _launch(kernel, arguments: tuple[Tensor | None, ...], offsets: Tensor, count: int) -> None:
    """Run over the rays, and over the samples for the tails."""
    rays = len(offsets) - 1
    programs = triton.cdiv(rays, _RAYS)
    grid = (programs + triton.cdiv(count, _TAIL),)
    if grid[0]:
        kernel[grid](*arguments, rays, count, programs, BR=_RAYS, BS=_SAMPLES, TAIL=_TAIL)


@triton.jit
def _opacity(step):
    """1 − exp(−step) without cancellation: a Taylor series where the step is short."""
    short = step * (1 - step * (1 / 2 - step * (1 / 6 - step * (1 / 24 - step * (1 / 120)))))
    return tl.where(step < 0.125, short, 1 - tl.exp(-step))


@triton.jit(do_not_specialize=["num_rays"])
def _ray_indices_kernel(offsets, rays, num_rays, BR: tl.constexpr, BS: tl.constexpr):
    ray, _, begin, length = load_runs(offsets, tl.program_id(0), num_rays, BR)
    for first in range(0, tl.max(length, axis=0), BS):
        j = first + tl.arange(0, BS)[None, :]
        value = tl.broadcast_to(ray.to(tl.int64)[:, None], (BR, BS))
        tl.store(rays + begin[:, None] + j, value, mask=j < length[:, None])


@triton.jit(do_not_specialize=["num_rays", "capacity", "programs"])
def _weights_forward_kernel(
    sigma, delta, offsets, weights, num_rays, capacity, programs,
    BR: tl.constexpr, BS: tl.constexpr, TAIL: tl.constexpr,
):  # fmt: skip
    pid = tl.program_id(0)
    if pid >= programs:
        clear_tail(weights, offsets, num_rays, capacity, 1, pid - programs, TAIL)
    else:
        _, _, begin, length = load_runs(offsets, pid, num_rays, BR)
        depth = tl.zeros([BR], tl.float32)  # optical depth in front of the tile's first sample
        for first in range(0, tl.max(length, axis=0), BS):
            j = first + tl.arange(0, BS)[None, :]
            here = begin[:, None] + j
            mask = j < length[:, None]
            # The depth in front is a sum of shifted loads: a difference would lose it behind dense samples.
            shifted = mask & (j > first)
            ahead = tl.load(sigma + here - 1, mask=shifted, other=0.0)
            ahead *= tl.load(delta + here - 1, mask=shifted, other=0.0)
            step = tl.load(sigma + here, mask=mask, other=0.0) * tl.load(delta + here, mask=mask, other=0.0)
            through = tl.exp(-(depth[:, None] + tl.cumsum(ahead, axis=1)))
            tl.store(weights + here, through * _opacity(step), mask=mask)
            depth += tl.sum(step, axis=1)


@triton.jit(do_not_specialize=["num_rays", "capacity", "programs"])
def _weights_backward_kernel(
    grad, sigma, delta, offsets, weights, grad_sigma, num_rays, capacity, programs,
    BR: tl.constexpr, BS: tl.constexpr, TAIL: tl.constexpr,
):  # fmt: skip
    # ∂wᵢ/∂σᵢ = δᵢ Tᵢ exp(−σᵢ δᵢ) and ∂wⱼ/∂σᵢ = −δᵢ wⱼ for every j behind i.
    pid = tl.program_id(0)
    if pid >= programs:
        clear_tail(grad_sigma, offsets, num_rays, capacity, 1, pid - programs, TAIL)
    else:
        _, _, begin, length = load_runs(offsets, pid, num_rays, BR)
        longest = tl.max(length, axis=0)
        behind = tl.zeros([BR], tl.float32)  # Σ g w of the samples not yet passed
        for first in range(0, longest, BS):
            j = first + tl.arange(0, BS)[None, :]
            here = begin[:, None] + j
            mask = j < length[:, None]
            behind += tl.sum(
                tl.load(grad + here, mask=mask, other=0.0) * tl.load(weights + here, mask=mask, other=0.0), axis=1
            )
        depth = tl.zeros([BR], tl.float32)
        for first in range(0, longest, BS):
            j = first + tl.arange(0, BS)[None, :]
            here = begin[:, None] + j
            mask = j < length[:, None]
            size = tl.load(delta + here, mask=mask, other=0.0)
            step = tl.load(sigma + here, mask=mask, other=0.0) * size
            slope = tl.load(grad + here, mask=mask, other=0.0)
            passed = slope * tl.load(weights + here, mask=mask, other=0.0)
            through = tl.exp(-(depth[:, None] + tl.cumsum(step, axis=1)))
            rest = behind[:, None] - tl.cumsum(passed, axis=1)
            tl.store(grad_sigma + here, size * (slope * through - rest), mask=mask)
            depth += tl.sum(step, axis=1)
            behind -= tl.sum(passed, axis=1)


@triton.jit(do_not_specialize=["num_rays", "capacity", "programs"])
def _distortion_forward_kernel(
    weights, position, delta, offsets, loss, slopes, num_rays, capacity, programs,
    BR: tl.constexpr, BS: tl.constexpr, TAIL: tl.constexpr,
):  # fmt: skip
    pid = tl.program_id(0)
    if pid >= programs:
        if slopes is not None:
            clear_tail(slopes, offsets, num_rays, capacity, 1, pid - programs, TAIL)
    else:
        ray, real, begin, length = load_runs(offsets, pid, num_rays, BR)
        longest = tl.max(length, axis=0)
        # Only differences of positions count; those from the ray's first sample cancel less.
        origin = tl.load(position + begin, mask=length > 0, other=0.0)[:, None]
        all_mass = tl.zeros([BR], tl.float32)
        all_moment = tl.zeros([BR], tl.float32)
        if slopes is not None:
            for first in range(0, longest, BS):
                j = first + tl.arange(0, BS)[None, :]
                here = begin[:, None] + j
                mask = j < length[:, None]
                w = tl.load(weights + here, mask=mask, other=0.0)
                all_mass += tl.sum(w, axis=1)
                all_moment += tl.sum(w * (tl.load(position + here, mask=mask, other=0.0) - origin), axis=1)
        mass = tl.zeros([BR], tl.float32)  # Σ w and Σ w s in front of the tile
        moment = tl.zeros([BR], tl.float32)
        total = tl.zeros([BR], tl.float32)
        for first in range(0, longest, BS):
            j = first + tl.arange(0, BS)[None, :]
            here = begin[:, None] + j
            mask = j < length[:, None]
            w = tl.load(weights + here, mask=mask, other=0.0)
            x = tl.load(position + here, mask=mask, other=0.0) - origin
            own = w * tl.load(delta + here, mask=mask, other=0.0) * (1 / 3)
            wx = tl.where(mask, w * x, 0.0)
            # Sums up to and with the sample: its own part, w (x − x), is nothing.
            front_mass = mass[:, None] + tl.cumsum(w, axis=1)
            front_moment = moment[:, None] + tl.cumsum(wx, axis=1)
            front = x * front_mass - front_moment
            total += tl.sum(w * (2 * front + own), axis=1)
            if slopes is not None:
                back = (all_moment[:, None] - front_moment) - x * (all_mass[:, None] - front_mass)
                tl.store(slopes + here, 2 * (front + back + own), mask=mask)
            mass += tl.sum(w, axis=1)
            moment += tl.sum(wx, axis=1)
        tl.store(loss + ray, total, mask=real)


@triton.jit(do_not_specialize=["num_rays", "capacity", "programs"])
def _distortion_backward_kernel(
    grad, slopes, offsets, grad_weights, num_rays, capacity, programs,
    BR: tl.constexpr, BS: tl.constexpr, TAIL: tl.constexpr,
):  # fmt: skip
    pid = tl.program_id(0)
    if pid >= programs:
        clear_tail(grad_weights, offsets, num_rays, capacity, 1, pid - programs, TAIL)
    else:
        ray, real, begin, length = load_runs(offsets, pid, num_rays, BR)
        upstream = tl.load(grad + ray, mask=real, other=0.0)[:, None]
        for first in range(0, tl.max(length, axis=0), BS):
            j = first + tl.arange(0, BS)[None, :]
            here = begin[:, None] + j
            mask = j < length[:, None]
            tl.store(grad_weights + here, upstream * tl.load(slopes + here, mask=mask, other=0.0), mask=mask)
