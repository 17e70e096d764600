"""Borůvka's rounds on the GPU: a fixed number of launches, tables of fixed shape, and no wait for the device.

A component is named by one of its nodes, its *root*, so that all tables have one column per node and nothing is ever
compacted. What programs of one launch read of each other is either a minimum that only falls (`_choose_kernel`) or a
pointer that only moves towards its root (`_join_kernel`): old values cost time, never the result.
"""

from __future__ import annotations

from typing import NamedTuple

import torch
import triton
import triton.language as tl
from torch import Tensor

from .pairs_gpu import both_within, load_pairs

NO_KEY = tl.constexpr(0x7FFFFFFFFFFFFFFF)
EDGE_BITS = tl.constexpr(0xFFFFFFFF)


class Rounds(NamedTuple):
    """T rounds of Borůvka's algorithm on n nodes, with one column per node.

    Attributes:
        labels: Root of each node's component before every round and after the last [T + 1, n], int32. The root's own
            column thus tells which component of the next level it joins.
        keys: Key of the edge that each component chose, in its root's column [T, n], int64: the weight's order in the
            upper 32 bits, the edge's index in the lower; the largest int64 where no edge leaves it and in all columns
            that are not a root's.
        alive: Whether edges between components were left before each round, as far as known then [T + 1], int32: the
            first entry is 1, and round r did something exactly if entry r + 1 is 1.
    """

    labels: Tensor
    keys: Tensor
    alive: Tensor


def boruvka_rounds_gpu(num_nodes: int, edges: Tensor, weights: Tensor, rounds: int) -> Rounds:
    """Borůvka's rounds under the order (weight, edge index), without a wait for the device.

    Args:
        num_nodes: Number of nodes n, below 2³¹.
        edges: Node indices [E, 2], int64, E < 2³². Edges with an index outside [0, n), and self-loops, are ignored.
        weights: Weights [E], float32, where NaN counts as +inf; or their ranks, int32.
        rounds: Number of rounds T, at least `rounds_needed` of the largest connected part.

    Returns:
        The rounds; two launches for each, of which those after the last edge between components return at once.
    """
    edges, weights = edges.contiguous(), weights.contiguous()
    labels = torch.empty(rounds + 1, num_nodes, dtype=torch.int32, device=edges.device)
    keys = torch.empty(rounds, num_nodes, dtype=torch.int64, device=edges.device)
    alive = torch.empty(rounds + 1, dtype=torch.int32, device=edges.device)
    toward = torch.empty(num_nodes, dtype=torch.int32, device=edges.device)
    # One edge per thread keeps every value where it was loaded; one warp per program ends its loop without a barrier.
    tables, edge_block, node_block = (labels, keys, toward, alive), 128, 64
    _start_kernel[(max(triton.cdiv(num_nodes, 1024), 1),)](
        labels, keys, alive, num_nodes, rounds, LEVELS=triton.next_power_of_2(rounds + 1), BLOCK=1024
    )
    if num_nodes == 0:
        return Rounds(labels, keys, alive)
    edge_grid = (triton.cdiv(max(len(edges), num_nodes), edge_block),)
    node_grid = (triton.cdiv(num_nodes, node_block),)
    for level in range(rounds):
        _choose_kernel[edge_grid](edges, weights, *tables, num_nodes, len(edges), level, BLOCK=edge_block, num_warps=4)
        _join_kernel[node_grid](edges, *tables, num_nodes, level, rounds, BLOCK=node_block, num_warps=1)
    return Rounds(labels, keys, alive)


def boruvka_gpu(num_nodes: int, edges: Tensor, weights: Tensor, rounds: int) -> tuple[list[Tensor], list[Tensor]]:
    """Components and chosen edges of every round as `boruvka_cpu` returns them; this waits for the device."""
    labels, keys, alive = boruvka_rounds_gpu(num_nodes, edges, sortable(weights), rounds)
    parents, chosen = [], []
    own = torch.arange(num_nodes, device=edges.device)
    for level in range(int(alive.sum()) - 1):
        # Both here and on the CPU the smaller of two is the root: ascending roots are ascending component numbers.
        roots = (labels[level] == own).nonzero()[:, 0]
        number = (labels[level + 1] == own).cumsum(0) - 1
        parents.append(number[labels[level + 1][roots].long()])
        key = keys[level][roots]
        chosen.append(torch.where(key == NO_KEY.value, -1, key & EDGE_BITS.value))
    return parents, chosen


def sortable(weights: Tensor) -> Tensor:
    """Weights that fit the keys: float32 as they are, float64 as int32 ranks under (weight, edge index)."""
    if weights.dtype != torch.float64:
        return weights.float()
    order = torch.sort(weights, stable=True).indices
    ranks = torch.arange(len(weights), dtype=torch.int32, device=weights.device)
    return torch.empty_like(ranks).scatter_(0, order, ranks)


