"""Perceptrons in Triton: all layers of a tile of rows in one program, so that only inputs and outputs touch memory.

Networks that are too large for that are cut. A program walks over many tiles and keeps the weights in shared memory if
they fit. Backwards, it computes the hidden layers again and sums the weights' gradients in registers. Each program
writes its sums once and they are added up in a fixed order: gradients are the same every time.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import accumulate
from typing import Literal

import torch
import triton
import triton.language as tl
from torch import Tensor

Precision = Literal["tf32", "bf16", "ieee"]

_MOST_LAYERS = 4
_LEAST = 16  # the tensor cores' smallest side
_PROCESSORS = 132  # of an H100 or H200
_HELD = 16384  # float32 weights that fit in shared memory twice, in the orders of both passes; bfloat16 ones always do


@dataclass(frozen=True)
class _Launch:
    """How a network is spread over the device.

    Attributes:
        weights: Most weights, padded, that it is for; backwards, those whose gradients are summed.
        block: Rows of a tile.
        warps: Warps of a program.
        programs: Programs on each multiprocessor.
        stages: Tiles being read ahead.
    """

    weights: int
    block: int
    warps: int
    programs: int
    stages: int


_FORWARD = (_Launch(7168, 128, 4, 3, 1), _Launch(9216, 128, 4, 2, 1), _Launch(24576, 128, 8, 1, 1))
# Tiles of 32 rows: with more, the sums and the hidden layers do not fit in the registers together.
_BACKWARD = (_Launch(5120, 32, 4, 3, 1), _Launch(9216, 32, 4, 2, 1), _Launch(24576, 32, 8, 1, 1))


def mlp_gpu(
    x: Tensor,
    weights: list[Tensor],
    *,
    final_relu: bool = False,
    precision: Precision = "tf32",
    live: Tensor | None = None,
) -> Tensor:
    """Linear layers with ReLU between them, differentiable.

    Args:
        x: Rows [S, C₀], float32.
        weights: Matrices [C₁, C₀], [C₂, C₁], …, float32; widths up to 128.
        final_relu: Whether a ReLU follows the last layer.
        precision: How products are rounded: to TensorFloat-32, to bfloat16, or not at all. Sums are float32.
        live: How many rows are real [1], int64; all if None. The output's and the gradient's rows behind them are zero.

    Returns:
        Rows [S, Cₙ], float32.
    """
    first = 0
    while first < len(weights):
        last = _fitting(weights, first)
        x = _Mlp.apply(x, final_relu or last < len(weights), precision, live, *weights[first:last])
        first = last
    return x


def _fitting(weights: list[Tensor], first: int) -> int:
    """End of the layers from `first` on that one kernel takes; at least one."""
    last = first + 1
    while last < min(len(weights), first + _MOST_LAYERS) and _size(weights[first : last + 1]) <= _BACKWARD[-1].weights:
        last += 1
    return last


class _Mlp(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx, x: Tensor, final_relu: bool, precision: Precision, live: Tensor | None, *weights: Tensor
    ) -> Tensor:
        ctx.final_relu, ctx.precision, ctx.live = final_relu, precision, live
        x, weights = x.contiguous(), [weight.contiguous() for weight in weights]
        ctx.save_for_backward(x, *weights)
        out = x.new_empty(len(x), len(weights[-1]))
        if len(x):
            launch = _choose(_FORWARD, _size(weights))
            _forward_kernel[(_programs(launch, len(x)),)](
                x,
                *_padded(weights),
                out,
                live,
                len(x),
                **_shape(x, weights),
                FINAL_RELU=final_relu,
                PRECISION=precision,
                **_options(launch),
            )
        return out

    @staticmethod
    def backward(ctx, grad: Tensor) -> tuple[Tensor | None, ...]:
        x, *weights = ctx.saved_tensors
        grad_x = torch.empty_like(x) if ctx.needs_input_grad[0] else None
        wanted = ctx.needs_input_grad[4:]
        # Every matrix starts at a multiple of 16 bytes.
        starts = [0, *accumulate(triton.cdiv(weight.numel(), 4) * 4 for weight in weights)]
        launch = _choose(_BACKWARD, _size(weights))
        programs = _programs(launch, len(x))
        partial = x.new_empty(programs, starts[-1]) if any(wanted) else None
        if programs:
            _backward_kernel[(programs,)](
                x,
                *_padded(weights),
                grad.contiguous(),
                grad_x,
                partial,
                ctx.live,
                len(x),
                starts[-1],
                *(starts + [0] * _MOST_LAYERS)[:_MOST_LAYERS],
                **_shape(x, weights),
                FINAL_RELU=ctx.final_relu,
                PRECISION=ctx.precision,
                HELD=ctx.precision == "bf16" or _size(weights) <= _HELD,
                **_options(launch),
            )
        if partial is None:
            return grad_x, None, None, None, *(None for _ in weights)
        sums = partial.sum(0)
        grads = (sums[a : a + weight.numel()].view_as(weight) for a, weight in zip(starts, weights, strict=False))
        return grad_x, None, None, None, *(part if want else None for part, want in zip(grads, wanted, strict=True))


def _pad(width: int) -> int:
    return max(_LEAST, triton.next_power_of_2(width))


def _size(weights: list[Tensor]) -> int:
    """Number of weights, padded."""
    return sum(_pad(weight.shape[0]) * _pad(weight.shape[1]) for weight in weights)


def _choose(launches: tuple[_Launch, ...], size: int) -> _Launch:
    return next((launch for launch in launches if size <= launch.weights), launches[-1])


def _programs(launch: _Launch, rows: int) -> int:
    return min(_PROCESSORS * launch.programs, triton.cdiv(rows, launch.block))


def _options(launch: _Launch) -> dict[str, int]:
    return {"BLOCK": launch.block, "num_warps": launch.warps, "num_stages": launch.stages}


def _padded(weights: list[Tensor]) -> list[Tensor | None]:
    """As many pointers as the kernels take."""
    return [*weights, *[None] * (_MOST_LAYERS - len(weights))]


def _shape(x: Tensor, weights: list[Tensor]) -> dict[str, int]:
    """Widths C and padded widths P of all layers; 0 for those there are not."""
    widths = [x.shape[1], *(len(weight) for weight in weights)]
    widths += [0] * (_MOST_LAYERS + 1 - len(widths))
    padded = {f"P{layer}": _pad(width) if width else 0 for layer, width in enumerate(widths)}
    return {f"C{layer}": width for layer, width in enumerate(widths)} | padded


@triton.jit
def _product(a, b, PRECISION: tl.constexpr):
    """Matrix product with float32 sums."""
    if PRECISION == "bf16":
        return tl.dot(a.to(tl.bfloat16), b.to(tl.bfloat16))
    else:
        return tl.dot(a, b, input_precision=PRECISION)


@triton.jit
def _load_rows(rows, row, real, C: tl.constexpr, P: tl.constexpr):
    """Tile [BLOCK, P] of an array [S, C], zero where there is nothing."""
    column = tl.arange(0, P)[None, :]
    if P == C:
        return tl.load(rows + row[:, None] * C + column, mask=real[:, None], other=0.0)
    else:
        return tl.load(rows + row[:, None] * C + column, mask=real[:, None] & (column < C), other=0.0)


@triton.jit
def _store_rows(rows, row, real, tile, C: tl.constexpr, P: tl.constexpr):
    column = tl.arange(0, P)[None, :]
    if P == C:
        tl.store(rows + row[:, None] * C + column, tile, mask=real[:, None])
    else:
        tl.store(rows + row[:, None] * C + column, tile, mask=real[:, None] & (column < C))


@triton.jit
def _load_weight(weight, CO: tl.constexpr, CI: tl.constexpr, PO: tl.constexpr, PI: tl.constexpr):
    """A matrix [CO, CI] padded with zeros to [PO, PI]."""
    out = tl.arange(0, PO)[:, None]
    column = tl.arange(0, PI)[None, :]
    if PO == CO and PI == CI:
        return tl.load(weight + out * CI + column)
    else:
        return tl.load(weight + out * CI + column, mask=(out < CO) & (column < CI), other=0.0)


@triton.jit
def _held(weight, CO: tl.constexpr, CI: tl.constexpr, PO: tl.constexpr, PI: tl.constexpr, HELD: tl.constexpr):
    """The matrix itself, or just its address if there is no room for it until it is needed."""
    if HELD:
        return _load_weight(weight, CO, CI, PO, PI)
    else:
        return weight


@triton.jit
def _matrix(held, CO: tl.constexpr, CI: tl.constexpr, PO: tl.constexpr, PI: tl.constexpr, HELD: tl.constexpr):
    """The matrix behind what `_held` returned."""
    if HELD:
        return held
    else:
        return _load_weight(held, CO, CI, PO, PI)


@triton.jit
def _relu(x):
    return tl.maximum(x, 0.0)


@triton.jit
def _in_use(live, count):
    """Rows that are real."""
    used = tl.zeros([], tl.int64) + count
    if live is not None:
        used = tl.minimum(used, tl.load(live))
    return used


@triton.jit
def _clear_rest(rows, used, count, C: tl.constexpr, P: tl.constexpr, BLOCK: tl.constexpr):
    """Write zeros to the tiles without any real row."""
    for tile in range(tl.cdiv(used, BLOCK) + tl.program_id(0), tl.cdiv(count, BLOCK), tl.num_programs(0)):
        row = tile * BLOCK + tl.arange(0, BLOCK)
        _store_rows(rows, row, row < count, tl.zeros([BLOCK, P], tl.float32), C, P)


@triton.jit
def _forward_kernel(
    x,
    w0,
    w1,
    w2,
    w3,
    out,
    live,
    count,
    C0: tl.constexpr,
    C1: tl.constexpr,
    C2: tl.constexpr,
    C3: tl.constexpr,
    C4: tl.constexpr,
    P0: tl.constexpr,
    P1: tl.constexpr,
    P2: tl.constexpr,
    P3: tl.constexpr,
    P4: tl.constexpr,
    FINAL_RELU: tl.constexpr,
    PRECISION: tl.constexpr,
    BLOCK: tl.constexpr,
):
    used = _in_use(live, count)
    CN: tl.constexpr = C4 if C4 else (C3 if C3 else (C2 if C2 else C1))
    PN: tl.constexpr = P4 if C4 else (P3 if C3 else (P2 if C2 else P1))
    m0 = _load_weight(w0, C1, C0, P1, P0)
    if C2:
        m1 = _load_weight(w1, C2, C1, P2, P1)
    if C3:
        m2 = _load_weight(w2, C3, C2, P3, P2)
    if C4:
        m3 = _load_weight(w3, C4, C3, P4, P3)
    for tile in range(tl.program_id(0), tl.cdiv(used, BLOCK), tl.num_programs(0)):
        row = tile * BLOCK + tl.arange(0, BLOCK)
        # Rows that are not real are zero, and without biases so is what becomes of them.
        hidden = _load_rows(x, row, row < used, C0, P0)
        hidden = _product(hidden, tl.trans(m0), PRECISION)
        if C2:
            hidden = _product(_relu(hidden), tl.trans(m1), PRECISION)
        if C3:
            hidden = _product(_relu(hidden), tl.trans(m2), PRECISION)
        if C4:
            hidden = _product(_relu(hidden), tl.trans(m3), PRECISION)
        if FINAL_RELU:
            hidden = _relu(hidden)
        _store_rows(out, row, row < count, hidden, CN, PN)
    _clear_rest(out, used, count, CN, PN, BLOCK)


@triton.jit
def _backward_kernel(
    x,
    w0,
    w1,
    w2,
    w3,
    grad,
    grad_x,
    partial,
    live,
    count,
    total,
    start0,
    start1,
    start2,
    start3,
    C0: tl.constexpr,
    C1: tl.constexpr,
    C2: tl.constexpr,
    C3: tl.constexpr,
    C4: tl.constexpr,
    P0: tl.constexpr,
    P1: tl.constexpr,
    P2: tl.constexpr,
    P3: tl.constexpr,
    P4: tl.constexpr,
    FINAL_RELU: tl.constexpr,
    PRECISION: tl.constexpr,
    HELD: tl.constexpr,
    BLOCK: tl.constexpr,
):
    # Layer n maps h(n) to h(n + 1); d(n) [outputs, inputs] is the gradient of its weights.
    used = _in_use(live, count)
    d0 = tl.zeros([P1, P0], tl.float32)
    if C2:
        d1 = tl.zeros([P2, P1], tl.float32)
    if C3:
        d2 = tl.zeros([P3, P2], tl.float32)
    if C4:
        d3 = tl.zeros([P4, P3], tl.float32)
    m0 = _held(w0, C1, C0, P1, P0, HELD)
    if C2:
        m1 = _held(w1, C2, C1, P2, P1, HELD)
    if C3:
        m2 = _held(w2, C3, C2, P3, P2, HELD)
    if C4:
        m3 = _held(w3, C4, C3, P4, P3, HELD)
    for tile in range(tl.program_id(0), tl.cdiv(used, BLOCK), tl.num_programs(0)):
        row = tile * BLOCK + tl.arange(0, BLOCK)
        real = row < used
        h0 = _load_rows(x, row, real, C0, P0)
        if C2 or FINAL_RELU:
            h1 = _relu(_product(h0, tl.trans(_matrix(m0, C1, C0, P1, P0, HELD)), PRECISION))
        if C3 or (C2 and FINAL_RELU):
            h2 = _relu(_product(h1, tl.trans(_matrix(m1, C2, C1, P2, P1, HELD)), PRECISION))
        if C4 or (C3 and FINAL_RELU):
            h3 = _relu(_product(h2, tl.trans(_matrix(m2, C3, C2, P3, P2, HELD)), PRECISION))
        if C4:
            slope = _load_rows(grad, row, real, C4, P4)
            if FINAL_RELU:
                slope = tl.where(_product(h3, tl.trans(_matrix(m3, C4, C3, P4, P3, HELD)), PRECISION) > 0, slope, 0.0)
            d3 += _product(tl.trans(slope), h3, PRECISION)
            slope = _product(slope, _matrix(m3, C4, C3, P4, P3, HELD), PRECISION)
            slope = tl.where(h3 > 0, slope, 0.0)
        elif C3:
            slope = _load_rows(grad, row, real, C3, P3)
            if FINAL_RELU:
                slope = tl.where(h3 > 0, slope, 0.0)
        if C3:
            d2 += _product(tl.trans(slope), h2, PRECISION)
            slope = _product(slope, _matrix(m2, C3, C2, P3, P2, HELD), PRECISION)
            slope = tl.where(h2 > 0, slope, 0.0)
        elif C2:
            slope = _load_rows(grad, row, real, C2, P2)
            if FINAL_RELU:
                slope = tl.where(h2 > 0, slope, 0.0)
        if C2:
            d1 += _product(tl.trans(slope), h1, PRECISION)
            slope = _product(slope, _matrix(m1, C2, C1, P2, P1, HELD), PRECISION)
            slope = tl.where(h1 > 0, slope, 0.0)
        else:
            slope = _load_rows(grad, row, real, C1, P1)
            if FINAL_RELU:
                slope = tl.where(h1 > 0, slope, 0.0)
        d0 += _product(tl.trans(slope), h0, PRECISION)
        if grad_x is not None:
            slope = _product(slope, _matrix(m0, C1, C0, P1, P0, HELD), PRECISION)
            _store_rows(grad_x, row, row < count, slope, C0, P0)
    if grad_x is not None:
        _clear_rest(grad_x, used, count, C0, P0, BLOCK)
    if partial is not None:
        sums = partial + tl.program_id(0).to(tl.int64) * total
        _store_weight(sums + start0, d0, C1, C0, P1, P0)
        if C2:
            _store_weight(sums + start1, d1, C2, C1, P2, P1)
        if C3:
            _store_weight(sums + start2, d2, C3, C2, P3, P2)
        if C4:
            _store_weight(sums + start3, d3, C4, C3, P4, P3)


@triton.jit
def _store_weight(weight, tile, CO: tl.constexpr, CI: tl.constexpr, PO: tl.constexpr, PI: tl.constexpr):
    out = tl.arange(0, PO)[:, None]
    column = tl.arange(0, PI)[None, :]
    tl.store(weight + out * CI + column, tile, mask=(out < CO) & (column < CI))
