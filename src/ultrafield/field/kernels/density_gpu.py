"""Densities along rays in Triton: exponentials, or those of a level set, where a sample must know the one in front.

Both come with what they are made of, the network's output, as whatever else is made of it has a gradient too: that the
gradients meet in one kernel saves the room of one and some ways through memory.
"""

from __future__ import annotations

from typing import Any

import torch
import triton
import triton.language as tl
from torch import Tensor
from torch.autograd.function import once_differentiable

from ..samples import FixedSamples

_BLOCK = 128
_LARGEST = 15.0  # of what has an exponential, as in `truncated_exp`


def level_set_gpu(
    raw: Tensor,
    samples: FixedSamples,
    width: Tensor,
    sections: Tensor,
    *,
    scale: float,
    outside: float,
    adjoining: float,
) -> tuple[Tensor, Tensor]:
    """Densities with which samples stop the light of their rays; see `LevelSet.ray_density`.

    Args:
        raw: The network's output [C, N], float32, whose first column makes the function.
        samples: Samples along rays, in arrays of size C.
        width: As in `LevelSet`, as is `sections` [], float32.
        sections: Share of the sections' densities.
        scale: Function per unit of the network's output.
        outside: Function where the network says nothing.
        adjoining: Samples adjoin if they are no farther apart than so many times their mean length.

    Returns:
        Densities [C], float32, zeros behind the last sample, and `raw`; both differentiable in `raw`.
    """
    constants = {"SCALE": scale, "OUTSIDE": outside, "ADJOINING": adjoining}
    return _Density.apply(raw, samples, width, sections, constants)


def exponential_gpu(raw: Tensor, samples: FixedSamples) -> tuple[Tensor, Tensor]:
    """`truncated_exp` of the first column of `raw` [C, N], else like `level_set_gpu`."""
    return _Density.apply(raw, samples, None, None, {"SCALE": 0.0, "OUTSIDE": 0.0, "ADJOINING": 0.0})


class _Density(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any,
        raw: Tensor,
        samples: FixedSamples,
        width: Tensor | None,
        sections: Tensor | None,
        constants: dict[str, float],
    ) -> tuple[Tensor, Tensor]:
        ctx.set_materialize_grads(False)
        ctx.samples, ctx.constants = samples, constants
        ctx.save_for_backward(raw, width, sections)
        sigma = torch.empty_like(samples.t)
        _launch(_forward_kernel, raw.contiguous(), samples, width, sections, (sigma,), constants)
        return sigma, raw.view_as(raw)

    @staticmethod
    @once_differentiable
    def backward(
        ctx: Any, grad: Tensor | None, grad_raw: Tensor | None
    ) -> tuple[Tensor | None, None, None, None, None]:
        raw, width, sections = ctx.saved_tensors
        if grad is None:
            return grad_raw, None, None, None, None
        if grad_raw is not None and grad_raw.stride(1) != 1:
            grad_raw = grad_raw.contiguous()
        raw = raw.contiguous()
        total = torch.empty_like(raw)
        step = 0 if grad_raw is None else grad_raw.stride(0)
        passed = (grad.contiguous(), grad_raw, total, step)
        columns = triton.next_power_of_2(raw.shape[1])
        _launch(_backward_kernel, raw, ctx.samples, width, sections, passed, ctx.constants, COLUMNS=columns)
        return total, None, None, None, None


def _launch(
    kernel: Any,
    raw: Tensor,
    samples: FixedSamples,
    width: Tensor | None,
    sections: Tensor | None,
    passed: tuple[Tensor | int | None, ...],
    constants: dict[str, float],
    **options: int,
) -> None:
    """Run over the samples, and the room behind them."""
    count, rays = len(raw), len(samples.offsets) - 1
    if count:
        inputs = (raw, samples.t, samples.delta, samples.rays, samples.offsets, width, sections)
        kernel[(triton.cdiv(count, _BLOCK),)](
            *inputs, *passed, rays, count, CHANNELS=raw.shape[1], LARGEST=_LARGEST, BLOCK=_BLOCK, **constants, **options
        )


@triton.jit(do_not_specialize=["num_rays", "count"])
def _forward_kernel(
    raw,
    t,
    delta,
    rays,
    offsets,
    width,
    sections,
    sigma,
    num_rays,
    count,
    CHANNELS: tl.constexpr,
    SCALE: tl.constexpr,
    OUTSIDE: tl.constexpr,
    ADJOINING: tl.constexpr,
    LARGEST: tl.constexpr,
    BLOCK: tl.constexpr,
):
    sample = tl.program_id(0).to(tl.int64) * BLOCK + tl.arange(0, BLOCK)
    real = sample < tl.load(offsets + num_rays)
    if width is None:
        value = tl.exp(tl.minimum(tl.load(raw + sample * CHANNELS, mask=real, other=0.0), LARGEST))
    else:
        sharpness = 1 / tl.load(width)
        share = tl.load(sections)
        steps = _steps(raw, sample, real, sharpness, CHANNELS, SCALE, OUTSIDE)
        in_front = _steps(raw, sample - 1, real & (sample > 0), sharpness, CHANNELS, SCALE, OUTSIDE)
        stopped, length, _ = _section(steps, in_front, t, delta, rays, sample, real, ADJOINING)
        half = 0.5 * tl.exp(-tl.abs(steps))
        place = tl.where(steps > 0, half, 1 - half) * sharpness
        value = (1 - share) * place + share * stopped / length
    tl.store(sigma + sample, tl.where(real, value, 0.0), mask=sample < count)


