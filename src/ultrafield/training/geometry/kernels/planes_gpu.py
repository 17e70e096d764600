"""The loss of triples that are to lie on planes in Triton: one pass over them each way, and a sum between them."""

from __future__ import annotations

from typing import Any

import torch
import triton
import triton.language as tl
from torch import Tensor
from torch.autograd.function import once_differentiable

_BLOCK = 128


def planarity_gpu(
    depth: Tensor,
    opacity: Tensor,
    part: Tensor,
    focal: Tensor,
    counted: Tensor,
    *,
    opaque: float,
    tolerance: float,
) -> Tensor:
    """`planes_loss` of z-depths that are not divided by their opacities yet.

    Args:
        depth: Σ weight · z-depth of each ray [3 T]; the rays of a triple side by side.
        opacity: [3 T].
        part: As in `Triples` [T].
        focal: Focal length of each triple's picture, in pixels [T].
        counted: Triples that count [T], bool.
        opaque: Least opacity of the three rays.
        tolerance: Footprints from which on a step costs hardly more.

    Returns:
        Scalar, differentiable in `depth` and `opacity`.
    """
    inputs = (depth.contiguous(), opacity.contiguous(), part.contiguous(), focal.contiguous(), counted.contiguous())
    return _Planarity.apply(*inputs, {"OPAQUE": opaque, "TOLERANCE": tolerance})


class _Planarity(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any,
        depth: Tensor,
        opacity: Tensor,
        part: Tensor,
        focal: Tensor,
        counted: Tensor,
        constants: dict[str, float],
    ) -> Tensor:
        inputs = (depth, opacity, part, focal, counted)
        terms = depth.new_empty(2, len(part))
        if len(part):
            _forward_kernel[_grid(part)](*inputs, terms, len(part), **constants, BLOCK=_BLOCK)
        sums = terms.sum(1)
        ctx.save_for_backward(*inputs, sums)
        ctx.constants = constants
        return sums[0] / sums[1].clamp(min=1)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor | None, ...]:
        *inputs, sums = ctx.saved_tensors
        depth, opacity, part, *_ = inputs
        grad_depth, grad_opacity = torch.empty_like(depth), torch.empty_like(opacity)
        if len(part):
            outputs = (grad, sums, grad_depth, grad_opacity)
            _backward_kernel[_grid(part)](*inputs, *outputs, len(part), **ctx.constants, BLOCK=_BLOCK)
        return grad_depth, grad_opacity, None, None, None, None


def _grid(part: Tensor) -> tuple[int]:
    return (triton.cdiv(len(part), _BLOCK),)


@triton.jit(do_not_specialize=["count"])
def _forward_kernel(
    depth,
    opacity,
    part,
    focal,
    counted,
    terms,
    count,
    OPAQUE: tl.constexpr,
    TOLERANCE: tl.constexpr,
    BLOCK: tl.constexpr,
):
    triple = tl.program_id(0).to(tl.int64) * BLOCK + tl.arange(0, BLOCK)
    _, z0, _, z1, _, z2, share, scale, counts = _load(depth, opacity, part, focal, counted, triple, count, OPAQUE)
    off = scale * tl.abs(z1 * ((1 - share) / z0 + share / z2) - 1)
    tl.store(terms + triple, tl.where(counts, off / (1 + off / TOLERANCE), 0.0), mask=triple < count)
    tl.store(terms + count + triple, tl.where(counts, 1.0, 0.0), mask=triple < count)


@triton.jit(do_not_specialize=["count"])
def _backward_kernel(
    depth,
    opacity,
    part,
    focal,
    counted,
    grad,
    sums,
    grad_depth,
    grad_opacity,
    count,
    OPAQUE: tl.constexpr,
    TOLERANCE: tl.constexpr,
    BLOCK: tl.constexpr,
):
    triple = tl.program_id(0).to(tl.int64) * BLOCK + tl.arange(0, BLOCK)
    o0, z0, o1, z1, o2, z2, share, scale, counts = _load(depth, opacity, part, focal, counted, triple, count, OPAQUE)
    inverse = (1 - share) / z0 + share / z2  # inverse depth of the line in the middle
    off = z1 * inverse - 1
    root = 1 + scale * tl.abs(off) / TOLERANCE
    upstream = tl.load(grad) / tl.maximum(tl.load(sums + 1), 1.0)
    slope = upstream * scale / (root * root)
    slope = tl.where(off > 0, slope, tl.where(off < 0, -slope, 0.0))
    _store(grad_depth, grad_opacity, 3 * triple, -slope * z1 * (1 - share) / (z0 * z0), z0, o0, counts, triple < count)
    _store(grad_depth, grad_opacity, 3 * triple + 1, slope * inverse, z1, o1, counts, triple < count)
    _store(grad_depth, grad_opacity, 3 * triple + 2, -slope * z1 * share / (z2 * z2), z2, o2, counts, triple < count)


@triton.jit
def _load(depth, opacity, part, focal, counted, triple, count, OPAQUE: tl.constexpr):
    """Opacities and expected z-depths of a triple's rays, its part and focal length, and whether it counts."""
    real = triple < count
    o0 = tl.load(opacity + 3 * triple, mask=real, other=0.0)
    o1 = tl.load(opacity + 3 * triple + 1, mask=real, other=0.0)
    o2 = tl.load(opacity + 3 * triple + 2, mask=real, other=0.0)
    counts = (tl.load(counted + triple, mask=real, other=0) != 0) & (o0 > OPAQUE) & (o1 > OPAQUE) & (o2 > OPAQUE)
    o0, o1, o2 = tl.where(counts, o0, 1.0), tl.where(counts, o1, 1.0), tl.where(counts, o2, 1.0)
    z0 = tl.load(depth + 3 * triple, mask=counts, other=1.0) / o0
    z1 = tl.load(depth + 3 * triple + 1, mask=counts, other=1.0) / o1
    z2 = tl.load(depth + 3 * triple + 2, mask=counts, other=1.0) / o2
    share = tl.load(part + triple, mask=counts, other=0.5)
    scale = tl.load(focal + triple, mask=counts, other=0.0)
    return o0, z0, o1, z1, o2, z2, share, scale, counts


@triton.jit
def _store(grad_depth, grad_opacity, ray, slope, z, o, counts, real):
    """Gradients of what is rendered of a ray from that of its expected depth, their quotient."""
    slope = tl.where(counts, slope / o, 0.0)
    tl.store(grad_depth + ray, slope, mask=real)
    tl.store(grad_opacity + ray, -slope * z, mask=real)
