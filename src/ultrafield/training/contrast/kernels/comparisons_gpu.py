"""Comparisons of a training step, drawn on the GPU without the host from the regions of the rules that hold.

Shapes never change, so that a CUDA graph can hold the launch.
"""

from __future__ import annotations

import torch
import triton
import triton.language as tl
from torch import Tensor

from .bits_gpu import select_bit


def draw_comparisons_gpu(
    words: Tensor, cumulative: Tensor, chosen: Tensor, live: Tensor, chance: Tensor, *, count: int, pairs_per_rule: int
) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Draw the pixels of K comparisons, uniformly with replacement from their regions.

    Args:
        words: Regions as packed sets [B, R, G], int32.
        cumulative: Members up to and including each word [B, R, G], int32.
        chosen: Regions of anchor, positive and negative of each rule [C, 3], int32, from `choose_rules_gpu`.
        live: Number of comparisons to draw [1], int64; at most K.
        chance: Uniform numbers in [0, 1) for anchors, positives and each negative [2 + m, K], float32.
        count: Sampled pixels per picture n.
        pairs_per_rule: Comparisons per rule; K is a multiple.

    Returns:
        anchor: Sampled pixels, numbered through all pictures [K], int64; 0 from `live` on.
        positive: [K], int64.
        negative: [K, m], int64.
        valid: Which comparisons count, the first `live` [K], bool.
    """
    negatives, capacity = chance.shape[0] - 2, chance.shape[1]
    anchor, positive = live.new_empty(capacity), live.new_empty(capacity)
    negative = live.new_empty((capacity, negatives))
    valid = live.new_empty(capacity, dtype=torch.bool)
    regions, groups = words.shape[1:]
    _comparisons_kernel[(triton.cdiv(capacity, 128),)](
        words,
        cumulative,
        chosen,
        live,
        chance,
        anchor,
        positive,
        negative,
        valid,
        capacity,
        negatives,
        count,
        regions,
        groups,
        pairs_per_rule,
        (groups - 1).bit_length(),
        BLOCK=128,
        num_warps=4,
    )
    return anchor, positive, negative, valid


@triton.jit
def _comparisons_kernel(
    words,
    cumulative,
    chosen,
    live,
    chance,
    anchor,
    positive,
    negative,
    valid,
    capacity,
    negatives,
    count,
    regions,
    groups,
    pairs_per_rule,
    search_steps,
    BLOCK: tl.constexpr,
):
    """One program: BLOCK comparisons."""
    pair = tl.program_id(0).to(tl.int64) * BLOCK + tl.arange(0, BLOCK)
    real = pair < capacity
    holds = real & (pair < tl.load(live))
    tl.store(valid + pair, holds, mask=real)
    rule = chosen + pair // pairs_per_rule * 3
    chance += pair
    nearer = tl.load(rule, mask=holds, other=0)
    drawn = _draw(words, cumulative, nearer, chance, holds, count, regions, groups, search_steps)
    tl.store(anchor + pair, drawn, mask=real)
    nearer = tl.load(rule + 1, mask=holds, other=0)
    drawn = _draw(words, cumulative, nearer, chance + capacity, holds, count, regions, groups, search_steps)
    tl.store(positive + pair, drawn, mask=real)
    farther = tl.load(rule + 2, mask=holds, other=0)
    chance += capacity
    for column in range(negatives):
        chance += capacity
        drawn = _draw(words, cumulative, farther, chance, holds, count, regions, groups, search_steps)
        tl.store(negative + pair * negatives + column, drawn, mask=real)


@triton.jit
def _draw(words, cumulative, region, chance, mask, count, regions, groups, search_steps):
    """A random member of each region, numbered through all pictures, int64; 0 where masked."""
    first = region.to(tl.int64) * groups
    size = tl.load(cumulative + first + groups - 1, mask=mask, other=1)
    rank = (tl.load(chance, mask=mask, other=0.0) * size.to(tl.float32)).to(tl.int32)
    rank = tl.minimum(rank, size - 1)
    low = tl.zeros_like(rank)
    high = low + groups - 1
    for _ in range(search_steps):  # the first word up to which there are more than `rank` members
        middle = (low + high) // 2
        below = tl.load(cumulative + first + middle, mask=mask, other=1) <= rank
        low = tl.where(below, middle + 1, low)
        high = tl.where(below, high, middle)
    before = tl.load(cumulative + first + low - 1, mask=mask & (low > 0), other=0)
    word = tl.load(words + first + low, mask=mask, other=1)
    member = region // regions * count + low * 32 + select_bit(word, rank - before)
    return tl.where(mask, member, 0).to(tl.int64)
