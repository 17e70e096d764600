"""Pixels of a training step and the masks that hold them, drawn on the GPU without the host.

What a mask holds among the n sampled pixels of its picture is a packed set: G = ceil(n / 32) words of 32 bits, as
int32. Shapes never change, so that a CUDA graph can hold the launch.
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
