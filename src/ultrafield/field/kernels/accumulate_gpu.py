"""Weighted sums along rays in Triton: a program holds several rays, a few samples of each and a tile of channels.

Arrays may be longer than the number of samples in use, the last of `offsets`; gradients are zero behind it.
"""

from __future__ import annotations

import torch
import triton
import triton.language as tl
from torch import Tensor

from .packing_gpu import clear_tail, load_runs, run_tile

_TAIL = 4096


def accumulate_gpu(weights: Tensor, values: Tensor, offsets: Tensor) -> Tensor:
    """Sums [R, C]; see `accumulate`."""
    return _Accumulate.apply(weights.contiguous(), values.contiguous(), offsets)


class _Accumulate(torch.autograd.Function):
    @staticmethod
    def forward(ctx, weights: Tensor, values: Tensor, offsets: Tensor) -> Tensor:
        rays, channels = len(offsets) - 1, values.shape[1]
        out = values.new_empty(rays, channels)
        if out.numel():
            tile = _channel_tile(channels)
            grid = (triton.cdiv(rays, tile["BR"]), triton.cdiv(channels, tile["BC"]))
            _accumulate_forward_kernel[grid](weights, values, offsets, out, rays, CHANNELS=channels, **tile)
        ctx.save_for_backward(weights, values, offsets)
        return out

    @staticmethod
    def backward(ctx, grad: Tensor) -> tuple[Tensor | None, Tensor | None, None]:
        weights, values, offsets = ctx.saved_tensors
        grad_weights = torch.empty_like(weights) if ctx.needs_input_grad[0] else None
        grad_values = torch.empty_like(values) if ctx.needs_input_grad[1] else None
        rays, (count, channels) = len(offsets) - 1, values.shape
        if count:
            tile = _channel_tile(channels)
            programs = triton.cdiv(rays, tile["BR"])
            grid = (programs + triton.cdiv(count * max(1, channels), _TAIL),)
            _accumulate_backward_kernel[grid](
                grad.contiguous(),
                weights,
                values,
                offsets,
                grad_weights,
                grad_values,
                rays,
                count,
                programs,
                CHANNELS=channels,
                TAIL=_TAIL,
                **tile,
            )
        return grad_weights, grad_values, None


def _channel_tile(channels: int) -> dict[str, int]:
    """Rays, samples and channels of a tile, and the warps that hold it."""
    wide = min(64, triton.next_power_of_2(max(1, channels)))
    if wide == 1:
        return {"BR": 16, "BS": 16, "BC": 1, "num_warps": 2}
    if wide <= 8:  # a tile per warp, so that programs walk as far as the longest of few runs
        return {"BR": min(8, 32 // wide), "BS": 16, "BC": wide, "num_warps": 1}
    return {"BR": 512 // wide, "BS": 8, "BC": wide, "num_warps": 4}


@triton.jit(do_not_specialize=["num_rays"])
def _accumulate_forward_kernel(
    weights,
    values,
    offsets,
    out,
    num_rays,
    CHANNELS: tl.constexpr,
    BR: tl.constexpr,
    BS: tl.constexpr,
    BC: tl.constexpr,
):
    ray, real, begin, length = load_runs(offsets, tl.program_id(0), num_rays, BR)
    channel = tl.program_id(1) * BC + tl.arange(0, BC)
    terms = tl.zeros([BR, BS, BC], tl.float32)  # added up when the runs are over: sums across threads are dear
    for start in range(0, tl.max(length, axis=0), BS):
        here, mask = run_tile(begin, start, length, BS)
        w = tl.load(weights + here, mask=mask, other=0.0)
        inside = mask[:, :, None] & (channel < CHANNELS)[None, None, :]
        v = tl.load(values + here[:, :, None] * CHANNELS + channel[None, None, :], mask=inside, other=0.0)
        terms += w[:, :, None] * v
    inside = real[:, None] & (channel < CHANNELS)[None, :]
    row = ray.to(tl.int64)[:, None] * CHANNELS
    tl.store(out + row + channel[None, :], tl.sum(terms, axis=1), mask=inside)


@triton.jit(do_not_specialize=["num_rays", "capacity", "programs"])
def _accumulate_backward_kernel(
    grad,
    weights,
    values,
    offsets,
    grad_weights,
    grad_values,
    num_rays,
    capacity,
    programs,
    CHANNELS: tl.constexpr,
    TAIL: tl.constexpr,
    BR: tl.constexpr,
    BS: tl.constexpr,
    BC: tl.constexpr,
):
    pid = tl.program_id(0)
    if pid >= programs:
        if grad_weights is not None:
            clear_tail(grad_weights, offsets, num_rays, capacity, 1, pid - programs, TAIL)
        if grad_values is not None:
            clear_tail(grad_values, offsets, num_rays, capacity, CHANNELS, pid - programs, TAIL)
    else:
        ray, real, begin, length = load_runs(offsets, pid, num_rays, BR)
        row = grad + ray.to(tl.int64)[:, None] * CHANNELS
        first_channels = tl.arange(0, BC)[None, :]
        upstream = tl.load(row + first_channels, mask=real[:, None] & (first_channels < CHANNELS), other=0.0)
        for start in range(0, tl.max(length, axis=0), BS):
            here, mask = run_tile(begin, start, length, BS)
            if grad_values is not None:
                w = tl.load(weights + here, mask=mask, other=0.0)
            dot = tl.zeros([BR, BS], tl.float32)
            for part in tl.static_range(0, CHANNELS, BC):
                channel = part + tl.arange(0, BC)
                exists = channel < CHANNELS
                inside = mask[:, :, None] & exists[None, None, :]
                cell = here[:, :, None] * CHANNELS + channel[None, None, :]
                if CHANNELS > BC:
                    upstream = tl.load(row + channel[None, :], mask=real[:, None] & exists[None, :], other=0.0)
                if grad_weights is not None:
                    dot += tl.sum(tl.load(values + cell, mask=inside, other=0.0) * upstream[:, None, :], axis=2)
                if grad_values is not None:
                    tl.store(grad_values + cell, w[:, :, None] * upstream[:, None, :], mask=inside)
            if grad_weights is not None:
                tl.store(grad_weights + here, dot, mask=mask)
