"""Checks of the arrays of trees and graphs, on which the other kernels rely; one pass on the CPU."""

from __future__ import annotations

import numpy as np

from ...kernels.compile import compiled

# Promises that a node (first line) or an edge (second line) can break.
NONE, PARENT, CHILDREN, HEIGHT, SIZE, ORDER = range(6)
ENDS, LOOP, DISSIMILARITY, EVIDENCE = range(1, 5)


@compiled()
def faulty_node(parents, heights, sizes, below):
    """The first leaf or else the first merge that breaks a promise of `Tree`, and which one: `PARENT` … `ORDER`.

    Args:
        parents, heights, sizes: The tree [2n − 1], int64, float32, int64.
        below: Zeros [n], int32 if they can hold 4n, else int64; overwritten with what the children of each merge
            report to it: 4 × their leaves + their number (3 for more). One array, and a small one, because for
            millions of nodes every look-up misses the cache.

    Returns:
        Node and promise; the promise is `NONE` if all are kept.
    """
    num_leaves, root = (len(parents) + 1) // 2, len(parents) - 1
    first = min(num_leaves, root)  # in a tree of one leaf, the leaf is the root
    for node in range(num_leaves):
        parent = parents[node]
        if parent < first or parent > root:
            return node, PARENT
        if heights[node] != 0:
            return node, HEIGHT
        if sizes[node] != 1:
            return node, SIZE
        _report(below, parent - first, 4)
    for node in range(num_leaves, len(parents)):
        parent, height, reported = parents[node], heights[node], below[node - first]
        if parent < min(node + 1, root) or parent > root:
            return node, PARENT
        if reported & 3 != 2:
            return node, CHILDREN
        if not 0 <= height < np.inf:  # true for NaN
            return node, HEIGHT
        if sizes[node] != reported >> 2:
            return node, SIZE
        if height > heights[parent]:
            return node, ORDER
        _report(below, parent - first, reported - 2)
    return -1, NONE


@compiled(inline="always")
def _report(below, merge, leaves):
    """Add one child, and 4 × its leaves, to the report of a merge."""
    total = below[merge] + leaves
    below[merge] = total + 1 if total & 3 < 3 else total


@compiled()
def faulty_edge(edges, dissimilarity, evidence, num_nodes, limit):
    """The first edge that breaks a promise of `AffinityGraph`, and which one: `ENDS` … `EVIDENCE`.

    Args:
        edges, dissimilarity, evidence: The graph's arrays.
        num_nodes: Number of nodes.
        limit: The largest dissimilarity that is let pass.

    Returns:
        Edge and promise; the promise is `NONE` if all are kept.
    """
    for edge in range(len(edges)):
        a, b = edges[edge, 0], edges[edge, 1]
        if min(a, b) < 0 or max(a, b) >= num_nodes:
            return edge, ENDS
        if a == b:
            return edge, LOOP
        if not 0 <= dissimilarity[edge] <= limit:  # true for NaN
            return edge, DISSIMILARITY
        if not 0 <= evidence[edge] < np.inf:
            return edge, EVIDENCE
    return -1, NONE
