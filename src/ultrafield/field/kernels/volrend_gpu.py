"""Packed volume rendering in Triton: a program holds several rays and walks a tile of samples along each.

All arrays may be longer than the number of samples in use, the last of `offsets`; what is computed per sample is zero
behind it.
"""

from __future__ import annotations

import torch
import triton
import triton.language as tl
from torch import Tensor

from .packing_gpu import (
    clear_tail,
    load_depths,
    load_row,
    load_rows,
    load_runs,
    row_tile,
    run_tile,
    store_row,
    sums_in_front,
    whole_groups,
)

# A warp holds eight rows and reads 16 bytes per thread. All rows are walked as far as the program's longest run, hence
# few of them; as a processor takes 32 programs at most, four warps each hide more of the memory's delay than one.
_TILE = {"BR": 32, "BS": 16, "TAIL": 4096, "num_warps": 4}


def ray_indices_gpu(offsets: Tensor, count: int) -> Tensor:
    """Ray of each sample [S], int64; zeros behind the last one."""
    rays = torch.empty(count, dtype=torch.int64, device=offsets.device)
    _launch(_ray_indices_kernel, (offsets, rays), offsets, count)
    return rays


def render_weights_gpu(sigma: Tensor, delta: Tensor, offsets: Tensor) -> Tensor:
    """Weights [S]; see `render_weights`."""
    weights = _Weights.apply(whole_groups(sigma), whole_groups(delta), offsets)
    return weights if len(weights) == len(sigma) else weights[: len(sigma)]


def distortion_gpu(weights: Tensor, position: Tensor, delta: Tensor, offsets: Tensor) -> Tensor:
    """Losses [R]; see `distortion`."""
    return _Distortion.apply(whole_groups(weights), whole_groups(position), whole_groups(delta), offsets)


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
    programs = triton.cdiv(rays, _TILE["BR"])
    grid = (programs + triton.cdiv(count, _TILE["TAIL"]),)
    if grid[0]:
        kernel[grid](*arguments, rays, count, programs, **_TILE)


@triton.jit
def _opacity(step):
    """1 − exp(−step) without cancellation: a Taylor series where the step is short."""
    short = step * (1 - step * (1 / 2 - step * (1 / 6 - step * (1 / 24 - step * (1 / 120)))))
    return tl.where(step < 0.125, short, 1 - tl.exp(-step))


@triton.jit(do_not_specialize=["num_rays", "capacity", "programs"])
def _ray_indices_kernel(
    offsets, rays, num_rays, capacity, programs, BR: tl.constexpr, BS: tl.constexpr, TAIL: tl.constexpr
):
    pid = tl.program_id(0)
    if pid >= programs:
        clear_tail(rays, offsets, num_rays, capacity, 1, pid - programs, TAIL)
    else:
        ray, _, begin, length = load_runs(offsets, pid, num_rays, BR)
        value = tl.broadcast_to(ray.to(tl.int64)[:, None], (BR, BS))
        for start in range(0, tl.max(length, axis=0), BS):
            here, mask = run_tile(begin, start, length, BS)
            tl.store(rays + here, value, mask=mask)


@triton.jit(do_not_specialize=["num_rays", "capacity", "programs"])
def _weights_forward_kernel(
    sigma,
    delta,
    offsets,
    weights,
    num_rays,
    capacity,
    programs,
    BR: tl.constexpr,
    BS: tl.constexpr,
    TAIL: tl.constexpr,
):
    pid = tl.program_id(0)
    if pid >= programs:
        clear_tail(weights, offsets, num_rays, capacity, 1, pid - programs, TAIL)
    else:
        _, _, base, first, last = load_rows(offsets, pid, num_rays, BR)
        depth = tl.zeros([BR, 1], tl.float32)  # optical depth in front of the tile's first sample
        for start in range(0, tl.max(last), BS):
            j, inside = row_tile(start, first, last, BS)
            step = load_depths(sigma, delta, base, j, last, inside)
            through = tl.exp(-(depth + sums_in_front(step)))
            store_row(weights + base, j, through * _opacity(step), first, last)
            depth += tl.sum(step, axis=1, keep_dims=True)


