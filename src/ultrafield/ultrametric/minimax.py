"""The edge that limits the best path between two nodes."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ..errors import check_shape

if TYPE_CHECKING:
    from torch import Tensor

    from .boruvka import BoruvkaTree


def minimax(tree: BoruvkaTree, pairs: Tensor, *, check: bool = True) -> Tensor:
    """Edge that limits the best path between two nodes: the heaviest one on their path in the spanning forest.

    King's property: along the forest of Borůvka's rounds, the heaviest chosen edge between two nodes and their first
    common component is exactly the heaviest edge of their path in the minimum spanning tree. A batch thus takes at
    most log2 n gathers; answer all pairs of a step (positives and negatives) in one call.

    Args:
        tree: Rounds of Borůvka's algorithm on a graph of n nodes, from `boruvka`.
        pairs: Node indices [P, 2], int64, on the device of `tree`.
        check: Whether the indices' range is checked, which on CUDA waits for the device.

    Returns:
        Edge indices [P], int64; -1 where a node is paired with itself or no path exists.

    Raises:
        ValueError: The shape or dtype is wrong, the devices differ, or an index is out of range.

    >>> import torch
    >>> from ultrafield.ultrametric import boruvka
    >>> tree = boruvka(4, torch.tensor([[0, 1], [1, 2], [0, 2]]), torch.tensor([0.5, 0.1, 0.9]))
    >>> minimax(tree, torch.tensor([[0, 2], [1, 1], [0, 3]])).tolist()
    [0, -1, -1]

    Source: V. King, "A simpler minimum spanning tree verification algorithm", 1997.
    """
    _check_pairs(tree, pairs, check)
    arrays = (tree.parents, tree.choices, tree.mst_edges, pairs.contiguous())
    if pairs.device.type == "cpu":
        import torch

        from .kernels.minimax_cpu import minimax_cpu

        return torch.from_numpy(minimax_cpu(*(array.numpy() for array in arrays)))
    from .kernels.minimax_torch import minimax_torch

    return minimax_torch(*arrays, tree.num_rounds)


def _check_pairs(tree: BoruvkaTree, pairs: Tensor, check_range: bool) -> None:
    import torch

    check_shape("pairs", pairs, (None, 2))
    if pairs.dtype != torch.int64:
        raise ValueError(f"pairs: expected int64, got {pairs.dtype}")
    if pairs.device != tree.parents.device:
        raise ValueError(f"pairs: expected a tensor on {tree.parents.device}, where the tree is, got {pairs.device}")
    if check_range and len(pairs):
        low, high = pairs.min().item(), pairs.max().item()
        if low < 0 or high >= tree.num_nodes:
            found = low if low < 0 else high
            raise ValueError(f"pairs: expected node indices in [0, {tree.num_nodes}), found {found}")
