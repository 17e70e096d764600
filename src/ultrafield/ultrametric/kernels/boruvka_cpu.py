"""Borůvka's rounds on the CPU."""

from __future__ import annotations

import numpy as np
from numba import njit


def boruvka_cpu(num_nodes: int, edges: np.ndarray, weights: np.ndarray) -> tuple[list[np.ndarray], list[np.ndarray]]:
    """Components and chosen edges of every round.

    Args:
        num_nodes: Number of nodes n.
        edges: Node indices [E, 2], int64, without self-loops.
        weights: Edge weights [E], float32 or float64, without NaN.

    Returns:
        parents: Per round r the component of the next round that each component joins [C_r], int64; C_0 = n.
        chosen: Per round the edge that each component chose [C_r], int64; -1 where no edge leaves it.
    """
    left, right = edges[:, 0].copy(), edges[:, 1].copy()
    ids = np.arange(len(edges), dtype=np.int64)
    components, alive = num_nodes, len(edges)
    parents, chosen = [], []
    while alive:
        parent, choice, following = _round(components, left[:alive], right[:alive], ids[:alive], weights)
        alive = _contract(left, right, ids, alive, parent)
        parents.append(parent)
        chosen.append(choice)
        components = following
    return parents, chosen


@njit(cache=True, nogil=True)
def _round(num_components, left, right, ids, weights):
    """One round: every component chooses its lightest leaving edge, and what the choices join becomes one."""
    choice = np.full(num_components, -1, np.int64)
    toward = np.arange(num_components)
    for position in range(len(ids)):
        edge, a, b = ids[position], left[position], right[position]
        # Edges come in index order, so that `<` alone leaves the smallest index among equal weights.
        if choice[a] < 0 or weights[edge] < weights[choice[a]]:
            choice[a] = edge
            toward[a] = b
        if choice[b] < 0 or weights[edge] < weights[choice[b]]:
            choice[b] = edge
            toward[b] = a
    # In a strict total order the only cycles are two components that chose the same edge: the smaller is the root.
    for component in range(num_components):
        other = toward[component]
        if component < other and choice[other] == choice[component]:
            toward[component] = component
    number = np.empty(num_components, np.int64)
    following = 0
    for component in range(num_components):
        if toward[component] == component:
            number[component] = following
            following += 1
    for component in range(num_components):
        root = component
        while toward[root] != root:
            root = toward[root]
        walker = component
        while toward[walker] != root:  # path compression keeps the whole loop near linear
            toward[walker], walker = root, toward[walker]
    return number[toward], choice, following


@njit(cache=True, nogil=True)
def _contract(left, right, ids, alive, parent):
    """Rename the ends of the first `alive` edges, drop those inside one component, and return how many remain."""
    kept = 0
    for position in range(alive):
        a, b = parent[left[position]], parent[right[position]]
        if a != b:
            left[kept] = a
            right[kept] = b
            ids[kept] = ids[position]
            kept += 1
    return kept
