"""Pixels and comparisons of a training step on the GPU: drawn without the host, in shapes that never change.

What a mask holds among the n sampled pixels of its picture is a packed set: G = ceil(n / 32) words of 32 bits, as
int32. The four functions run one after the other; each fixes its launch by shapes alone, so that a CUDA graph can hold
them. Words are kept signed: every shift is followed by a mask that removes the copies of the sign.
"""

from __future__ import annotations

import torch
import triton
import triton.language as tl
from torch import Tensor


def draw_pixels_gpu(
    views: Tensor, chance: Tensor, layout: Tensor, packed: Tensor, share: Tensor, *, words: int, balanced: int
) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Draw n pixels from each of B pictures and gather their memberships.

    Args:
        views: The pictures [B], int64.
        chance: Uniform numbers in [0, 1) [B, n], float64.
        layout: First pixel, number of pixels, width, first word and words per pixel of each of V views [V, 5], int64.
        packed: Packed memberships, view after view, row-major [Q], int64; bit m % 64 of a pixel's word m // 64.
        share: Running sum over each view's pixels of the chance to be drawn by mask [P], float64; 0 without masks.
        words: Largest number of words per pixel W.
        balanced: How many of each picture's pixels, the first ones, are drawn by mask; the others uniformly.

    Returns:
        pixels: Index into all pixels [B · n], int64.
        positions: Column and row [B, n, 2], int32.
        bits: Packed memberships [B · n, W], int64.
        members: The sampled pixels of each mask, as packed sets [B, 64 · W, G], int32.
    """
    images, count = chance.shape
    groups = triton.cdiv(count, 32)
    pixels = views.new_empty(images * count)
    positions = views.new_empty((images, count, 2), dtype=torch.int32)
    bits = views.new_empty((images * count, words))
    members = views.new_empty((images, 64 * words, groups), dtype=torch.int32)
    _pixels_kernel[triton.cdiv(groups, 2), images](
        views,
        chance,
        layout,
        packed,
        share,
        pixels,
        positions,
        bits,
        members,
        count,
        balanced,
        groups,
        len(share).bit_length(),
        WORDS=words,
        BLOCK=2,
        num_warps=4,
    )
    return pixels, positions, bits, members


@triton.jit
def _pixels_kernel(
    views,
    chance,
    layout,
    packed,
    share,
    pixels,
    positions,
    bits,
    members,
    count,
    balanced,
    groups,
    search_steps,
    WORDS: tl.constexpr,
    BLOCK: tl.constexpr,
):
    """One program: 32 · BLOCK pixels of one picture."""
    image = tl.program_id(1)
    group = tl.program_id(0) * BLOCK + tl.arange(0, BLOCK)
    lane = tl.arange(0, 32)
    column = group[:, None] * 32 + lane[None, :]  # [BLOCK, 32]
    real = column < count
    slot = image.to(tl.int64) * count + column

    row = layout + 5 * tl.load(views + image)
    start = tl.load(row)
    size = tl.load(row + 1)
    width = tl.load(row + 2)
    first_word = tl.load(row + 3)
    held = tl.load(row + 4)  # words per pixel; 0 if the picture has no masks
    random = tl.load(chance + slot, mask=real, other=0.0)
    by_mask = real & (column < tl.where(held > 0, balanced, 0))
    target = random * tl.load(share + start + size - 1)
    low = tl.zeros_like(slot)
    high = low + size - 1
    steps = tl.where(tl.program_id(0) * BLOCK * 32 < balanced, search_steps, 0)
    for _ in range(steps):  # the first pixel whose running sum exceeds the target
        middle = (low + high) // 2
        below = tl.load(share + start + middle, mask=by_mask & (low <= high), other=0.0) <= target
        low = tl.where(below, middle + 1, low)
        high = tl.where(below, high, middle)
    local = tl.minimum(tl.where(by_mask, low, (random * size).to(tl.int64)), size - 1)

    tl.store(pixels + slot, start + local, mask=real)
    tl.store(positions + 2 * slot, (local % width).to(tl.int32), mask=real)
    tl.store(positions + 2 * slot + 1, (local // width).to(tl.int32), mask=real)

    bit = tl.arange(0, 64)
    for word in range(WORDS):
        stored = column < tl.where(word < held, count, 0)
        value = tl.load(packed + first_word + local * held + word, mask=stored, other=0)
        tl.store(bits + slot * WORDS + word, value, mask=real)
        flags = ((value[:, :, None] >> bit[None, None, :]) & 1) << lane[None, :, None]  # [BLOCK, 32, 64]
        sets = tl.sum(flags, axis=1).to(tl.int32)  # [BLOCK, 64]; the flags share no bit
        mask = (image * WORDS + word) * 64 + bit
        place = members + mask[None, :].to(tl.int64) * groups + group[:, None]
        tl.store(place, sets, mask=(group < groups)[:, None])


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
    tl.store(cumulative + place, tl.cumsum(_popcount(held), 0), mask=real)


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
    member = region // regions * count + low * 32 + _select(word, rank - before)
    return tl.where(mask, member, 0).to(tl.int64)


@triton.jit
def _select(word, rank):
    """Position of the set bit of a given rank in 32-bit words, by halving."""
    position = tl.zeros_like(word)
    for step in tl.static_range(5):
        width = 16 >> step
        lower = _popcount(word & ((1 << width) - 1))
        above = rank >= lower
        rank = tl.where(above, rank - lower, rank)
        word = tl.where(above, word >> width, word)
        position = tl.where(above, position + width, position)
    return position


@triton.jit
def _popcount(word):
    """Bits set in 32-bit words."""
    word = word - ((word >> 1) & 0x55555555)
    word = (word & 0x33333333) + ((word >> 2) & 0x33333333)
    word = (word + (word >> 4)) & 0x0F0F0F0F
    word = word + (word >> 8)
    return (word + (word >> 16)) & 0x3F