@triton.jit(do_not_specialize=["num_rays", "capacity", "programs"])
def _weights_backward_kernel(
    grad,
    sigma,
    delta,
    offsets,
    weights,
    grad_sigma,
    num_rays,
    capacity,
    programs,
    BR: tl.constexpr,
    BS: tl.constexpr,
    TAIL: tl.constexpr,
):
    pid = tl.program_id(0)
    if pid >= programs:
        clear_tail(grad_sigma, offsets, num_rays, capacity, 1, pid - programs, TAIL)
    else:
        # ∂wᵢ/∂σᵢ = δᵢ Tᵢ exp(−σᵢ δᵢ) and ∂wⱼ/∂σᵢ = −δᵢ wⱼ for every j behind i.
        _, _, base, first, last = load_rows(offsets, pid, num_rays, BR)
        longest = tl.max(last)
        all_passed = tl.zeros([BR, BS], tl.float32)
        for start in range(0, longest, BS):
            j, inside = row_tile(start, first, last, BS)
            passed = load_row(grad + base, j, last) * load_row(weights + base, j, last)
            all_passed += tl.where(inside, passed, 0.0)
        behind = tl.sum(all_passed, axis=1, keep_dims=True)  # Σ g w of the samples not yet passed
        depth = tl.zeros([BR, 1], tl.float32)
        for start in range(0, longest, BS):
            j, inside = row_tile(start, first, last, BS)
            size = load_row(delta + base, j, last)
            step = tl.where(inside, load_row(sigma + base, j, last) * size, 0.0)
            slope = load_row(grad + base, j, last)
            passed = tl.where(inside, slope * load_row(weights + base, j, last), 0.0)
            through = tl.exp(-(depth + tl.cumsum(step, axis=1)))
            rest = behind - tl.cumsum(passed, axis=1)
            store_row(grad_sigma + base, j, size * (slope * through - rest), first, last)
            depth += tl.sum(step, axis=1, keep_dims=True)
            behind -= tl.sum(passed, axis=1, keep_dims=True)


@triton.jit(do_not_specialize=["num_rays", "capacity", "programs"])
def _distortion_forward_kernel(
    weights,
    position,
    delta,
    offsets,
    loss,
    slopes,
    num_rays,
    capacity,
    programs,
    BR: tl.constexpr,
    BS: tl.constexpr,
    TAIL: tl.constexpr,
):
    pid = tl.program_id(0)
    if pid >= programs:
        if slopes is not None:
            clear_tail(slopes, offsets, num_rays, capacity, 1, pid - programs, TAIL)
    else:
        ray, real, base, first, last = load_rows(offsets, pid, num_rays, BR)
        longest = tl.max(last)
        # Only differences of positions count; those from the ray's first sample cancel less.
        origin = tl.load(position + base + first, mask=first < last, other=0.0)
        all_mass = tl.zeros([BR, BS], tl.float32)
        all_moment = tl.zeros([BR, BS], tl.float32)
        if slopes is not None:
            for start in range(0, longest, BS):
                j, inside = row_tile(start, first, last, BS)
                w = load_row(weights + base, j, last)
                x = load_row(position + base, j, last) - origin
                all_mass += tl.where(inside, w, 0.0)
                all_moment += tl.where(inside, w * x, 0.0)
        rest_mass = tl.sum(all_mass, axis=1, keep_dims=True)  # Σ w and Σ w s of the run
        rest_moment = tl.sum(all_moment, axis=1, keep_dims=True)
        mass = tl.zeros([BR, 1], tl.float32)  # Σ w and Σ w s in front of the tile
        moment = tl.zeros([BR, 1], tl.float32)
        total = tl.zeros([BR, BS], tl.float32)
        for start in range(0, longest, BS):
            j, inside = row_tile(start, first, last, BS)
            w = load_row(weights + base, j, last)
            x = load_row(position + base, j, last) - origin
            own = w * load_row(delta + base, j, last) * (1 / 3)
            w_inside = tl.where(inside, w, 0.0)
            wx_inside = tl.where(inside, w * x, 0.0)
            # Sums up to and with the sample: its own part, w (x − x), is nothing.
            front_mass = mass + tl.cumsum(w_inside, axis=1)
            front_moment = moment + tl.cumsum(wx_inside, axis=1)
            front = x * front_mass - front_moment
            total += tl.where(inside, w * (2 * front + own), 0.0)
            if slopes is not None:
                back = (rest_moment - front_moment) - x * (rest_mass - front_mass)
                store_row(slopes + base, j, 2 * (front + back + own), first, last)
            mass += tl.sum(w_inside, axis=1, keep_dims=True)
            moment += tl.sum(wx_inside, axis=1, keep_dims=True)
        tl.store(loss + ray, tl.sum(total, axis=1), mask=real)


@triton.jit(do_not_specialize=["num_rays", "capacity", "programs"])
def _distortion_backward_kernel(
    grad,
    slopes,
    offsets,
    grad_weights,
    num_rays,
    capacity,
    programs,
    BR: tl.constexpr,
    BS: tl.constexpr,
    TAIL: tl.constexpr,
):
    pid = tl.program_id(0)
    if pid >= programs:
        clear_tail(grad_weights, offsets, num_rays, capacity, 1, pid - programs, TAIL)
    else:
        ray, real, base, first, last = load_rows(offsets, pid, num_rays, BR)
        upstream = tl.load(grad + ray, mask=real, other=0.0)[:, None]
        for start in range(0, tl.max(last), BS):
            j, _ = row_tile(start, first, last, BS)
            store_row(grad_weights + base, j, upstream * load_row(slopes + base, j, last), first, last)
