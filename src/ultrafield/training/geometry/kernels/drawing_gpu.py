"""Random pixels in Triton, from random numbers to their place among all pixels."""

from __future__ import annotations

import torch
import triton
import triton.language as tl
from torch import Tensor

from ....field.kernels.rays_gpu import find_run

_BLOCK = 256


def pixels_between_gpu(chance: Tensor, first: Tensor, last: Tensor, valid: Tensor | None) -> Tensor:
    """Random pixels between two bounds.

    Args:
        chance: Random numbers in [0, 1) [R], float64.
        first: First pixel [1], int64, or place in `valid`.
        last: One behind the last [1], int64.
        valid: Pool indices to choose from [Q], int64; None for all.

    Returns:
        Pool indices [R], int64.
    """
    pixels = torch.empty(len(chance), dtype=torch.int64, device=chance.device)
    if len(pixels):
        _between_kernel[(triton.cdiv(len(pixels), _BLOCK),)](
            chance, first, last, valid, pixels, len(pixels), BLOCK=_BLOCK
        )
    return pixels


def pixels_along_gpu(chance: Tensor, inside: Tensor, starts: Tensor, pool_starts: Tensor) -> Tensor:
    """Random pixels along outlines; see `Outlines`, whose columns `inside` and `starts` are.

    Args:
        chance: Random numbers in [0, 1) [R], float64.
        inside: Row-major indices in their pictures [O], int32, at least one.
        starts: First row of each view in `inside`, and O [V + 1], int64.
        pool_starts: First pixel of each view [V + 1], int64.

    Returns:
        Pool indices [R], int64.
    """
    pixels = torch.empty(len(chance), dtype=torch.int64, device=chance.device)
    if len(pixels):
        _along_kernel[(triton.cdiv(len(pixels), _BLOCK),)](
            chance, inside, starts, pool_starts, pixels, len(starts), len(inside), len(pixels), BLOCK=_BLOCK
        )
    return pixels


@triton.jit
def picked(chance, count, real):
    """Numbers below `count`, int64, from random ones in [0, 1), float64; 0 if there are none."""
    number = (tl.load(chance, mask=real, other=0.0) * count).to(tl.int64)
    return tl.maximum(tl.minimum(number, count - 1), 0)


@triton.jit(do_not_specialize=["count"])
def _between_kernel(chance, first, last, valid, pixels, count, BLOCK: tl.constexpr):
    place = tl.program_id(0).to(tl.int64) * BLOCK + tl.arange(0, BLOCK)
    real = place < count
    begin = tl.load(first)
    pixel = begin + picked(chance + place, tl.load(last) - begin, real)
    if valid is not None:
        pixel = tl.load(valid + pixel, mask=real, other=0)
    tl.store(pixels + place, pixel, mask=real)


@triton.jit(do_not_specialize=["bounds", "number", "count"])
def _along_kernel(chance, inside, starts, pool_starts, pixels, bounds, number, count, BLOCK: tl.constexpr):
    place = tl.program_id(0).to(tl.int64) * BLOCK + tl.arange(0, BLOCK)
    real = place < count
    row = picked(chance + place, number, real)
    view = find_run(starts, bounds, row)
    pixel = tl.load(pool_starts + view, mask=real, other=0) + tl.load(inside + row, mask=real, other=0)
    tl.store(pixels + place, pixel, mask=real)
