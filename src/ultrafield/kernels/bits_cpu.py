"""Bits of packed words, compiled for the CPU."""

from __future__ import annotations

import numpy as np
from numba import uint64

from .compile import compiled

# In a de Bruijn sequence every six bits are different ones: shifted left by s, its first six bits tell s.
_SEQUENCE = 0x03F79D71B4CB0A89
_SHIFTS = np.zeros(64, np.int64)
_SHIFTS[[(_SEQUENCE << shift & 2**64 - 1) >> 58 for shift in range(64)]] = np.arange(64)


@compiled(inline="always")
def lowest_bit(word):
    """Position of the lowest bit that is set in a word, uint64, not 0: 0 … 63."""
    return _SHIFTS[((word & (~word + uint64(1))) * uint64(_SEQUENCE)) >> uint64(58)]


@compiled(inline="always")
def popcount(word):
    """Number of bits that are set in a word, uint64; LLVM makes it one instruction where the CPU has it."""
    word = word - ((word >> uint64(1)) & uint64(0x5555555555555555))
    word = (word & uint64(0x3333333333333333)) + ((word >> uint64(2)) & uint64(0x3333333333333333))
    word = (word + (word >> uint64(4))) & uint64(0x0F0F0F0F0F0F0F0F)
    return (word * uint64(0x0101010101010101)) >> uint64(56)


@compiled(inline="always")
def weigh_bits(word, weights, first):
    """Sum of the weights of the bits that are set in a word, uint64; bit 0 has the weight `weights[first]`."""
    total = 0.0
    while word != uint64(0):
        total += weights[first + lowest_bit(word)]
        word &= word - uint64(1)
    return total
