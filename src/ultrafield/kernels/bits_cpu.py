"""The bits that are set in a packed word, one after the other, on the CPU."""

from __future__ import annotations

import numpy as np
from numba import njit, uint64

# In a de Bruijn sequence every six bits are different ones: shifted left by s, its first six bits tell s.
_SEQUENCE = 0x03F79D71B4CB0A89
_SHIFTS = np.zeros(64, np.int64)
_SHIFTS[[(_SEQUENCE << shift & 2**64 - 1) >> 58 for shift in range(64)]] = np.arange(64)


@njit(cache=True, nogil=True, inline="always")
def lowest_bit(word):
    """Which is the lowest bit that is set in a word, uint64 and not 0."""
    return _SHIFTS[((word & (~word + uint64(1))) * uint64(_SEQUENCE)) >> uint64(58)]


@njit(cache=True, nogil=True, inline="always")
def weigh_bits(word, weights, first):
    """Summed weights of the bits that are set in one word, uint64; `weights[first]` is that of the lowest bit."""
    total = 0.0
    while word != uint64(0):
        total += weights[first + lowest_bit(word)]
        word &= word - uint64(1)
    return total
