"""Spherical harmonics of viewing directions in Triton."""

from __future__ import annotations

import torch
import triton
import triton.language as tl
from torch import Tensor

_BLOCK = 64


def harmonics_gpu(directions: Tensor) -> Tensor:
    """Harmonics [R, 16] of unit directions [R, 3], float32; see `spherical_harmonics`. Not differentiable."""
    rows = torch.empty(len(directions), 16, device=directions.device)
    if len(rows):
        _harmonics_kernel[(triton.cdiv(len(rows), _BLOCK),)](directions.contiguous(), rows, len(rows), BLOCK=_BLOCK)
    return rows


@triton.jit(do_not_specialize=["count"])
def _harmonics_kernel(directions, rows, count, BLOCK: tl.constexpr):
    row = tl.program_id(0).to(tl.int64) * BLOCK + tl.arange(0, BLOCK)[:, None]
    real = row < count
    x = tl.load(directions + 3 * row, mask=real, other=0.0)
    y = tl.load(directions + 3 * row + 1, mask=real, other=0.0)
    z = tl.load(directions + 3 * row + 2, mask=real, other=0.0)
    xx, yy, zz = x * x, y * y, z * z
    column = tl.arange(0, 16)[None, :]
    value = tl.full([BLOCK, 16], 0.28209479, tl.float32)
    value = tl.where(column == 1, 0.48860251 * y, value)
    value = tl.where(column == 2, 0.48860251 * z, value)
    value = tl.where(column == 3, 0.48860251 * x, value)
    value = tl.where(column == 4, 1.09254843 * x * y, value)
    value = tl.where(column == 5, 1.09254843 * y * z, value)
    value = tl.where(column == 6, 0.31539157 * (3 * zz - 1), value)
    value = tl.where(column == 7, 1.09254843 * x * z, value)
    value = tl.where(column == 8, 0.54627422 * (xx - yy), value)
    value = tl.where(column == 9, 0.59004359 * y * (3 * xx - yy), value)
    value = tl.where(column == 10, 2.89061144 * x * y * z, value)
    value = tl.where(column == 11, 0.45704580 * y * (5 * zz - 1), value)
    value = tl.where(column == 12, 0.37317633 * z * (5 * zz - 3), value)
    value = tl.where(column == 13, 0.45704580 * x * (5 * zz - 1), value)
    value = tl.where(column == 14, 1.44530572 * z * (xx - yy), value)
    value = tl.where(column == 15, 0.59004359 * x * (xx - 3 * yy), value)
    tl.store(rows + row * 16 + column, value, mask=real)
