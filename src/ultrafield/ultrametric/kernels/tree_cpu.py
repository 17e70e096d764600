"""Passes over merge trees on the CPU; children have smaller ids than their parents."""

from __future__ import annotations

import numpy as np
from numba import njit


@njit(cache=True, nogil=True)
def leaf_counts(parents, num_leaves):
    """Leaves below each node; roots are their own parent or have none (-1)."""
    counts = np.zeros(len(parents), np.int64)
    counts[:num_leaves] = 1
    for node in range(len(parents)):
        if parents[node] > node:
            counts[parents[node]] += counts[node]
    return counts


@njit(cache=True, nogil=True)
def below_split(parents, split, num_leaves):
    """The highest node above each leaf that is neither `split` nor above a split one; leaves are never split.

    With a node all its ancestors must be split. The root's own flag says whether it is.
    """
    # Ids of trees that fit into memory fit into 32 bits; half the traffic of 64.
    top = np.empty(len(parents), np.int32)
    for node in range(len(parents) - 1, -1, -1):
        parent = parents[node]
        top[node] = node if split[parent] or parent == node else top[parent]
    return top[:num_leaves].astype(np.int64)


@njit(cache=True, nogil=True)
def below(parents, root, num_leaves):
    """Which leaves lie below node `root` [n] bool."""
    inside = np.zeros(len(parents), np.bool_)
    inside[root] = True
    for node in range(root - 1, -1, -1):
        inside[node] = inside[parents[node]]
    return inside[:num_leaves].copy()


@njit(cache=True, nogil=True)
def chain_heads(parents, sizes):
    """Top node of each node's heavy chain (the path that always descends to the larger child) [2n − 1]."""
    heavy = np.full(len(parents), -1, np.int64)
    for node in range(len(parents) - 1):
        parent = parents[node]
        if heavy[parent] < 0 or sizes[node] > sizes[heavy[parent]]:
            heavy[parent] = node
    heads = np.arange(len(parents))
    for node in range(len(parents) - 2, -1, -1):
        if heavy[parents[node]] == node:
            heads[node] = heads[parents[node]]
    return heads


@njit(cache=True, nogil=True)
def common_ancestors(parents, heads, pairs):
    """Lowest common ancestor of each pair [P]; at most log2 n chains are climbed per pair.

    The chain whose head has the smaller id can be left at once: were the answer on it, the other node would lie below
    the answer on another chain, and its head would have the smaller id.
    """
    answers = np.empty(len(pairs), np.int64)
    for index in range(len(pairs)):
        a, b = pairs[index, 0], pairs[index, 1]
        while heads[a] != heads[b]:
            if heads[a] < heads[b]:
                a = parents[heads[a]]
            else:
                b = parents[heads[b]]
        answers[index] = max(a, b)
    return answers


@njit(cache=True, nogil=True)
def condense_cpu(parents, heights, sizes, children, min_size):
    """Clusters of at least `min_size` leaves; see `condense` for what is returned."""
    num_leaves = len(sizes) - len(children)
    cluster = np.zeros(len(parents), np.int64)
    left = np.zeros(len(parents), np.bool_)  # whether the node has already left its cluster
    nodes = [len(parents) - 1]
    parent = [-1]
    birth = [np.float64(heights[-1])]
    death = [np.float64(heights[-1])]
    stability = [0.0]
    for node in range(len(parents) - 1, -1, -1):
        own = cluster[node]
        if node < num_leaves:
            if not left[node]:  # a cluster that narrowed down to one leaf, so `min_size` is 1
                birth[own] = 0.0
                stability[own] += death[own]
            continue
        a, b = children[node - num_leaves, 0], children[node - num_leaves, 1]
        cluster[a] = cluster[b] = own
        if left[node]:
            left[a] = left[b] = True
            continue
        height = np.float64(heights[node])
        large_a, large_b = sizes[a] >= min_size, sizes[b] >= min_size
        if large_a != large_b:
            small = b if large_a else a
            left[small] = True
            stability[own] += sizes[small] * (death[own] - height)
            continue
        birth[own] = height
        stability[own] += sizes[node] * (death[own] - height)
        if not large_a:
            left[a] = left[b] = True
            continue
        for child in (a, b):
            cluster[child] = len(nodes)
            nodes.append(child)
            parent.append(own)
            birth.append(height)
            death.append(height)
            stability.append(0.0)
    return (
        np.array(nodes),
        np.array(parent),
        np.array(birth),
        np.array(death),
        np.array(stability),
        cluster[:num_leaves].copy(),
    )
