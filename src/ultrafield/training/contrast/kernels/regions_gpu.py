"""Regions that comparisons are drawn from, and the rules that find enough pixels in them, on the GPU.

Regions are packed sets of sampled pixels, as `draw_pixels_gpu` makes them. Shapes never change, so that a CUDA graph
can hold the launches.
"""

from __future__ import annotations

import torch
import triton
import triton.language as tl
from torch import Tensor

from .bits_gpu import popcount


def pack_regions_gpu(
    views: Tensor, members: Tensor, regions: Tensor, region_starts: Tensor, excluded: Tensor, *, count: int, most: int
) -> tuple[Tensor, Tensor]:
    """Packed sets of the regions that comparisons are drawn from.

    Args:
        views: The pictures [B], int64.
        members: Sampled pixels of each mask [B, M, G], int32, from `draw_pixels_gpu`.
        regions: Regions of all views [R, 4], int32: pixels in both of two masks (−1 for the whole picture), and in
            none of the masks that a span of `excluded` lists.
        region_starts: First region of each view, and R [V + 1], int64.
        excluded: Masks, numbered within their view [X], int32.
        count: Sampled pixels per picture n.
        most: Largest number of regions of any view.

    Returns:
        words: Packed sets [B, most, G], int32.
        cumulative: Members up to and including each word [B, most, G], int32.
        In both, the rows beyond a view's regions are not written.
    """
    groups = members.shape[2]
    words = members.new_empty((len(views), most, groups))
    cumulative = torch.empty_like(words)
    block = triton.next_power_of_2(groups)
    _regions_kernel[most, len(views)](
        views,
        members,
        regions,
        region_starts,
        excluded,
        words,
        cumulative,
        count,
        most,
        members.shape[1],
        groups,
        BLOCK=block,
        num_warps=min(max(block // 256, 1), 8),
    )
    return words, cumulative


@triton.jit
def _regions_kernel(
    views,
    members,
    regions,
    region_starts,
    excluded,
    words,
    cumulative,
    count,
    most,
    masks,
    groups,
    BLOCK: tl.constexpr,
):
    """One program: one region of one picture."""
    region = tl.program_id(0)
    image = tl.program_id(1)
    view = tl.load(views + image)
    first = tl.load(region_starts + view)
    if first + region >= tl.load(region_starts + view + 1):
        return
    row = regions + 4 * (first + region)
    one = tl.load(row)
    other = tl.load(row + 1)
    begin = tl.load(row + 2)
    end = tl.load(row + 3)

    group = tl.arange(0, BLOCK)
    real = group < groups
    table = members + image.to(tl.int64) * masks * groups + group
    left = tl.minimum(tl.maximum(count - 32 * group, 0), 32).to(tl.int64)
    held = ((tl.full([BLOCK], 1, tl.int64) << left) - 1).to(tl.int32)  # the picture: its first n bits
    held &= tl.load(table + one * groups, mask=group < tl.where(one >= 0, groups, 0), other=-1)
    held &= tl.load(table + other * groups, mask=group < tl.where(other >= 0, groups, 0), other=-1)
    covered = tl.zeros([BLOCK], tl.int32)
    for step in range(begin, end, 4):
        for ahead in tl.static_range(4):  # four loads in flight
            listed = step + ahead < end
            mask = tl.load(excluded + step + ahead, mask=listed, other=0)
            covered |= tl.load(table + mask * groups, mask=group < tl.where(listed, groups, 0), other=0)
    held &= ~covered

    place = (image.to(tl.int64) * most + region) * groups + group
    tl.store(words + place, held, mask=real)
    tl.store(cumulative + place, tl.cumsum(popcount(held), 0), mask=real)


def choose_rules_gpu(
    views: Tensor, cumulative: Tensor, rules: Tensor, rule_starts: Tensor, *, most: int, pairs_per_rule: int
) -> tuple[Tensor, Tensor]:
    """Which rules find enough pixels in all of their regions.

    Args:
        views: The pictures [B], int64.
        cumulative: From `pack_regions_gpu` [B, R, G], int32.
        rules: Regions, numbered within their view, of anchor, positive and negative, and the pixels each must have
            [T, 4], int32.
        rule_starts: First rule of each view, and T [V + 1], int64.
        most: Largest number of rules of any view.
        pairs_per_rule: Comparisons per rule.

    Returns:
        chosen: The three regions of each rule that holds, as rows of `cumulative` seen as [B · R, G]; first picture
            first, in the order of `rules` [B · most, 3], int32. Rows beyond those of `live` are not written.
        live: Number of comparisons that these rules make [1], int64.
    """
    chosen = views.new_empty((len(views) * most, 3), dtype=torch.int32)
    live = views.new_empty(1)
    _rules_kernel[(1,)](
        views,
        cumulative,
        rules,
        rule_starts,
        chosen,
        live,
        len(chosen),
        most,
        cumulative.shape[1],
        cumulative.shape[2],
        pairs_per_rule,
        BLOCK=1024,
        num_warps=8,
    )
    return chosen, live


@triton.jit
def _rules_kernel(
    views,
    cumulative,
    rules,
    rule_starts,
    chosen,
    live,
    total,
    most,
    regions,
    groups,
    pairs_per_rule,
    BLOCK: tl.constexpr,
):
    """One program in all: the rank of a rule needs those of every rule before it."""
    found = tl.full((), 0, tl.int64)
    for block in range(0, total, BLOCK):
        rule = block + tl.arange(0, BLOCK)
        image = rule // most
        inside = rule < total
        view = tl.load(views + image, mask=inside, other=0)
        place = tl.load(rule_starts + view, mask=inside, other=0) + rule % most
        inside = inside & (place < tl.load(rule_starts + view + 1, mask=inside, other=0))
        row = rules + 4 * place
        base = image * regions
        anchor = base + tl.load(row, mask=inside, other=0)
        positive = base + tl.load(row + 1, mask=inside, other=0)
        negative = base + tl.load(row + 2, mask=inside, other=0)
        least = tl.load(row + 3, mask=inside, other=0)
        holds = inside & (_size(cumulative, anchor, groups, inside) >= least)
        holds = holds & (_size(cumulative, positive, groups, inside) >= least)
        holds = holds & (_size(cumulative, negative, groups, inside) >= least)
        rank = found + tl.cumsum(holds.to(tl.int32), 0) - 1
        tl.store(chosen + 3 * rank, anchor, mask=holds)
        tl.store(chosen + 3 * rank + 1, positive, mask=holds)
        tl.store(chosen + 3 * rank + 2, negative, mask=holds)
        found += tl.sum(holds.to(tl.int32), 0)
    tl.store(live, found * pairs_per_rule)


@triton.jit
def _size(cumulative, region, groups, mask):
    """Number of pixels in regions."""
    return tl.load(cumulative + (region + 1).to(tl.int64) * groups - 1, mask=mask, other=0)
