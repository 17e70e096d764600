"""Per-sample data gathered from rays in Triton: positions and rows of a table, such as of viewing directions."""

from __future__ import annotations

from typing import Any

import torch
import triton
import triton.language as tl
from torch import Tensor
from torch.autograd.function import once_differentiable

from ..samples import FixedSamples

_BLOCK = 128
_ROWS = 64


def sample_points_gpu(rays_o: Tensor, rays_d: Tensor, samples: FixedSamples, *, bounded: bool) -> Tensor:
    """Grid coordinates of samples: `to_unit_cube` of the positions along their rays.

    Args:
        rays_o: Origins [R, 3], float32, normalised frame.
        rays_d: Unit directions [R, 3], float32.
        samples: Samples along these rays, in arrays of size C.
        bounded: Whether the scene is; space around it is contracted otherwise.

    Returns:
        [C, 3], float32, in [0, 1]³; zeros behind the last sample. Not differentiable.
    """
    points = torch.empty(len(samples.t), 3, device=rays_o.device)
    if len(points):
        _points_kernel[(triton.cdiv(len(points), _BLOCK),)](
            rays_o,
            rays_d,
            samples.rays,
            samples.t,
            samples.offsets,
            points,
            len(samples.offsets) - 1,
            len(points),
            BOUNDED=bounded,
            BLOCK=_BLOCK,
        )
    return points


def join_rows_gpu(rows: Tensor, table: Tensor, index: Tensor) -> Tensor:
    """Each row with the row of a table that its index names behind it.

    Args:
        rows: [S, A], float32.
        table: [R, B], float32.
        index: Rows of the table [S], int32 or int64.

    Returns:
        [S, A + B], float32; differentiable in `rows`.
    """
    return _JoinRows.apply(rows, table, index)


class _JoinRows(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, rows: Tensor, table: Tensor, index: Tensor) -> Tensor:
        ctx.width = rows.shape[1]
        rows, table = rows.contiguous(), table.contiguous()
        joined = torch.empty(len(rows), rows.shape[1] + table.shape[1], device=rows.device)
        if len(rows):
            width = triton.next_power_of_2(joined.shape[1])
            _join_kernel[(triton.cdiv(len(rows), _ROWS),)](
                rows, table, index, joined, len(rows), A=rows.shape[1], B=table.shape[1], WIDTH=width, BLOCK=_ROWS
            )
        return joined

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor, None, None]:
        return grad[:, : ctx.width], None, None


@triton.jit
def _points_kernel(
    rays_o, rays_d, rays, ts, offsets, points, num_rays, count, BOUNDED: tl.constexpr, BLOCK: tl.constexpr
):
    first = tl.program_id(0).to(tl.int64) * BLOCK
    sample = tl.arange(0, BLOCK)
    real = sample < tl.minimum(tl.load(offsets + num_rays), count) - first
    ray = tl.load(rays + first + sample, mask=real, other=0)
    t = tl.load(ts + first + sample, mask=real, other=0.0)
    x = tl.load(rays_o + 3 * ray, mask=real, other=0.0) + t * tl.load(rays_d + 3 * ray, mask=real, other=0.0)
    y = tl.load(rays_o + 3 * ray + 1, mask=real, other=0.0) + t * tl.load(rays_d + 3 * ray + 1, mask=real, other=0.0)
    z = tl.load(rays_o + 3 * ray + 2, mask=real, other=0.0) + t * tl.load(rays_d + 3 * ray + 2, mask=real, other=0.0)
    scale = tl.full([BLOCK], 1.0, tl.float32)
    if not BOUNDED:
        # The inner cube takes the middle half; see `to_unit_cube`.
        shrink = 1.0 / tl.maximum(2.0 * tl.maximum(tl.maximum(tl.abs(x), tl.abs(y)), tl.abs(z)), 1.0)
        scale = shrink * (1.0 - 0.5 * shrink)
    # Rows of three numbers and one to spare, so that neighbouring threads write neighbouring numbers.
    unit = tl.join(tl.join(x, z), tl.join(y, z)).reshape(BLOCK, 4) * scale[:, None] + 0.5
    axis = tl.arange(0, 4)[None, :]
    stored = (sample < count - first)[:, None] & (axis < 3)
    tl.store(points + 3 * first + 3 * sample[:, None] + axis, tl.where(real[:, None], unit, 0.0), mask=stored)


@triton.jit
def _join_kernel(
    rows, table, index, joined, count, A: tl.constexpr, B: tl.constexpr, WIDTH: tl.constexpr, BLOCK: tl.constexpr
):
    row = tl.program_id(0).to(tl.int64) * BLOCK + tl.arange(0, BLOCK)
    real = row < count
    other = tl.load(index + row, mask=real, other=0).to(tl.int64)
    column = tl.arange(0, WIDTH)[None, :]
    own = tl.load(rows + row[:, None] * A + column, mask=real[:, None] & (column < A), other=0.0)
    taken = tl.load(
        table + other[:, None] * B + column - A, mask=real[:, None] & (column >= A) & (column < A + B), other=0.0
    )
    tl.store(joined + row[:, None] * (A + B) + column, own + taken, mask=real[:, None] & (column < A + B))