@triton.jit
def _start_kernel(labels, keys, alive, num_nodes, rounds, LEVELS: tl.constexpr, BLOCK: tl.constexpr):
    """Every node is its own component, none has chosen, and the first round is to be tried."""
    node = tl.program_id(0) * BLOCK + tl.arange(0, BLOCK)
    inside = node < num_nodes
    tl.store(labels + node, node, mask=inside)
    if rounds > 0:
        tl.store(keys + node, tl.full([BLOCK], NO_KEY, tl.int64), mask=inside)
    if tl.program_id(0) == 0:
        level = tl.arange(0, LEVELS)
        tl.store(alive + level, (level == 0).to(tl.int32), mask=level <= rounds)


@triton.jit
def _order_bits(weight):
    """int32 that sorts as the weights do; int32 ranks are taken as they are."""
    if weight.dtype == tl.float32:
        weight = tl.where(weight != weight, float("inf"), weight)
        bits = tl.where(weight == 0.0, 0.0, weight).to(tl.int32, bitcast=True)  # -0.0 and 0.0 are equal
        bits ^= (bits >> 31) & 0x7FFFFFFF
    else:
        bits = weight
    return bits


@triton.jit(do_not_specialize=["level"])
def _choose_kernel(edges, weights, labels, keys, toward, alive, num_nodes, num_edges, level, BLOCK: tl.constexpr):
    """Every component takes the least key among the edges that leave it; `toward` is emptied for `_join_kernel`.

    The keys only fall during this launch, so that an old one read before the atomic makes it superfluous at worst.
    """
    index = tl.program_id(0).to(tl.int64) * BLOCK + tl.arange(0, BLOCK)
    if tl.load(alive + level) == 0:
        return
    tl.store(toward + index, tl.full([BLOCK], -1, tl.int32), mask=index < num_nodes)
    offset = level.to(tl.int64) * num_nodes
    first, second = load_pairs(edges, index, index < num_edges)
    inside = both_within(first, second, num_nodes)
    a = tl.load(labels + offset + first, mask=inside, other=0)
    b = tl.load(labels + offset + second, mask=inside, other=0)
    leaving = inside & (a != b)
    order = _order_bits(tl.load(weights + index, mask=leaving, other=0))
    key = (order.to(tl.int64) << 32) | index
    best_a, best_b = keys + offset + a, keys + offset + b
    lower_a = leaving & (key < tl.load(best_a, mask=leaving, other=0, volatile=True))
    lower_b = leaving & (key < tl.load(best_b, mask=leaving, other=0, volatile=True))
    tl.atomic_min(best_a, key, mask=lower_a, sem="relaxed")
    tl.atomic_min(best_b, key, mask=lower_b, sem="relaxed")
    tl.atomic_or(alive + level + 1, 1, mask=tl.max(leaving.to(tl.int32), axis=0) > 0, sem="relaxed")


@triton.jit
def _hook(component, mask, edges, labels, keys):
    """The component across the chosen edge; itself for a root: nothing chosen, or the smaller of two that chose alike.

    In a strict total order the only cycles are two components with the same choice. All that is read here was written
    by earlier launches.
    """
    key = tl.load(keys + component, mask=mask, other=NO_KEY)
    chosen = key != NO_KEY
    first, second = load_pairs(edges, key & EDGE_BITS, chosen)
    a = tl.load(labels + first, mask=chosen, other=0)
    b = tl.load(labels + second, mask=chosen, other=0)
    across = tl.where(chosen, a + b - component, component)
    back = tl.load(keys + across, mask=chosen, other=NO_KEY)
    return tl.where((back == key) & (component < across), component, across)


@triton.jit(do_not_specialize=["level"])
def _join_kernel(edges, labels, keys, toward, alive, num_nodes, level, rounds, BLOCK: tl.constexpr):
    """Every node follows its component's choices to the root, the component of the next level.

    A root's program publishes how far it has come in `toward`, where others take a short cut; a component that has
    published nothing yet (-1) is hooked on the spot. No program waits for another: whatever it reads is an ancestor.
    """
    node = tl.program_id(0) * BLOCK + tl.arange(0, BLOCK)
    inside = node < num_nodes
    offset = level.to(tl.int64) * num_nodes
    labels += offset
    keys += offset
    if level + 1 < rounds:
        tl.store(keys + num_nodes + node, tl.full([BLOCK], NO_KEY, tl.int64), mask=inside)
    own = tl.load(labels + node, mask=inside, other=0)
    if tl.load(alive + level + 1) == 0:
        tl.store(labels + num_nodes + node, own, mask=inside)
        return
    publishing = inside & (own == node)
    root = own
    moving = inside
    while tl.max(moving.to(tl.int32), axis=0) > 0:
        ahead = tl.load(toward + root, mask=moving, other=0, volatile=True)
        ahead = tl.where(ahead < 0, _hook(root, moving & (ahead < 0), edges, labels, keys), ahead)
        tl.atomic_xchg(toward + node, ahead, mask=publishing & moving, sem="relaxed")
        moving = moving & (ahead != root)
        root = tl.where(moving, ahead, root)
    tl.store(labels + num_nodes + node, root, mask=inside)
