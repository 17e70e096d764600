"""Hash-grid encoding in Triton.

A program holds two levels of a block of samples. Levels are the slow axis of the launch: while their turn lasts, their
rows stay in the L2 cache, and what is written for a sample fills a sector of 32 bytes.
"""

from __future__ import annotations

import torch
import triton
import triton.language as tl
from torch import Tensor

from ..layout import HASH_PRIMES, GridLayout

# Samples and levels of a program, and its warps; backwards, runs of neighbouring samples whose gradients are summed
# before they are added to the table: along a ray they share the cells of coarse levels.
_FORWARD = {"BLOCK": 64, "GROUP": 2, "num_warps": 4}
_BACKWARD = {"BLOCK": 8, "GROUP": 2, "RUN": 8, "num_warps": 4}
_BACKWARD_X = {"BLOCK": 128, "num_warps": 4}

# Products modulo 2^32 have the same bits with and without sign.
_PRIME_Y = tl.constexpr(HASH_PRIMES[1] - (1 << 32))
_PRIME_Z = tl.constexpr(HASH_PRIMES[2])


def encode_gpu(x: Tensor, table: Tensor, layout: GridLayout, live: Tensor | None = None) -> Tensor:
    """Features [S, L · F], differentiable; see `encode`."""
    return _Encode.apply(x, table, layout, live)


def encode_forward_gpu(x: Tensor, table: Tensor, layout: GridLayout, live: Tensor | None = None) -> Tensor:
    """Features [S, L · F] at positions [S, 3]; zeros in rows from `live` [1] on."""
    out = x.new_empty(len(x), layout.channels)
    if len(x):
        options = dict(_FORWARD)
        grid = (triton.cdiv(len(x), options["BLOCK"]), triton.cdiv(layout.levels, options["GROUP"]))
        _forward_kernel[grid](
            x.contiguous(), table, layout.on(x.device), live, out, len(x), **_widths(layout), **options
        )
    return out


def encode_into_gpu(
    x: Tensor,
    table: Tensor,
    layout: GridLayout,
    gradient: Tensor,
    live: Tensor | None = None,
    *,
    known: Tensor | None = None,
) -> Tensor:
    """Features [S, L · F] whose gradient is added to a lasting buffer instead of becoming a tensor of its own.

    Such a tensor, as large as the table, would cost more than a training step.

    Args:
        x: Positions [S, 3], float32, in [0, 1].
        table: Feature rows [T, F], float32.
        layout: Where the levels lie in `table`.
        gradient: Receives the gradient of the table [T, F], float32, whenever the features are differentiated.
        live: How many positions are real [1], int64; all if None.
        known: The features [S, L · F], if they were computed before.
    """

    def add_gradient(grad: Tensor) -> None:
        encode_backward_table_gpu(x, grad, layout, live, out=gradient)

    encoded = encode_forward_gpu(x, table.detach(), layout, live) if known is None else known.detach()
    encoded.requires_grad_().register_hook(add_gradient)
    return encoded


def encode_backward_table_gpu(
    x: Tensor, grad: Tensor, layout: GridLayout, live: Tensor | None = None, *, out: Tensor | None = None
) -> Tensor:
    """Gradient [T, F] of the table for the gradient [S, L · F] of the encoding.

    The sums are atomic: their last bits change from run to run.

    Args:
        x: Positions [S, 3].
        grad: Gradient of the encoding [S, L · F].
        layout: Where the levels lie in the table.
        live: How many rows are real [1], int64; all if None.
        out: Where to add the gradient [T, F], contiguous; fresh zeros if None.
    """
    if out is None:
        out = x.new_zeros(int(layout.offsets[-1]), layout.features)
    if len(x):
        options = dict(_BACKWARD)
        samples = options["BLOCK"] * options["RUN"]
        grid = (triton.cdiv(len(x), samples), triton.cdiv(layout.levels, options["GROUP"]))
        _backward_table_kernel[grid](
            x.contiguous(), grad.contiguous(), layout.on(x.device), live, out, len(x), **_widths(layout), **options
        )
    return out


def encode_backward_x_gpu(
    x: Tensor, table: Tensor, grad: Tensor, layout: GridLayout, live: Tensor | None = None
) -> Tensor:
    """Gradient [S, 3] of the positions; zeros where they are clamped and in rows from `live` [1] on."""
    out = x.new_empty(len(x), 3)
    if len(x):
        options = dict(_BACKWARD_X)
        _backward_x_kernel[(triton.cdiv(len(x), options["BLOCK"]),)](
            x.contiguous(),
            table,
            grad.contiguous(),
            layout.on(x.device),
            live,
            out,
            len(x),
            **_widths(layout),
            **options,
        )
    return out


