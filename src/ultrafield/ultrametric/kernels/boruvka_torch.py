"""Borůvka's rounds in plain PyTorch, on any device: scatter-reductions, no loop over nodes."""

from __future__ import annotations

import torch
from torch import Tensor


def boruvka_torch(num_nodes: int, edges: Tensor, weights: Tensor) -> tuple[list[Tensor], list[Tensor]]:
    """Components and chosen edges of every round, as `boruvka_cpu` returns them."""
    order = torch.sort(weights, stable=True).indices  # rank → edge; ranks are the strict total order
    none = len(edges)
    rank = torch.arange(none, device=edges.device)  # of the edges that are left, ascending
    left, right = edges[order].unbind(1)  # components of their ends
    components = num_nodes
    parents, chosen = [], []
    while len(rank):
        lightest = torch.full((components,), none, device=edges.device)
        lightest.scatter_reduce_(0, torch.cat([left, right]), torch.cat([rank, rank]), "amin")
        parent, following = _join(lightest, rank, left, right, none)
        parents.append(parent)
        chosen.append(torch.where(lightest < none, order[lightest.clamp(max=none - 1)], -1))
        components = following
        left, right = parent[left], parent[right]
        apart = left != right
        left, right, rank = left[apart], right[apart], rank[apart]
    return parents, chosen


def _join(lightest: Tensor, rank: Tensor, left: Tensor, right: Tensor, none: int) -> tuple[Tensor, int]:
    """Number the groups that the chosen edges make of the components, and count them."""
    own = torch.arange(len(lightest), device=lightest.device)
    position = torch.searchsorted(rank, lightest).clamp_(max=len(rank) - 1)
    toward = torch.where(lightest < none, left[position] + right[position] - own, own)
    # Two components that chose the same edge form the only kind of cycle: the smaller is the root.
    toward = torch.where((lightest[toward] == lightest) & (own < toward), own, toward)
    for _ in range(len(lightest).bit_length()):  # each pass doubles the reach
        toward = toward[toward]
    number = torch.cumsum(toward == own, 0) - 1
    return number[toward], int(number[-1]) + 1
