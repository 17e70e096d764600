"""The minimum spanning forest of a graph on the GPU, in the order in which single linkage takes its edges."""

from __future__ import annotations

import torch
from torch import Tensor

from .boruvka_gpu import EDGE_BITS, NO_KEY, boruvka_rounds_gpu, sortable


def sorted_forest_gpu(num_nodes: int, edges: Tensor, weights: Tensor, rounds: int) -> tuple[Tensor, Tensor]:
    """Edges of the spanning forest under the order (weight, smaller end, larger end), in that order.

    Memory beside the arguments: at most about 50 bytes an edge, 80 if they are not in order, and 12 a node and round.

    Args:
        num_nodes: Number of nodes n, below 2³¹.
        edges: Node indices [E, 2], int64, in either direction and any order, without self-loops; E < 2³¹.
        weights: Edge weights [E], float32 or float64, at least 0.
        rounds: Rounds of Borůvka's algorithm, at least `rounds_needed` of the largest connected part.

    Returns:
        Ends of the chosen edges [F, 2], int32, the smaller one first; and their weights [F].
    """
    weights = weights + 0.0  # turns -0.0 into 0.0, which radix sorts would tell apart
    edges, weights = _in_order(num_nodes, edges, weights)
    keys = boruvka_rounds_gpu(num_nodes, edges, sortable(weights), rounds).keys
    taken = torch.zeros(len(edges) + 1, dtype=torch.bool, device=edges.device)
    for chosen in keys:
        taken[torch.where(chosen == NO_KEY.value, len(edges), chosen & EDGE_BITS.value)] = True  # the spare last place
    forest = taken[:-1].nonzero()[:, 0]
    weights, order = torch.sort(weights[forest], stable=True)
    return edges[forest[order]].int(), weights


def _in_order(num_nodes: int, edges: Tensor, weights: Tensor) -> tuple[Tensor, Tensor]:
    """Edges by (smaller end, larger end, weight), the smaller end first; most graphs come like that."""
    first, second = edges.unbind(1)
    edges = torch.stack([torch.minimum(first, second), torch.maximum(first, second)], dim=1)
    keys = edges[:, 0] * num_nodes + edges[:, 1]
    if (keys[1:] > keys[:-1]).all():
        return edges, weights
    by_weight = torch.sort(weights, stable=True).indices
    order = by_weight[torch.sort(keys[by_weight], stable=True).indices]
    return edges[order], weights[order]
