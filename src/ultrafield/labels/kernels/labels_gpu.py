"""The nearest surface points of pixels, and their votes at every cut, in Triton."""

from __future__ import annotations

import torch
import triton
import triton.language as tl
from torch import Tensor

_PIXELS, _CUTS = 64, 64


def nearest_gpu(pixels: Tensor, points: Tensor, starts: Tensor, ends: Tensor, radius: float, count: int) -> Tensor:
    """The nearest points of each pixel among some ranges of points, by distances in float64.

    Args:
        pixels: What each pixel sees [P, 3], float32.
        points: [N, 3], float32.
        starts: First point of each of a pixel's ranges [P, R], int32.
        ends: End of each of them [P, R], int32.
        radius: Only points less far away count.
        count: At most so many of a pixel, K.

    Returns:
        Indices of points, nearest first [P, K], int32; −1 after the last.
    """
    room = max(2, triton.next_power_of_2(count))
    distances = torch.empty(len(pixels), room, dtype=torch.float64, device=pixels.device)
    found = torch.empty(len(pixels), room, dtype=torch.int32, device=pixels.device)
    if len(pixels):
        # Fused multiply-adds would round otherwise than the CPU does, and order points that are nearly as far away.
        _nearest_kernel[(triton.cdiv(len(pixels), _PIXELS),)](
            *(pixels, points, starts, ends, distances, found, len(pixels), radius * radius),
            **{"RANGES": starts.shape[1], "COUNT": count, "ROOM": room, "BLOCK": _PIXELS, "enable_fp_fusion": False},
        )
    order = torch.sort(distances[:, :count], dim=1, stable=True).indices
    return found[:, :count].gather(1, order)


def vote_gpu(table: Tensor, columns: Tensor, voters: Tensor) -> Tensor:
    """The most frequent segment among each pixel's voters, at every cut.

    Args:
        table: Segment ids of each column of points [D, L], int32.
        columns: Column of each of N points [N], int32.
        voters: Points that vote on each pixel, nearest first [P, K], int32; −1 after the last.

    Returns:
        Segment ids [P, L], int32; −1 for pixels without voters. On a tie the segment with the nearest point wins.
    """
    rows = torch.empty(len(voters), table.shape[1], dtype=torch.int32, device=table.device)
    if rows.numel():
        voting = torch.where(voters >= 0, columns[voters.clamp(min=0).long()], -1)
        grid = (triton.cdiv(len(voters), _PIXELS), triton.cdiv(table.shape[1], _CUTS))
        _vote_kernel[grid](
            *(table, voting, rows, len(voters), table.shape[1], voters.shape[1]), PIXELS=_PIXELS, CUTS=_CUTS
        )
    return rows


@triton.jit(do_not_specialize=["count"])
def _nearest_kernel(
    pixels,
    points,
    starts,
    ends,
    distances,
    found,
    count,
    reach,
    RANGES: tl.constexpr,
    COUNT: tl.constexpr,
    ROOM: tl.constexpr,
    BLOCK: tl.constexpr,
):
    pixel = tl.program_id(0).to(tl.int64) * BLOCK + tl.arange(0, BLOCK)
    real = pixel < count
    x = tl.load(pixels + 3 * pixel, mask=real, other=0.0).to(tl.float64)
    y = tl.load(pixels + 3 * pixel + 1, mask=real, other=0.0).to(tl.float64)
    z = tl.load(pixels + 3 * pixel + 2, mask=real, other=0.0).to(tl.float64)
    slot = tl.arange(0, ROOM)
    # The nearest so far, in no order; slots beyond the count are as if filled with what nothing is nearer than.
    kept = tl.zeros([BLOCK, ROOM], tl.float64) + tl.where(slot < COUNT, float("inf"), -float("inf"))[None, :]
    names = tl.full([BLOCK, ROOM], -1, tl.int32)
    for range_ in range(RANGES):
        start = tl.load(starts + pixel * RANGES + range_, mask=real, other=0)
        end = tl.load(ends + pixel * RANGES + range_, mask=real, other=0)
        for ahead in range(tl.max(end - start)):
            point = start + ahead
            within = point < end
            place = points + 3 * point.to(tl.int64)
            across = tl.load(place, mask=within, other=0.0).to(tl.float64) - x
            down = tl.load(place + 1, mask=within, other=0.0).to(tl.float64) - y
            along = tl.load(place + 2, mask=within, other=0.0).to(tl.float64) - z
            distance = across * across + down * down + along * along
            farthest = tl.max(kept, axis=1)
            nearer = within & (distance < reach) & (distance < farthest)
            leaves = nearer[:, None] & (slot[None, :] == tl.argmax(kept, axis=1)[:, None])
            kept = tl.where(leaves, distance[:, None], kept)
            names = tl.where(leaves, point[:, None], names)
    out = pixel[:, None] * ROOM + slot[None, :]
    tl.store(distances + out, kept, mask=real[:, None])
    tl.store(found + out, names, mask=real[:, None])


@triton.jit(do_not_specialize=["count", "cuts"])
def _vote_kernel(table, voting, rows, count, cuts, most, PIXELS: tl.constexpr, CUTS: tl.constexpr):
    pixel = tl.program_id(0).to(tl.int64) * PIXELS + tl.arange(0, PIXELS)
    cut = tl.program_id(1) * CUTS + tl.arange(0, CUTS)
    real, shown = pixel < count, cut < cuts
    winner, winning = tl.full([PIXELS, CUTS], -1, tl.int32), tl.zeros([PIXELS, CUTS], tl.int32)
    for first in range(most):
        column = tl.load(voting + pixel * most + first, mask=real, other=-1).to(tl.int64)
        votes = (column >= 0)[:, None] & shown[None, :]
        candidate = tl.load(table + column[:, None] * cuts + cut[None, :], mask=votes, other=-1)
        total = tl.zeros([PIXELS, CUTS], tl.int32)
        for other in range(most):
            column = tl.load(voting + pixel * most + other, mask=real, other=-1).to(tl.int64)
            counted = (column >= 0)[:, None] & shown[None, :]
            segment = tl.load(table + column[:, None] * cuts + cut[None, :], mask=counted, other=-2)
            total += (segment == candidate).to(tl.int32)
        more = votes & (total > winning)
        winner, winning = tl.where(more, candidate, winner), tl.where(more, total, winning)
    tl.store(rows + pixel[:, None] * cuts + cut[None, :], winner, mask=real[:, None] & shown[None, :])
