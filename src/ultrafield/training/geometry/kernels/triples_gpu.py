"""Triples of pixels in Triton, from random numbers to which of them count."""

from __future__ import annotations

import torch
import triton
import triton.language as tl
from torch import Tensor

from ....field.kernels.rays_gpu import find_run
from ...pixels import PixelPool
from .drawing_gpu import picked

_BLOCK = 128


def triples_gpu(
    chance: Tensor,
    pool: PixelPool,
    number: int,
    numbers: Tensor,
    firsts: Tensor,
    sizes: Tensor,
    mask_sizes: Tensor,
    lines: Tensor,
    distances: int,
) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Triples around random pixels; see `MaskedPixels`, whose columns `numbers` to `lines` are, and its `draw`.

    Args:
        chance: Random numbers in [0, 1) for the middle pixel, the distance and the line [3, T], float64.
        pool: The pixels.
        number: How many of them there are to draw from.
        numbers: Set of masks of each mask pixel [N], int16 or int32; −1 is none.
        firsts: First row of each view in `numbers` [V], int64.
        sizes: Width and height of the pictures [V, 2], int64.
        mask_sizes: Width and height of the masks [V, 2], int64.
        lines: Steps right and down [4, 2], int64.
        distances: How many distances there are: 1, 2, 4, …

    Returns:
        The columns of `Triples`.
    """
    count, device = chance.shape[1], chance.device
    views = torch.empty(count, dtype=torch.int64, device=device)
    pixels = torch.empty(count, 3, dtype=torch.int64, device=device)
    part = torch.empty(count, device=device)
    counted = torch.empty(count, dtype=torch.bool, device=device)
    if count:
        _triples_kernel[(triton.cdiv(count, _BLOCK),)](
            chance,
            pool.starts,
            pool.valid,
            pool.rays.directions,
            pool.rays.starts,
            numbers,
            firsts,
            sizes,
            mask_sizes,
            lines,
            views,
            pixels,
            part,
            counted,
            len(pool.starts),
            number,
            distances,
            len(lines),
            count,
            BLOCK=_BLOCK,
        )
    return views, pixels, part, counted


@triton.jit(do_not_specialize=["bounds", "number", "distances", "num_lines", "count"])
def _triples_kernel(
    chance,
    starts,
    valid,
    directions,
    first_rows,
    numbers,
    firsts,
    sizes,
    mask_sizes,
    lines,
    views,
    pixels,
    parts,
    counted,
    bounds,
    number,
    distances,
    num_lines,
    count,
    BLOCK: tl.constexpr,
):
    triple = tl.program_id(0).to(tl.int64) * BLOCK + tl.arange(0, BLOCK)
    real = triple < count
    drawn = picked(chance + triple, number, real)
    if valid is not None:
        drawn = tl.load(valid + drawn, mask=real, other=0)
    view = find_run(starts, bounds, drawn)
    inside = drawn - tl.load(starts + view, mask=real, other=0)
    distance = (tl.zeros_like(view) + 1) << picked(chance + count + triple, distances, real)
    line = lines + 2 * picked(chance + 2 * count + triple, num_lines, real)
    right = tl.load(line, mask=real, other=0) * distance
    down = tl.load(line + 1, mask=real, other=0) * distance
    width = tl.load(sizes + 2 * view, mask=real, other=1)
    column, row = inside % width, inside // width
    tables = (sizes, mask_sizes, numbers, firsts, directions, first_rows)
    first, there_a, set_a, xa, ya, za = _pixel(column - right, row - down, view, real, tables)
    middle, there_b, set_b, xb, yb, zb = _pixel(column, row, view, real, tables)
    last, there_c, set_c, xc, yc, zc = _pixel(column + right, row + down, view, real, tables)
    x, y, z = xc - xa, yc - ya, zc - za
    along = (xb - xa) * x + (yb - ya) * y + (zb - za) * z
    part = along / tl.maximum(x * x + y * y + z * z, 1e-20)
    seen = tl.abs(part) < float("inf")  # not where a pixel has no ray
    together = (set_a == set_b) & (set_b == set_c) & (set_b >= 0)
    tl.store(views + triple, view, mask=real)
    tl.store(pixels + 3 * triple, first, mask=real)
    tl.store(pixels + 3 * triple + 1, middle, mask=real)
    tl.store(pixels + 3 * triple + 2, last, mask=real)
    tl.store(parts + triple, tl.where(seen, part, 0.5), mask=real)
    tl.store(counted + triple, there_a & there_b & there_c & together & seen, mask=real)


@triton.jit
def _pixel(column, row, view, real, tables):
    """The pixel nearest to a place; whether that is in the picture; its set of masks, and its direction."""
    sizes, mask_sizes, numbers, firsts, directions, first_rows = tables
    width = tl.load(sizes + 2 * view, mask=real, other=1)
    height = tl.load(sizes + 2 * view + 1, mask=real, other=1)
    there = (column >= 0) & (column < width) & (row >= 0) & (row < height)
    column = tl.minimum(tl.maximum(column, 0), width - 1)
    row = tl.minimum(tl.maximum(row, 0), height - 1)
    mask_width = tl.load(mask_sizes + 2 * view, mask=real, other=1)
    mask_height = tl.load(mask_sizes + 2 * view + 1, mask=real, other=1)
    place = row * mask_height // height * mask_width + column * mask_width // width
    number = tl.load(numbers + tl.load(firsts + view, mask=real, other=0) + place, mask=real, other=-1)
    pixel = row * width + column
    direction = directions + 3 * (tl.load(first_rows + view, mask=real, other=0) + pixel)
    x = tl.load(direction, mask=real, other=0.0)
    y = tl.load(direction + 1, mask=real, other=0.0)
    z = tl.load(direction + 2, mask=real, other=0.0)
    return pixel, there, number, x, y, z
