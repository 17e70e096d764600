"""Shared parts of the kernels on pairs of indices."""

from __future__ import annotations

import triton
import triton.language as tl


@triton.jit
def load_pairs(pairs, index, mask):
    """Both entries of the pairs [P, 2] at `index`, by one access of twice their width; -1 where not `mask`."""
    both = tl.load(pairs + 2 * index[:, None] + tl.arange(0, 2)[None, :], mask=mask[:, None], other=-1)
    return tl.split(both)


@triton.jit
def both_within(first, second, size):
    """Which pairs have both indices in [0, size): padding, and what would be read beyond the end, is left out."""
    return (first >= 0) & (first < size) & (second >= 0) & (second < size)
