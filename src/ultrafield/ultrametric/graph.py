"""A graph with a dissimilarity per edge."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

from .checks import check_graph_arrays, one_float, one_integer, own_floats, own_integers, read_only


@dataclass(frozen=True, eq=False, repr=False, init=False)
class AffinityGraph:
    """Pairs of neighbouring nodes, such as surface points, with a dissimilarity and the evidence for it.

    Lists and arrays of other numeric dtypes are converted. The graph keeps read-only arrays of its own (arrays that are
    read-only already are shared), so what was checked stays true.

    Attributes:
        num_nodes: Number of nodes N ≥ 1.
        edges: Node indices [E, 2] int64 in [0, N), two different ones per edge, in either order. Parallel edges are
            allowed.
        dissimilarity: [E] float32 in [0, bound]; values that exceed the bound by a rounding error (1e-5 of it) are set
            to it.
        evidence: Amount of observations behind each dissimilarity (summed weights, views or pairs) [E] float32,
            finite, at least 0; 0 marks a guess.
        bound: Largest possible dissimilarity (1 for votes, 2 for distances of unit features), finite, at least 0;
            components that no edge joins are joined at this height.
        ultrametric: Whether every dissimilarity is known to be the height at which the two nodes become one, as after
            an agglomeration: every linkage then finds that tree, and the fastest one does.

    Raises:
        ValueError: An array has another shape, or a value breaks a rule above; the text names the array and the
            first edge.
        TypeError: An array does not hold numbers, or `num_nodes` is no integer.

    >>> AffinityGraph(3, [[0, 1], [1, 2]], [0.25, 0.5], [1, 4], bound=1)
    AffinityGraph(nodes=3, edges=2, bound=1)
    """

    num_nodes: int
    edges: np.ndarray
    dissimilarity: np.ndarray
    evidence: np.ndarray
    bound: float
    ultrametric: bool

    def __init__(
        self,
        num_nodes: int,
        edges: ArrayLike,
        dissimilarity: ArrayLike,
        evidence: ArrayLike,
        bound: float,
        *,
        ultrametric: bool = False,
    ) -> None:
        num_nodes, bound = one_integer("num_nodes", num_nodes), one_float("bound", bound)
        edges = own_integers("edges", edges)
        edges = edges if edges.size else read_only(np.zeros((0, 2), np.int64))  # an empty list has no second dimension
        dissimilarity, evidence = own_floats("dissimilarity", dissimilarity), own_floats("evidence", evidence)
        check_graph_arrays(num_nodes, edges, dissimilarity, evidence, bound)
        if len(edges) and dissimilarity.max() > bound:
            dissimilarity = read_only(np.minimum(dissimilarity, np.float32(bound)))
        self._set(num_nodes, edges, dissimilarity, evidence, bound, ultrametric)

    @classmethod
    def _trusted(
        cls, num_nodes: int, edges: np.ndarray, dissimilarity: np.ndarray, evidence: np.ndarray, bound: float
    ) -> AffinityGraph:
        """Make a graph of arrays that are right by construction; they become read-only, and nothing is checked."""
        graph = object.__new__(cls)
        graph._set(num_nodes, read_only(edges), read_only(dissimilarity), read_only(evidence), bound, False)
        return graph

    def _set(
        self,
        num_nodes: int,
        edges: np.ndarray,
        dissimilarity: np.ndarray,
        evidence: np.ndarray,
        bound: float,
        ultrametric: bool,
    ) -> None:
        values = {
            "num_nodes": num_nodes,
            "edges": edges,
            "dissimilarity": dissimilarity,
            "evidence": evidence,
            "bound": bound,
            "ultrametric": ultrametric,
        }
        for name, value in values.items():
            object.__setattr__(self, name, value)

    def __repr__(self) -> str:
        return f"AffinityGraph(nodes={self.num_nodes}, edges={len(self.edges)}, bound={self.bound:g})"
