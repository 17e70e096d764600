"""The edge that limits the best path between two nodes."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ..errors import check_shape

if TYPE_CHECKING:
    import torch
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
    check_pairs(tree.parents.device, pairs)
    if check:
        check_pair_values(tree.num_nodes, pairs)
    arrays = (tree.parents, tree.choices, tree.mst_edges, pairs.contiguous())
    if pairs.device.type == "cpu":
        import torch

        from .kernels.minimax_cpu import minimax_cpu

        return torch.from_numpy(minimax_cpu(*(array.numpy() for array in arrays)))
    if pairs.is_cuda:
        from .kernels.minimax_gpu import minimax_gpu

        return minimax_gpu(*arrays, tree.num_nodes)
    from .kernels.minimax_torch import minimax_torch

    return minimax_torch(*arrays, tree.num_rounds)


def check_pairs(device: torch.device, pairs: Tensor) -> None:
    """Check shape, dtype and device of pairs, for which no value is read."""
    import torch

    check_shape("pairs", pairs, (None, 2))
    if pairs.dtype != torch.int64:
        raise ValueError(f"pairs: expected int64, got {pairs.dtype}")
    if pairs.device != device:
        raise ValueError(f"pairs: expected a tensor on {device}, where the tree is, got {pairs.device}")


def check_pair_values(num_nodes: int, pairs: Tensor) -> None:
    """Check the range of the indices, which on CUDA waits for the device."""
    if len(pairs):
        low, high = (bound.item() for bound in pairs.aminmax())
        if low < 0 or high >= num_nodes:
            raise ValueError(f"pairs: expected node indices in [0, {num_nodes}), got {low if low < 0 else high}")
