"""The nearest surface points of pixels, and their votes at every cut, in Triton."""

from __future__ import annotations

import torch
import triton
import triton.language as tl
from torch import Tensor

_PIXELS, _CUTS = 64, 64


def nearest_gpu(
    pixels: Tensor, points: Tensor, keys: Tensor, frame: Tensor, size: tuple[int, int, int], count: int
) -> Tensor:
    """The nearest points of each pixel, by distances in float64.

    Points lie in the order of their cells. All of them within the radius are in the 27 cells around a pixel's, and
    cells that follow each other along the last axis are one range of points.

    Args:
        pixels: What each pixel sees [P, 3], float32; not finite for nothing.
        points: [N, 3], float32, by their cells.
        keys: (x · Y + y) · Z + z of each point's cell (x, y, z) [N], int64, ascending.
        frame: Lowest corner of all cells, their edge, and the square of the radius: only points less far away count
            [5], float64. The edge is longer than the radius by more than rounding.
        size: Number of cells along each axis (X, Y, Z).
        count: At most so many of a pixel, K.

    Returns:
        Indices of points, nearest first [P, K], int32; −1 after the last.
    """
    found = torch.empty(len(pixels), count, dtype=torch.int32, device=pixels.device)
    if len(pixels):
        # Fused multiply-adds would round otherwise than the CPU does, and order points that are nearly as far away.
        _nearest_kernel[(triton.cdiv(len(pixels), _PIXELS),)](
            *(pixels, points, keys, frame, found, len(pixels), len(points), len(points).bit_length(), *size),
            **{"COUNT": count, "ROOM": max(2, triton.next_power_of_2(count)), "BLOCK": _PIXELS},
            enable_fp_fusion=False,
        )
    return found


def vote_gpu(table: Tensor, columns: Tensor, voters: Tensor) -> tuple[Tensor, Tensor]:
    """The most frequent segment among each pixel's voters, at every cut.

    Args:
        table: Segment ids of each column of points [D, L], int32.
        columns: Column of each of N points [N], int32.
        voters: Points that vote on each pixel, nearest first [P, K], int32; −1 after the last.

    Returns:
        Segment ids [P, L], int32; −1 for pixels without voters. On a tie the segment with the nearest point wins. And
        a number of each pixel [P], int64, that pixels with the same ids at all cuts share, and others hardly ever.
    """
    rows = torch.empty(len(voters), table.shape[1], dtype=torch.int32, device=table.device)
    codes = torch.zeros(len(voters), dtype=torch.int64, device=table.device)
    if rows.numel():
        grid = (triton.cdiv(len(voters), _PIXELS), triton.cdiv(table.shape[1], _CUTS))
        sizes = len(voters), table.shape[1], voters.shape[1]
        _vote_kernel[grid](table, columns, voters, rows, codes, *sizes, PIXELS=_PIXELS, CUTS=_CUTS)
    return rows, codes