@triton.jit(do_not_specialize=["num_rays", "count"])
def _backward_kernel(
    raw,
    t,
    delta,
    rays,
    offsets,
    width,
    sections,
    grad,
    grad_raw,
    total,
    grad_raw_step,
    num_rays,
    count,
    CHANNELS: tl.constexpr,
    SCALE: tl.constexpr,
    OUTSIDE: tl.constexpr,
    ADJOINING: tl.constexpr,
    LARGEST: tl.constexpr,
    COLUMNS: tl.constexpr,
    BLOCK: tl.constexpr,
):
    sample = tl.program_id(0).to(tl.int64) * BLOCK + tl.arange(0, BLOCK)
    end = tl.load(offsets + num_rays)
    real = sample < end
    follows = sample + 1 < end
    upstream = tl.load(grad + sample, mask=real, other=0.0)
    if width is None:
        first = tl.load(raw + sample * CHANNELS, mask=real, other=0.0)
        slope = upstream * tl.exp(tl.minimum(tl.maximum(first, -LARGEST), LARGEST))
    else:
        sharpness = 1 / tl.load(width)
        share = tl.load(sections)
        in_front = _steps(raw, sample - 1, real & (sample > 0), sharpness, CHANNELS, SCALE, OUTSIDE)
        steps = _steps(raw, sample, real, sharpness, CHANNELS, SCALE, OUTSIDE)
        behind = _steps(raw, sample + 1, follows, sharpness, CHANNELS, SCALE, OUTSIDE)
        stopped, length, _ = _section(steps, in_front, t, delta, rays, sample, real, ADJOINING)
        next_stopped, next_length, joined = _section(behind, steps, t, delta, rays, sample + 1, follows, ADJOINING)
        next_upstream = tl.load(grad + sample + 1, mask=follows, other=0.0)
        # What a ray has passed counts for the sample's own section, and less for the next one if that begins here.
        gain = tl.where(stopped > 0, upstream / length, 0.0)
        gain -= tl.where(joined & (next_stopped > 0), next_upstream / next_length, 0.0)
        least = tl.exp(-tl.abs(steps))
        place_slope = -0.5 * least * sharpness
        passed_slope = -tl.where(steps > 0, least, 1.0) / (1 + least)
        slope = SCALE * sharpness * ((1 - share) * place_slope * upstream + share * passed_slope * gain)
    column = tl.arange(0, COLUMNS)[None, :]
    here = tl.where(column == 0, slope[:, None], 0.0)
    inside = column < CHANNELS
    if grad_raw is not None:
        other = grad_raw + sample[:, None] * grad_raw_step + column
        here += tl.load(other, mask=real[:, None] & inside, other=0.0)
    there = total + sample[:, None] * CHANNELS + column
    tl.store(there, tl.where(real[:, None], here, 0.0), mask=(sample < count)[:, None] & inside)


@triton.jit
def _steps(raw, sample, real, sharpness, CHANNELS: tl.constexpr, SCALE: tl.constexpr, OUTSIDE: tl.constexpr):
    """The function at samples, in units of the width."""
    return (tl.load(raw + sample * CHANNELS, mask=real, other=0.0) * SCALE + OUTSIDE) * sharpness


@triton.jit
def _section(steps, in_front, t, delta, rays, sample, real, ADJOINING: tl.constexpr):
    """Optical depth of sections, not less than zero; their length; and whether they begin at the sample in front."""
    has_front = real & (sample > 0)
    length = tl.load(delta + sample, mask=real, other=0.0)
    reach = 0.5 * ADJOINING * (length + tl.load(delta + sample - 1, mask=has_front, other=0.0))
    gap = tl.load(t + sample, mask=real, other=0.0) - tl.load(t + sample - 1, mask=has_front, other=0.0)
    same = tl.load(rays + sample, mask=real, other=0) == tl.load(rays + sample - 1, mask=has_front, other=0)
    joined = has_front & same & (gap < reach)
    stopped = tl.maximum(_passed(steps) - tl.where(joined, _passed(in_front), 0.0), 0.0)
    return stopped, tl.maximum(length, 1e-9), joined


@triton.jit
def _passed(steps):
    """Optical depth log(1 + exp(−steps)) of a ray that has come from the open, precise where it is small too."""
    least = tl.exp(-tl.abs(steps))
    above = 1 + least
    log = tl.where(above == 1, least, tl.log(above) * (least / tl.maximum(above - 1, 1e-7)))
    return tl.maximum(-steps, 0.0) + log