def _widths(layout: GridLayout) -> dict[str, int]:
    return {"LEVELS": layout.levels, "F": layout.features, "FP": triton.next_power_of_2(layout.features)}


class _Encode(torch.autograd.Function):
    @staticmethod
    def forward(ctx, x: Tensor, table: Tensor, layout: GridLayout, live: Tensor | None) -> Tensor:
        ctx.layout, ctx.live = layout, live
        ctx.save_for_backward(x, table)
        return encode_forward_gpu(x, table, layout, live)

    @staticmethod
    def backward(ctx, grad: Tensor) -> tuple[Tensor | None, Tensor | None, None, None]:
        x, table = ctx.saved_tensors
        grad_x = encode_backward_x_gpu(x, table, grad, ctx.layout, ctx.live) if ctx.needs_input_grad[0] else None
        grad_table = encode_backward_table_gpu(x, grad, ctx.layout, ctx.live) if ctx.needs_input_grad[1] else None
        return grad_x, grad_table, None, None


@triton.jit
def _in_use(live, count):
    """Number of real rows."""
    if live is None:
        return count
    else:
        return tl.minimum(tl.load(live), count)


@triton.jit
def _level(levels, level, real, LEVELS: tl.constexpr):
    """Resolution, first row and hash mask of levels; the mask of a dense level is −1."""
    resolution = tl.load(levels + level, mask=real, other=1).to(tl.int32)
    offset = tl.load(levels + LEVELS + level, mask=real, other=0)
    mask = tl.load(levels + 2 * LEVELS + level, mask=real, other=0).to(tl.int32)
    return resolution, offset, mask


@triton.jit
def _cell(x, sample, axis: tl.constexpr, resolution, real):
    """Cell index and the position inside it along one axis."""
    value = tl.load(x + sample * 3 + axis, mask=real, other=0.0)
    scaled = tl.minimum(tl.maximum(value, 0.0), 1.0) * resolution.to(tl.float32)
    index = tl.minimum(scaled.to(tl.int32), resolution - 1)
    return index, scaled - index.to(tl.float32)


@triton.jit
def _share(inner, upper: tl.constexpr):
    """Weight of the lower or the upper vertex along one axis."""
    if upper:
        return inner
    else:
        return 1 - inner


@triton.jit
def _row(i, j, k, resolution, mask):
    """Row within its level of vertex (i, j, k)."""
    edge = resolution + 1
    key = i ^ (j * _PRIME_Y) ^ (k * _PRIME_Z)
    return tl.where(mask < 0, i + edge * (j + edge * k), key & mask)


@triton.jit
def _forward_kernel(
    x,
    table,
    levels,
    live,
    out,
    count,
    LEVELS: tl.constexpr,
    F: tl.constexpr,
    FP: tl.constexpr,
    BLOCK: tl.constexpr,
    GROUP: tl.constexpr,
):
    first = tl.program_id(0).to(tl.int64) * BLOCK
    used = _in_use(live, count)
    item = tl.arange(0, BLOCK * GROUP)
    sample = first + item // GROUP
    level = tl.program_id(1) * GROUP + item % GROUP
    channel = tl.arange(0, FP)[None, :]
    sums = tl.zeros([BLOCK * GROUP, FP], tl.float32)
    if first < used:
        real = (sample < used) & (level < LEVELS)
        resolution, offset, mask = _level(levels, level, level < LEVELS, LEVELS)
        i, u = _cell(x, sample, 0, resolution, real)
        j, v = _cell(x, sample, 1, resolution, real)
        k, w = _cell(x, sample, 2, resolution, real)
        rows = table + (offset * F)[:, None] + channel
        inside = real[:, None] & (channel < F)
        for corner in tl.static_range(8):
            weight = _share(u, corner & 1) * _share(v, corner >> 1 & 1) * _share(w, corner >> 2)
            row = _row(i + (corner & 1), j + (corner >> 1 & 1), k + (corner >> 2), resolution, mask)
            sums += weight[:, None] * tl.load(rows + (row * F)[:, None], mask=inside, other=0.0)
    here = (sample * (LEVELS * F) + level * F)[:, None] + channel
    written = ((sample < count) & (level < LEVELS))[:, None] & (channel < F)
    tl.store(out + here, sums, mask=written)