@triton.jit(do_not_specialize=["pixel_count", "point_count", "steps", "across", "down", "along"])
def _nearest_kernel(
    pixels,
    points,
    keys,
    frame,
    found,
    pixel_count,
    point_count,
    steps,
    across,
    down,
    along,
    COUNT: tl.constexpr,
    ROOM: tl.constexpr,
    BLOCK: tl.constexpr,
):
    pixel = tl.program_id(0).to(tl.int64) * BLOCK + tl.arange(0, BLOCK)
    real = pixel < pixel_count
    x = tl.load(pixels + 3 * pixel, mask=real, other=float("nan")).to(tl.float64)
    y = tl.load(pixels + 3 * pixel + 1, mask=real, other=float("nan")).to(tl.float64)
    z = tl.load(pixels + 3 * pixel + 2, mask=real, other=float("nan")).to(tl.float64)
    edge, reach = tl.load(frame + 3), tl.load(frame + 4)
    cell_x, in_x = _cell(x, tl.load(frame), edge, across)
    cell_y, in_y = _cell(y, tl.load(frame + 1), edge, down)
    cell_z, in_z = _cell(z, tl.load(frame + 2), edge, along)
    seen = in_x & in_y & in_z
    slot = tl.arange(0, ROOM)
    # The nearest so far, in no order; slots beyond the count are as if filled with what nothing is nearer than.
    kept = tl.zeros([BLOCK, ROOM], tl.float64) + tl.where(slot < COUNT, float("inf"), -float("inf"))[None, :]
    names = tl.full([BLOCK, ROOM], -1, tl.int32)
    for row in range(9):
        row_x, row_y = cell_x + (row // 3 - 1), cell_y + (row % 3 - 1)
        there = seen & (row_x >= 0) & (row_x < across) & (row_y >= 0) & (row_y < down)
        first = (row_x * down + row_y) * along
        start = _place(keys, first + tl.maximum(cell_z - 1, 0), point_count, there, steps)
        end = _place(keys, first + tl.minimum(cell_z + 2, along), point_count, there, steps)
        for ahead in range(tl.max(end - start)):
            point = start + ahead
            within = point < end
            place = points + 3 * point.to(tl.int64)
            away_x = tl.load(place, mask=within, other=0.0).to(tl.float64) - x
            away_y = tl.load(place + 1, mask=within, other=0.0).to(tl.float64) - y
            away_z = tl.load(place + 2, mask=within, other=0.0).to(tl.float64) - z
            distance = away_x * away_x + away_y * away_y + away_z * away_z
            farthest = tl.max(kept, axis=1)
            nearer = within & (distance < reach) & (distance < farthest)
            leaves = nearer[:, None] & (slot[None, :] == tl.argmax(kept, axis=1)[:, None])
            kept = tl.where(leaves, distance[:, None], kept)
            names = tl.where(leaves, point[:, None], names)
    # Each goes to its rank among them.
    kept = tl.where(slot[None, :] < COUNT, kept, float("inf"))
    rank = tl.zeros([BLOCK, ROOM], tl.int32)
    for other in range(COUNT):
        against = tl.sum(tl.where(slot[None, :] == other, kept, 0.0), axis=1)[:, None]
        rank += ((against < kept) | ((against == kept) & (other < slot[None, :]))).to(tl.int32)
    tl.store(found + pixel[:, None] * COUNT + rank, names, mask=real[:, None] & (slot[None, :] < COUNT))


@triton.jit
def _cell(place, low, edge, count):
    """The cell along one axis that holds a place, and whether there is a cell at most one away from it."""
    cell = tl.floor((place - low) / edge)
    near = (cell >= -1) & (cell <= count)  # false for NaN
    return tl.where(near, cell, 0.0).to(tl.int64), near


@triton.jit
def _place(keys, wanted, count, there, steps):
    """How many of the ascending keys are less than what is wanted, 0 where `there` is false; int32."""
    low = tl.zeros_like(wanted)
    high = tl.where(there, low + count, low)
    for _ in range(steps):
        middle = (low + high) // 2
        open = low < high
        less = open & (tl.load(keys + middle, mask=open, other=0) < wanted)
        low = tl.where(less, middle + 1, low)
        high = tl.where(open & (less == 0), middle, high)
    return low.to(tl.int32)


@triton.jit(do_not_specialize=["count", "cuts"])
def _vote_kernel(table, columns, voters, rows, codes, count, cuts, most, PIXELS: tl.constexpr, CUTS: tl.constexpr):
    pixel = tl.program_id(0).to(tl.int64) * PIXELS + tl.arange(0, PIXELS)
    cut = tl.program_id(1) * CUTS + tl.arange(0, CUTS)
    real, shown = pixel < count, cut < cuts
    winner, winning = tl.full([PIXELS, CUTS], -1, tl.int32), tl.zeros([PIXELS, CUTS], tl.int32)
    for first in range(most):
        votes, candidate = _segments(table, columns, voters + pixel * most + first, real, cut, shown, cuts)
        total = tl.zeros([PIXELS, CUTS], tl.int32)
        for other in range(most):
            counted, segment = _segments(table, columns, voters + pixel * most + other, real, cut, shown, cuts)
            total += (counted & (segment == candidate)).to(tl.int32)
        more = votes & (total > winning)
        winner, winning = tl.where(more, candidate, winner), tl.where(more, total, winning)
    tl.store(rows + pixel[:, None] * cuts + cut[None, :], winner, mask=real[:, None] & shown[None, :])
    # A sum of products with odd numbers that look random, modulo 2⁶⁴: in any order, over any part of the cuts.
    factor = (cut.to(tl.int64) + 1) * 0x1E3779B97F4A7C15
    factor = ((factor ^ (factor >> 29)) * 0x3F58476D1CE4E5B9) | 1
    product = tl.where(shown[None, :], (winner + 1).to(tl.int64) * factor[None, :], 0)
    tl.atomic_add(codes + pixel, tl.sum(product, axis=1), mask=real, sem="relaxed")


@triton.jit
def _segments(table, columns, voter, real, cut, shown, cuts):
    """Whether each pixel has a voter, and that one's segments at some cuts."""
    point = tl.load(voter, mask=real, other=-1).to(tl.int64)
    column = tl.load(columns + point, mask=point >= 0, other=0).to(tl.int64)
    votes = (point >= 0)[:, None] & shown[None, :]
    return votes, tl.load(table + column[:, None] * cuts + cut[None, :], mask=votes, other=-1)
