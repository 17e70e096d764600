"""Minimum spanning forests by Borůvka's rounds, kept as the tree that answers bottleneck queries."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from ..errors import check_shape

if TYPE_CHECKING:
    from torch import Tensor


@dataclass(frozen=True, eq=False, repr=False)
class BoruvkaTree:
    """Borůvka's rounds on a graph of n nodes, as one forest numbered level by level.

    Level 0 holds the n nodes, level r the components after r rounds; a component that no edge leaves any more is
    carried along unchanged. All T = Σ C_r nodes of this forest have one numbering: level r begins at `starts[r]`.

    Attributes:
        starts: First id of every level, then T (rounds + 2 numbers); level r is `starts[r] : starts[r + 1]`.
        parents: The component of the next level that each one joins [T], int64; itself at the last level.
        choices: The edge each component chose, as a position in `mst_edges` [T], int64; -1 where none leaves it and
            at the last level.
        mst_edges: Edges of the minimum spanning forest [F], int64, ascending by (weight, edge index).
    """

    starts: tuple[int, ...]
    parents: Tensor
    choices: Tensor
    mst_edges: Tensor

    @property
    def num_nodes(self) -> int:
        """Number of nodes n of the graph."""
        return self.starts[1]

    @property
    def num_rounds(self) -> int:
        """Number of rounds, at most log2 n."""
        return len(self.starts) - 2

    @property
    def num_components(self) -> int:
        """Connected components of the graph."""
        return self.starts[-1] - self.starts[-2]

    def __repr__(self) -> str:
        return f"BoruvkaTree(nodes={self.num_nodes}, rounds={self.num_rounds}, components={self.num_components})"


def boruvka(num_nodes: int, edges: Tensor, weights: Tensor) -> BoruvkaTree:
    """Minimum spanning forest under the strict total order (weight, edge index).

    The order makes the forest unique: every backend returns the same arrays bit for bit. Parallel edges are welcome,
    and so are disconnected graphs; many small graphs at once are one graph whose nodes are numbered through.

    Args:
        num_nodes: Number of nodes n ≥ 0.
        edges: Node indices [E, 2], int64, in either direction.
        weights: Edge weights [E], floating point, on the device of `edges`; infinities are allowed.

    Returns:
        The rounds, on the device of `edges`. CPU tensors run through numba, CUDA tensors through Triton, others
        through plain PyTorch.

    Raises:
        ValueError: A shape or dtype is wrong, a node index is out of range, an edge joins a node with itself, or a
            weight is NaN. On CUDA the check waits for the device, and so do the sizes of the levels; `bottlenecks`
            does without either.

    Nothing here is differentiable: select the edges, then compute on their ends.

    >>> import torch
    >>> tree = boruvka(3, torch.tensor([[0, 1], [1, 2], [0, 2]]), torch.tensor([0.5, 0.1, 0.9]))
    >>> tree.mst_edges.tolist()
    [1, 0]

    Source: O. Borůvka, "O jistém problému minimálním", 1926.
    """
    check_graph(num_nodes, edges, weights)
    check_graph_values(num_nodes, edges, weights)
    weights = _sortable(weights)
    parents, chosen = _rounds(num_nodes, edges, weights)
    return _assemble(num_nodes, weights, parents, chosen)


def rounds_needed(num_nodes: int) -> int:
    """Rounds that suffice for connected parts of n nodes: ⌊log₂ n⌋, as each round at least doubles every component."""
    return max(num_nodes, 1).bit_length() - 1


def check_graph(num_nodes: int, edges: Tensor, weights: Tensor) -> None:
    """Check shapes, dtypes and devices of a graph, for which no value is read."""
    import torch

    check_shape("edges", edges, (None, 2))
    check_shape("weights", weights, (len(edges),))
    if edges.device != weights.device:
        raise ValueError(f"weights: expected a tensor on {edges.device}, where the edges are, got {weights.device}")
    if edges.dtype != torch.int64:
        raise ValueError(f"edges: expected int64, got {edges.dtype}")
    if not weights.is_floating_point():
        raise ValueError(f"weights: expected a floating-point dtype, got {weights.dtype}")
    if num_nodes < 0:
        raise ValueError(f"num_nodes: expected at least 0, got {num_nodes}")


def check_graph_values(num_nodes: int, edges: Tensor, weights: Tensor) -> None:
    """Check the indices and the weights, which on CUDA waits for the device."""
    if len(edges):
        low, high = (bound.item() for bound in edges.aminmax())
        if low < 0 or high >= num_nodes:
            raise ValueError(f"edges: expected node indices in [0, {num_nodes}), got {low if low < 0 else high}")
        loop = edges[:, 0] == edges[:, 1]
        if loop.any():
            raise ValueError(f"edges: edge {loop.nonzero()[0].item()} joins a node with itself")
        nan = weights.isnan()
        if nan.any():
            raise ValueError(f"weights: the weight of edge {nan.nonzero()[0].item()} is NaN")


def _sortable(weights: Tensor) -> Tensor:
    """Weights, detached, in a precision that every backend sorts alike."""
    import torch

    wide = weights.detach() if weights.dtype == torch.float64 else weights.detach().float()
    return wide + 0.0  # turns -0.0 into 0.0, which radix sorts would tell apart


def _rounds(num_nodes: int, edges: Tensor, weights: Tensor) -> tuple[list[Tensor], list[Tensor]]:
    """Per round the component of the next one that each joins, and the edge it chose (-1 for none)."""
    if edges.device.type == "cpu":
        import torch

        from .kernels.boruvka_cpu import boruvka_cpu

        parents, chosen = boruvka_cpu(num_nodes, edges.numpy(), weights.numpy())
        return [torch.from_numpy(parent) for parent in parents], [torch.from_numpy(choice) for choice in chosen]
    if edges.is_cuda:
        from .kernels.boruvka_gpu import boruvka_gpu

        return boruvka_gpu(num_nodes, edges, weights, rounds_needed(num_nodes))
    from .kernels.boruvka_torch import boruvka_torch

    return boruvka_torch(num_nodes, edges, weights)


def _assemble(num_nodes: int, weights: Tensor, parents: list[Tensor], chosen: list[Tensor]) -> BoruvkaTree:
    """Number all levels through and express the chosen edges as positions in the sorted spanning forest."""
    import torch

    device = weights.device
    last = int(parents[-1].max()) + 1 if parents else num_nodes
    sizes = [len(parent) for parent in parents] + [last]
    starts = [0]
    for size in sizes:
        starts.append(starts[-1] + size)
    top = torch.arange(starts[-2], starts[-1], device=device)
    flat_parents = torch.cat([parent + start for parent, start in zip(parents, starts[1:], strict=False)] + [top])
    flat_chosen = torch.cat([*chosen, torch.full_like(top, -1)])

    taken = torch.zeros(len(weights) + 1, dtype=torch.bool, device=device)
    taken[flat_chosen] = True  # -1 marks the spare last place
    mst_edges = taken[:-1].nonzero()[:, 0]
    mst_edges = mst_edges[torch.sort(weights[mst_edges], stable=True).indices]
    position = torch.full((len(weights) + 1,), -1, device=device)
    position[mst_edges] = torch.arange(len(mst_edges), device=device)
    return BoruvkaTree(tuple(starts), flat_parents, position[flat_chosen], mst_edges)
