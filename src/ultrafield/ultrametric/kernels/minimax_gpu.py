"""Bottleneck queries on the GPU."""

from __future__ import annotations

import torch
import triton
import triton.language as tl
from torch import Tensor

from .boruvka_gpu import EDGE_BITS, NO_KEY, Rounds, boruvka_rounds_gpu, sortable
from .pairs_gpu import both_within, load_pairs

# One warp per program: its loop then ends without a barrier.
_OPTIONS = {"BLOCK": 128, "num_warps": 1}


def bottlenecks_gpu(num_nodes: int, edges: Tensor, weights: Tensor, pairs: Tensor, rounds: int) -> Tensor:
    """Limiting edge of each pair [P], int64, without a wait for the device; arguments as in `bottlenecks`."""
    return climb_gpu(boruvka_rounds_gpu(num_nodes, edges, sortable(weights), rounds), pairs)


def climb_gpu(rounds: Rounds, pairs: Tensor) -> Tensor:
    """Limiting edge of each pair [P], int64.

    Args:
        rounds: Rounds on n nodes.
        pairs: Node indices [P, 2], int64; anything outside [0, n) makes the answer -1.

    Returns:
        Edge indices; -1 also for a node with itself, and for nodes that the rounds did not join.
    """
    pairs = pairs.contiguous()
    limits = torch.empty(len(pairs), dtype=torch.int64, device=pairs.device)
    if len(pairs):
        grid = (triton.cdiv(len(pairs), _OPTIONS["BLOCK"]),)
        levels, num_nodes = rounds.keys.shape
        _climb_kernel[grid](rounds.labels, rounds.keys, pairs, limits, num_nodes, levels, len(pairs), **_OPTIONS)
    return limits


def minimax_gpu(parents: Tensor, choices: Tensor, mst_edges: Tensor, pairs: Tensor, num_nodes: int) -> Tensor:
    """Limiting edge of each pair [P], int64, -1 where there is none; arguments as in `minimax`."""
    limits = torch.empty(len(pairs), dtype=torch.int64, device=pairs.device)
    if len(pairs):
        grid = (triton.cdiv(len(pairs), _OPTIONS["BLOCK"]),)
        _minimax_kernel[grid](parents, choices, mst_edges, pairs, limits, num_nodes, len(pairs), **_OPTIONS)
    return limits


@triton.jit
def _climb_kernel(labels, keys, pairs, limits, num_nodes, levels, num_pairs, BLOCK: tl.constexpr):
    """The greatest key on both ways up to the level at which the two nodes have one label."""
    index = tl.program_id(0).to(tl.int64) * BLOCK + tl.arange(0, BLOCK)
    inside = index < num_pairs
    first, second = load_pairs(pairs, index, inside)
    apart = both_within(first, second, num_nodes) & (first != second)
    asked = apart
    heaviest = tl.full([BLOCK], -1, tl.int64) ^ NO_KEY  # the smallest int64
    level = 0
    offset = tl.zeros([], tl.int64)
    while (level < levels) & (tl.max(apart.to(tl.int32), axis=0) > 0):
        a = tl.load(labels + offset + first, mask=apart, other=0)
        b = tl.load(labels + offset + second, mask=apart, other=0)
        apart = apart & (a != b)
        key_a = tl.load(keys + offset + a, mask=apart, other=heaviest)
        key_b = tl.load(keys + offset + b, mask=apart, other=heaviest)
        heaviest = tl.maximum(heaviest, tl.maximum(key_a, key_b))
        apart = apart & (heaviest != NO_KEY)  # a component that no edge leaves: there is no path
        offset += num_nodes
        level += 1
    # Those still apart after the last round must meet in the labels that it left.
    a = tl.load(labels + offset + first, mask=apart, other=0)
    b = tl.load(labels + offset + second, mask=apart, other=0)
    found = asked & (a == b) & (heaviest != NO_KEY)
    tl.store(limits + index, tl.where(found, heaviest & EDGE_BITS, -1), mask=inside)


@triton.jit
def _minimax_kernel(parents, choices, mst_edges, pairs, limits, num_nodes, num_pairs, BLOCK: tl.constexpr):
    """Both nodes walk up the forest of `BoruvkaTree`; at its last level every component is its own parent."""
    index = tl.program_id(0).to(tl.int64) * BLOCK + tl.arange(0, BLOCK)
    inside = index < num_pairs
    a, b = load_pairs(pairs, index, inside)
    climbing = both_within(a, b, num_nodes) & (a != b)
    heaviest = tl.full([BLOCK], -1, tl.int64)
    while tl.max(climbing.to(tl.int32), axis=0) > 0:
        choice_a = tl.load(choices + a, mask=climbing, other=-1)
        choice_b = tl.load(choices + b, mask=climbing, other=-1)
        above_a = tl.load(parents + a, mask=climbing, other=0)
        above_b = tl.load(parents + b, mask=climbing, other=0)
        heaviest = tl.maximum(heaviest, tl.maximum(choice_a, choice_b))
        at_top = climbing & (above_a == a)
        heaviest = tl.where(at_top, -1, heaviest)
        a = tl.where(climbing, above_a, a)
        b = tl.where(climbing, above_b, b)
        climbing = climbing & ~at_top & (a != b)
    found = tl.load(mst_edges + heaviest, mask=inside & (heaviest >= 0), other=-1)
    tl.store(limits + index, found, mask=inside)
