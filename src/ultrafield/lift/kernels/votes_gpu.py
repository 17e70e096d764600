"""Votes of one view's masks on every edge, in Triton."""

from __future__ import annotations

import torch
import triton
import triton.language as tl
from torch import Tensor

_BLOCK = 512


def add_votes_gpu(edges: Tensor, codes: Tensor, seen: Tensor, weights: Tensor, both: Tensor, either: Tensor) -> None:
    """Add one view's votes to `both` and `either`, in place, as `add_votes_cpu` does; the host never waits.

    Args:
        edges: [E, 2], int32 or int64.
        codes: Packed mask memberships of every point in this view [N, W], int64; ignored where not seen.
        seen: Whether the view sees the point [N], bool.
        weights: Weight of every mask, zero-padded [64 W], float32.
        both: Weights of the masks that hold both ends, summed over views [E], float32.
        either: Weights of the masks that hold either end, summed over views [E], float32.
    """
    points, words = codes.shape
    sums = torch.empty(points, device=codes.device)
    if points:
        _sums_kernel[(triton.cdiv(points, _BLOCK),)](codes, seen, weights, sums, points, words, BLOCK=_BLOCK)
    if len(edges):
        _votes_kernel[(triton.cdiv(len(edges), _BLOCK),)](
            edges, codes, sums, weights, both, either, len(edges), words, BLOCK=_BLOCK
        )


@triton.jit
def _weigh(word, weights, first):
    """Summed weights of the masks whose bits are set in each word, the masks `first` to `first` + 63."""
    total = tl.zeros(word.shape, tl.float32)
    for bit in range(64):
        total += ((word >> bit) & 1).to(tl.float32) * tl.load(weights + first + bit)
    return total


@triton.jit(do_not_specialize=["words"])
def _sums_kernel(codes, seen, weights, sums, points, words, BLOCK: tl.constexpr):
    # A point that is not seen gets -1, which no sum of weights is.
    point = tl.program_id(0).to(tl.int64) * BLOCK + tl.arange(0, BLOCK)
    real = point < points
    visible = tl.load(seen + point, mask=real, other=0) != 0
    total = tl.zeros([BLOCK], tl.float32)
    for word in range(words):
        total += _weigh(tl.load(codes + point * words + word, mask=visible, other=0), weights, 64 * word)
    tl.store(sums + point, tl.where(visible, total, -1.0), mask=real)


@triton.jit(do_not_specialize=["words"])
def _votes_kernel(edges, codes, sums, weights, both, either, count, words, BLOCK: tl.constexpr):
    edge = tl.program_id(0).to(tl.int64) * BLOCK + tl.arange(0, BLOCK)
    real = edge < count
    first = tl.load(edges + 2 * edge, mask=real, other=0).to(tl.int64)
    second = tl.load(edges + 2 * edge + 1, mask=real, other=0).to(tl.int64)
    one = tl.load(sums + first, mask=real, other=-1.0)
    other = tl.load(sums + second, mask=real, other=-1.0)
    voting = (one >= 0) & (other >= 0)
    if tl.max(voting.to(tl.int32), axis=0) > 0:
        # Nearly all edges of a view join points in the same masks: those are told apart only where the ends differ.
        apart = tl.zeros([BLOCK], tl.int32)
        for word in range(words):
            a = tl.load(codes + first * words + word, mask=voting, other=0)
            b = tl.load(codes + second * words + word, mask=voting, other=0)
            apart = apart | (a != b).to(tl.int32)
        shared = one
        if tl.max(apart, axis=0) > 0:
            common = tl.zeros([BLOCK], tl.float32)
            for word in range(words):
                a = tl.load(codes + first * words + word, mask=voting, other=0)
                b = tl.load(codes + second * words + word, mask=voting, other=0)
                common += _weigh(a & b, weights, 64 * word)
            shared = tl.where(apart > 0, common, one)
        so_far = tl.load(both + edge, mask=voting, other=0.0)
        tl.store(both + edge, so_far + shared, mask=voting)
        so_far = tl.load(either + edge, mask=voting, other=0.0)
        # In this order equal ends add exactly what they add to `both`: what nothing sets apart has distance 0.
        tl.store(either + edge, so_far + (one + other - shared), mask=voting)
