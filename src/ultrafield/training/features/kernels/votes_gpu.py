"""Shares of the masks that pairs of voxels have in common, in Triton."""

from __future__ import annotations

import torch
import triton
import triton.language as tl
from torch import Tensor

_BLOCK = 128


def vote_shares_gpu(pairs: Tensor, rows: Tensor, codes: Tensor, sums: Tensor, weights: Tensor) -> Tensor:
    """Σ weights of the masks that hold both voxels of a pair / Σ of those that hold either, over views that show both.

    Args:
        pairs: Voxels [K, 2], int64; −1 for none.
        rows: Distinct packed memberships [R, W], int64.
        codes: Which of them each voxel has in each view [N, V], int32.
        sums: Summed weights of the masks that hold the voxel [N, V], float32; negative where a view does not show it.
        weights: Weight of every mask, zero-padded [V, 64 W], float32.

    Returns:
        [K], float32; 0 where no view shows both.
    """
    views, words = codes.shape[1], rows.shape[1]
    shares = torch.empty(len(pairs), device=pairs.device)
    if len(pairs):
        _shares_kernel[(triton.cdiv(len(pairs), _BLOCK),)](
            pairs, rows, codes, sums, weights, shares, len(pairs), views, WORDS=words, BLOCK=_BLOCK, num_warps=4
        )
    return shares


@triton.jit
def _shares_kernel(pairs, rows, codes, sums, weights, shares, count, views, WORDS: tl.constexpr, BLOCK: tl.constexpr):
    """One program: BLOCK pairs, in all views."""
    pair = tl.program_id(0).to(tl.int64) * BLOCK + tl.arange(0, BLOCK)
    real = pair < count
    first = tl.load(pairs + 2 * pair, mask=real, other=-1)
    second = tl.load(pairs + 2 * pair + 1, mask=real, other=-1)
    present = (first >= 0) & (second >= 0)
    both = tl.zeros([BLOCK], tl.float32)
    around = tl.zeros([BLOCK], tl.float32)
    for view in range(views):
        one = tl.load(sums + first * views + view, mask=present, other=-1.0)
        other = tl.load(sums + second * views + view, mask=present, other=-1.0)
        voting = (one >= 0) & (other >= 0)
        if tl.max(voting.to(tl.int32), axis=0) > 0:  # few views show both voxels of a pair
            common = tl.zeros([BLOCK], tl.float32)
            row = tl.load(codes + first * views + view, mask=voting, other=0).to(tl.int64) * WORDS
            opposite = tl.load(codes + second * views + view, mask=voting, other=0).to(tl.int64) * WORDS
            for word in tl.static_range(WORDS):
                here = tl.load(rows + row + word, mask=voting, other=0)
                there = tl.load(rows + opposite + word, mask=voting, other=0)
                shared = here & there
                masks = weights + (view * WORDS + word) * 64
                for step in range(0, 64, 8):
                    for ahead in tl.static_range(8):  # eight loads in flight
                        weight = tl.load(masks + step + ahead)
                        common += ((shared >> (step + ahead)) & 1).to(tl.float32) * weight
            both += common
            around += tl.where(voting, one + other - common, 0.0)
    tl.store(shares + pair, tl.where(around > 0, both / tl.maximum(around, 1e-30), 0.0), mask=real)
