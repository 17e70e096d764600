"""The losses of rays in Triton: one pass over the rays each way, and a sum between them."""

from __future__ import annotations

from typing import Any

import torch
import triton
import triton.language as tl
from torch import Tensor
from torch.autograd.function import once_differentiable

_BLOCK = 128


def ray_losses_gpu(
    color: Tensor,
    opacity: Tensor,
    target: Tensor,
    background: Tensor,
    *,
    spread: Tensor | None,
    counted: Tensor,
    gains: Tensor | None,
    least: float,
    weights: tuple[float, float],
) -> Tensor:
    """The losses that every ray contributes to; see `ray_losses`.

    Args:
        color: Rendered colours [R, 3], without background.
        opacity: Rendered opacities [R].
        target: Colours of the picture [R, 3].
        background: Colours behind the rendering, [R, 3] or [3].
        spread: Distortion of each ray [R]; zeros if None.
        counted: Rays that count [R], bool.
        gains: By how much the photographs are brighter than what is rendered [R, 3]; all alike if None.
        least: Opacities count as at least this.
        weights: Of opacity and distortion.

    Returns:
        Losses of colour, opacity and distortion [3], weighted; differentiable in what was rendered and in the gains.
    """
    target, counted = target.contiguous(), counted.contiguous()
    return _RayLosses.apply(color, opacity, spread, gains, target, background, counted, (least, *weights))


class _RayLosses(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any,
        color: Tensor,
        opacity: Tensor,
        spread: Tensor | None,
        gains: Tensor | None,
        target: Tensor,
        background: Tensor,
        counted: Tensor,
        constants: tuple[float, float, float],
    ) -> Tensor:
        gains, spread = (None if tensor is None else tensor.contiguous() for tensor in (gains, spread))
        terms = color.new_empty(4, len(color))
        inputs = (color, opacity, target, background, counted, gains)
        _launch(_forward_kernel, inputs, (spread, terms), constants)
        sums = terms.sum(1)
        ctx.save_for_backward(*inputs, sums)
        ctx.constants, ctx.spreads = constants, spread is not None
        return sums[:3] / sums[3].clamp(min=1)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor | None, ...]:
        *inputs, sums = ctx.saved_tensors
        color, opacity, gains = inputs[0], inputs[1], inputs[5]
        grad_color, grad_opacity = color.new_empty(len(color), 3), opacity.new_empty(len(color))
        grad_spread = torch.empty_like(grad_opacity) if ctx.spreads else None
        grad_gains = torch.empty_like(grad_color) if gains is not None and ctx.needs_input_grad[3] else None
        outputs = (grad.contiguous(), sums, grad_color, grad_opacity, grad_spread, grad_gains)
        _launch(_backward_kernel, tuple(inputs), outputs, ctx.constants)
        return grad_color, grad_opacity, grad_spread, grad_gains, None, None, None, None


def _launch(
    kernel: Any,
    inputs: tuple[Tensor | None, ...],
    passed: tuple[Tensor | None, ...],
    constants: tuple[float, float, float],
) -> None:
    """Run over the rays."""
    color, opacity, _, background, *_ = inputs
    assert color is not None
    assert opacity is not None
    assert background is not None
    color = color if color.stride(1) == 1 else color.contiguous()
    steps = (color.stride(0), opacity.stride(0), background.stride(0) if background.ndim == 2 else 0)
    least, opacity_weight, spread_weight = constants
    if len(color):
        kernel[(triton.cdiv(len(color), _BLOCK),)](
            color,
            *inputs[1:],
            *passed,
            *steps,
            len(color),
            LEAST=least,
            OPACITY_WEIGHT=opacity_weight,
            SPREAD_WEIGHT=spread_weight,
            BLOCK=_BLOCK,
        )


