"""Bits of packed sets in Triton.

Words are signed: every shift is followed by a mask that removes the copies of the sign.
"""

from __future__ import annotations

import triton
import triton.language as tl


@triton.jit
def select_bit(word, rank):
    """Position of the set bit of a given rank in 32-bit words, by halving."""
    position = tl.zeros_like(word)
    for step in tl.static_range(5):
        width = 16 >> step
        lower = popcount(word & ((1 << width) - 1))
        above = rank >= lower
        rank = tl.where(above, rank - lower, rank)
        word = tl.where(above, word >> width, word)
        position = tl.where(above, position + width, position)
    return position


@triton.jit
def popcount(word):
    """Bits set in 32-bit words."""
    word = word - ((word >> 1) & 0x55555555)
    word = (word & 0x33333333) + ((word >> 2) & 0x33333333)
    word = (word + (word >> 4)) & 0x0F0F0F0F
    word = word + (word >> 8)
    return (word + (word >> 16)) & 0x3F
