"""Bottlenecks of a graph from its edges in one step, on CUDA without any wait for the device."""

from __future__ import annotations

from typing import TYPE_CHECKING

from .boruvka import boruvka, check_graph, check_graph_values, rounds_needed
from .minimax import check_pair_values, check_pairs, minimax

if TYPE_CHECKING:
    from torch import Tensor


def bottlenecks(
    num_nodes: int, edges: Tensor, weights: Tensor, pairs: Tensor, *, rounds: int | None = None, check: bool = True
) -> Tensor:
    """Edge that limits the best path between two nodes, as `minimax(boruvka(...), pairs)` finds it.

    The tree is not kept, and so all shapes are known beforehand: without `check`, a call on CUDA tensors can be
    captured in a CUDA graph. Edges and pairs with an index of -1 are padding.

    Args:
        num_nodes: Number of nodes n ≥ 0.
        edges: Node indices [E, 2], int64, in either direction; those with a negative index are ignored.
        weights: Edge weights [E], floating point, on the device of `edges`; ties go to the smaller edge index.
        pairs: Node indices [P, 2], int64, on the device of `edges`.
        rounds: Rounds of Borůvka's algorithm on CUDA, where superfluous ones are launched but do nothing; ⌊log₂ m⌋
            for the m nodes of the largest connected part, by default for all n. Pairs that fewer do not join count as
            pairs without a path.
        check: Whether the values are checked on CUDA too, which waits for the device. If not, indices out of range
            count as padding, self-loops are ignored and NaN weights are taken as infinite.

    Returns:
        Edge indices [P], int64; -1 for padding, for a node paired with itself, and where no path exists.

    Raises:
        ValueError: A shape or dtype is wrong, the devices differ, an index other than a negative one is out of range,
            an edge joins a node with itself, a weight is NaN, or `rounds` is negative.

    >>> import torch
    >>> edges = torch.tensor([[0, 1], [-1, -1], [1, 2], [0, 2]])
    >>> bottlenecks(3, edges, torch.tensor([0.5, 0.0, 0.1, 0.9]), torch.tensor([[0, 2], [1, 1], [-1, 0]])).tolist()
    [0, -1, -1]

    Nothing here is differentiable: compute on the ends of the edges found.
    """
    check_graph(num_nodes, edges, weights)
    check_pairs(edges.device, pairs)
    if rounds is not None and rounds < 0:
        raise ValueError(f"rounds: expected at least 0, got {rounds}")
    if not edges.is_cuda:
        return _bottlenecks_of_tree(num_nodes, edges, weights, pairs)
    if check:
        real, asked = _real_rows(edges), _real_rows(pairs)
        check_graph_values(num_nodes, _at(edges, real), _at(weights, real))
        check_pair_values(num_nodes, _at(pairs, asked))
    from .kernels.minimax_gpu import bottlenecks_gpu

    most = rounds_needed(num_nodes)
    return bottlenecks_gpu(num_nodes, edges, weights.detach(), pairs, most if rounds is None else min(rounds, most))


def _bottlenecks_of_tree(num_nodes: int, edges: Tensor, weights: Tensor, pairs: Tensor) -> Tensor:
    """`bottlenecks` by way of the tree of the edges that are not padding."""
    import torch

    real, asked = _real_rows(edges), _real_rows(pairs)
    limits = minimax(boruvka(num_nodes, _at(edges, real), _at(weights, real)), _at(pairs, asked))
    if real is not None:
        limits = torch.cat([real, real.new_full((1,), -1)])[limits]  # the last is what -1 points to
    return limits if asked is None else torch.full_like(pairs[:, 0], -1).index_copy(0, asked, limits)


def _real_rows(indices: Tensor) -> Tensor | None:
    """Rows of [K, 2] that are not padding, int64; None if all are real."""
    if len(indices) == 0 or indices.min() >= 0:
        return None
    return (indices >= 0).all(1).nonzero()[:, 0]


def _at(values: Tensor, rows: Tensor | None) -> Tensor:
    """Some rows of a tensor; None for all."""
    return values if rows is None else values[rows]
