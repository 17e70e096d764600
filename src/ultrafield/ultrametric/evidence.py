"""Support of each merge of a tree: the edges of the graph across the border that it closed."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from .graph import AffinityGraph
from .nodes import lowest_common_ancestor
from .tree import Tree


@dataclass(frozen=True, eq=False, repr=False)
class MergeEvidence:
    """Support of every merge; row i belongs to node n + i.

    Attributes:
        edges: Edges of the graph between the two regions that were merged [n − 1], int64; 0 where no edge joins them.
        evidence: Summed evidence of those edges [n − 1], float64.
    """

    edges: np.ndarray
    evidence: np.ndarray

    def __repr__(self) -> str:
        return f"MergeEvidence(merges={len(self.edges)}, edges={self.edges.sum()}, evidence={self.evidence.sum():.4g})"


def merge_evidence(tree: Tree, graph: AffinityGraph) -> MergeEvidence:
    """Count the edges, and sum the evidence, across the border between each merge's two regions.

    An edge crosses exactly one of these borders: that of its ends' lowest common ancestor. The tree may come from any
    linkage of the graph, or have been edited.

    Args:
        tree: A merge tree over the nodes of `graph`.
        graph: Nodes and edges with their evidence.

    Returns:
        Counts and sums per merge.

    Raises:
        ValueError: The graph has another number of nodes.

    >>> import numpy as np
    >>> from ultrafield.ultrametric import build_tree
    >>> edges, near = np.array([[0, 1], [1, 2], [0, 2]]), np.array([0.25, 0.5, 0.75], np.float32)
    >>> graph = AffinityGraph(3, edges, near, evidence=np.array([1, 2, 4], np.float32), bound=1.0)
    >>> support = merge_evidence(build_tree(graph), graph)
    >>> support.edges.tolist(), support.evidence.tolist()
    ([1, 2], [1.0, 6.0])
    """
    n = tree.num_leaves
    if graph.num_nodes != n:
        raise ValueError(f"graph: expected the tree's {n} leaves as nodes, got {graph.num_nodes}")
    merge = lowest_common_ancestor(tree, graph.edges) - n
    return MergeEvidence(
        np.bincount(merge, minlength=n - 1), np.bincount(merge, np.asarray(graph.evidence, np.float64), minlength=n - 1)
    )