@triton.jit(do_not_specialize=["color_step", "opacity_step", "background_step", "count"])
def _forward_kernel(
    color,
    opacity,
    target,
    background,
    counted,
    gains,
    spread,
    terms,
    color_step,
    opacity_step,
    background_step,
    count,
    LEAST: tl.constexpr,
    OPACITY_WEIGHT: tl.constexpr,
    SPREAD_WEIGHT: tl.constexpr,
    BLOCK: tl.constexpr,
):
    ray = tl.program_id(0).to(tl.int64) * BLOCK + tl.arange(0, BLOCK)
    real = ray < count
    counts = tl.load(counted + ray, mask=real, other=0) != 0
    covered = tl.load(opacity + ray * opacity_step, mask=counts, other=1.0)
    squares = tl.zeros([BLOCK], tl.float32)
    for channel in tl.static_range(3):
        _, _, _, off, _ = _compare(
            color, target, background, gains, ray, channel, covered, counts, color_step, background_step
        )
        squares += off * off
    certain = tl.minimum(tl.maximum(covered, LEAST), 1.0)
    tl.store(terms + ray, squares / 3, mask=real)
    tl.store(terms + count + ray, tl.where(counts, -OPACITY_WEIGHT * certain * tl.log(certain), 0.0), mask=real)
    spread_out = tl.zeros([BLOCK], tl.float32)
    if spread is not None:
        spread_out = SPREAD_WEIGHT * tl.load(spread + ray, mask=counts, other=0.0)
    tl.store(terms + 2 * count + ray, spread_out, mask=real)
    tl.store(terms + 3 * count + ray, tl.where(counts, 1.0, 0.0), mask=real)


@triton.jit(do_not_specialize=["color_step", "opacity_step", "background_step", "count"])
def _backward_kernel(
    color,
    opacity,
    target,
    background,
    counted,
    gains,
    grad,
    sums,
    grad_color,
    grad_opacity,
    grad_spread,
    grad_gains,
    color_step,
    opacity_step,
    background_step,
    count,
    LEAST: tl.constexpr,
    OPACITY_WEIGHT: tl.constexpr,
    SPREAD_WEIGHT: tl.constexpr,
    BLOCK: tl.constexpr,
):
    ray = tl.program_id(0).to(tl.int64) * BLOCK + tl.arange(0, BLOCK)
    real = ray < count
    counts = tl.load(counted + ray, mask=real, other=0) != 0
    share = tl.where(counts, 1 / tl.maximum(tl.load(sums + 3), 1.0), 0.0)
    covered = tl.load(opacity + ray * opacity_step, mask=counts, other=1.0)
    inside = (covered >= LEAST) & (covered <= 1)
    certain = tl.minimum(tl.maximum(covered, LEAST), 1.0)
    slope = tl.where(inside, -OPACITY_WEIGHT * share * (tl.log(certain) + 1) * tl.load(grad + 1), 0.0)
    upstream = share * tl.load(grad) * (2 / 3)
    for channel in tl.static_range(3):
        rendered, behind, gain, off, passes = _compare(
            color, target, background, gains, ray, channel, covered, counts, color_step, background_step
        )
        falls = upstream * passes * off
        tl.store(grad_color + 3 * ray + channel, falls * gain, mask=real)
        if grad_gains is not None:
            tl.store(grad_gains + 3 * ray + channel, falls * rendered, mask=real)
        slope -= falls * behind
    tl.store(grad_opacity + ray, slope, mask=real)
    if grad_spread is not None:
        tl.store(grad_spread + ray, SPREAD_WEIGHT * share * tl.load(grad + 2), mask=real)


@triton.jit
def _compare(color, target, background, gains, ray, channel, covered, counts, color_step, background_step):
    """What is rendered in a channel, what is behind it, the gain, shown less wanted, and the slope of that."""
    rendered = tl.load(color + ray * color_step + channel, mask=counts, other=0.0)
    behind = tl.load(background + ray * background_step + channel, mask=counts, other=0.0)
    wanted = tl.load(target + 3 * ray + channel, mask=counts, other=0.0)
    gain = tl.full(rendered.shape, 1.0, tl.float32)
    passes = gain
    if gains is not None:
        gain = tl.load(gains + 3 * ray + channel, mask=counts, other=0.0)
    shown = gain * rendered + (1 - covered) * behind
    if gains is not None:  # a photograph shows nothing brighter than white
        white = (wanted >= 1) & (shown > 1)
        passes = tl.where(white, 0.0, 1.0)
        shown = tl.where(white, 1.0, shown)
    return rendered, behind, gain, shown - wanted, passes
