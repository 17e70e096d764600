"""Bits of packed words against Python's integers."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numba import njit

from ultrafield.kernels.bits_cpu import lowest_bit, popcount, weigh_bits


@njit
def bits_of(word, weights):
    """What the inlined helpers say of one word that is not 0."""
    return lowest_bit(word), popcount(word), weigh_bits(word, weights, 3)


def check(word):
    weights = np.arange(67) ** 2.0
    bits = [bit for bit in range(64) if word >> bit & 1]
    assert bits_of(np.uint64(word), weights) == (bits[0], word.bit_count(), weights[3:][bits].sum())


@settings(deadline=None, max_examples=200)
@given(st.integers(1, 2**64 - 1))
def test_any_word(word):
    check(word)


@pytest.mark.parametrize("bit", range(64))
def test_single_bits_and_all_above(bit):
    check(1 << bit)
    check(2**64 - (1 << bit))


def test_no_bit():
    @njit
    def count(word):
        return popcount(word)

    assert count(np.uint64(0)) == 0