@triton.jit
def _backward_table_kernel(
    x,
    grad,
    levels,
    live,
    out,
    count,
    LEVELS: tl.constexpr,
    F: tl.constexpr,
    FP: tl.constexpr,
    BLOCK: tl.constexpr,
    GROUP: tl.constexpr,
    RUN: tl.constexpr,
):
    # One thread for each corner; it walks along a run of samples and adds to the table where the row changes.
    first = tl.program_id(0).to(tl.int64) * (BLOCK * RUN)
    used = _in_use(live, count)
    if first < used:
        corner = tl.arange(0, 8)[None, :]
        item = tl.arange(0, BLOCK * GROUP)[:, None] + 0 * corner  # [items, 8]
        level = tl.program_id(1) * GROUP + item % GROUP
        exists = level < LEVELS
        resolution, offset, mask = _level(levels, level, exists, LEVELS)
        a, b, c = corner & 1, (corner >> 1) & 1, corner >> 2
        channel = tl.arange(0, FP)[None, None, :]
        rows = out + (offset * F)[:, :, None] + channel
        last = tl.full([BLOCK * GROUP, 8], -1, tl.int32)
        sums = tl.zeros([BLOCK * GROUP, 8, FP], tl.float32)
        for step in range(RUN):
            sample = first + item // GROUP * RUN + step
            real = exists & (sample < used)
            i, u = _cell(x, sample, 0, resolution, real)
            j, v = _cell(x, sample, 1, resolution, real)
            k, w = _cell(x, sample, 2, resolution, real)
            weight = tl.where(a == 1, u, 1 - u) * tl.where(b == 1, v, 1 - v) * tl.where(c == 1, w, 1 - w)
            row = tl.where(real, _row(i + a, j + b, k + c, resolution, mask), last)
            here = (sample * (LEVELS * F) + level * F)[:, :, None] + channel
            upstream = tl.load(grad + here, mask=real[:, :, None] & (channel < F), other=0.0)
            changed = row != last
            leave = changed & (last >= 0)
            tl.atomic_add(rows + (last * F)[:, :, None], sums, mask=leave[:, :, None] & (channel < F), sem="relaxed")
            sums = tl.where(changed[:, :, None], 0.0, sums) + weight[:, :, None] * upstream
            last = row
        tl.atomic_add(rows + (last * F)[:, :, None], sums, mask=(last >= 0)[:, :, None] & (channel < F), sem="relaxed")


@triton.jit
def _backward_x_kernel(
    x,
    table,
    grad,
    levels,
    live,
    out,
    count,
    LEVELS: tl.constexpr,
    F: tl.constexpr,
    FP: tl.constexpr,
    BLOCK: tl.constexpr,
):
    first = tl.program_id(0).to(tl.int64) * BLOCK
    used = _in_use(live, count)
    sample = first + tl.arange(0, BLOCK)
    channel = tl.arange(0, FP)[None, :]
    real = sample < used
    inside = real[:, None] & (channel < F)
    sum_x = tl.zeros([BLOCK], tl.float32)
    sum_y = tl.zeros([BLOCK], tl.float32)
    sum_z = tl.zeros([BLOCK], tl.float32)
    if first < used:
        for level in range(LEVELS):
            resolution, offset, mask = _level(levels, level, True, LEVELS)
            i, u = _cell(x, sample, 0, resolution, real)
            j, v = _cell(x, sample, 1, resolution, real)
            k, w = _cell(x, sample, 2, resolution, real)
            here = (sample * (LEVELS * F) + level * F)[:, None] + channel
            upstream = tl.load(grad + here, mask=inside, other=0.0) * resolution.to(tl.float32)
            rows = table + offset * F + channel
            for corner in tl.static_range(8):
                row = _row(i + (corner & 1), j + (corner >> 1 & 1), k + (corner >> 2), resolution, mask)
                values = tl.load(rows + (row * F)[:, None], mask=inside, other=0.0)
                dot = tl.sum(values * upstream, axis=1)
                wu, wv, ww = _share(u, corner & 1), _share(v, corner >> 1 & 1), _share(w, corner >> 2)
                sum_x += dot * (wv * ww) * (2 * (corner & 1) - 1)
                sum_y += dot * (wu * ww) * (2 * (corner >> 1 & 1) - 1)
                sum_z += dot * (wu * wv) * (2 * (corner >> 2) - 1)
    written = sample < count
    _store_slope(x, out, sample, 0, sum_x, real, written)
    _store_slope(x, out, sample, 1, sum_y, real, written)
    _store_slope(x, out, sample, 2, sum_z, real, written)


@triton.jit
def _store_slope(x, out, sample, axis: tl.constexpr, slope, real, written):
    """Write the gradient along one axis, zero where the position is clamped."""
    value = tl.load(x + sample * 3 + axis, mask=real, other=-1.0)
    tl.store(out + sample * 3 + axis, tl.where((value >= 0) & (value <= 1), slope, 0.0), mask=written)
