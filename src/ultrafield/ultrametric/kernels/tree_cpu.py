"""Passes over merge trees on the CPU; children have smaller ids than their parents.

Where they are asked most, NumPy makes the arrays: on huge pages, as in `matching_cpu`.
"""

from __future__ import annotations

import numpy as np

from ...kernels.compile import compiled


def leaf_counts(parents: np.ndarray, num_leaves: int) -> np.ndarray:
    """Leaves below each node [2n − 1], int64; roots are their own parent or have none (-1)."""
    return sums_below(parents, np.ones(num_leaves, np.int64))


def sums_below(parents: np.ndarray, values: np.ndarray) -> np.ndarray:
    """Sum over the leaves below each node of whole numbers that they have [n]; [2n − 1], int64."""
    sums = np.zeros(len(parents), np.int64)
    sums[: len(values)] = values
    _add_to_parents(parents, sums)
    return sums


@compiled()
def _add_to_parents(parents, counts):
    for node in range(len(parents)):
        if parents[node] > node:
            counts[parents[node]] += counts[node]


def below_split(parents: np.ndarray, split: np.ndarray, num_leaves: int) -> np.ndarray:
    """The highest node above each leaf [n], int64, that is neither `split` nor above a split one.

    Leaves are never split. With a node all its ancestors must be split. The root's own flag says whether it is.
    """
    top = np.empty(len(parents), np.int32)  # ids of trees that fit into memory fit into 32 bits
    _inherit(parents, split, top)
    return top[:num_leaves].astype(np.int64)


@compiled()
def _inherit(parents, split, top):
    for node in range(len(parents) - 1, -1, -1):
        parent = parents[node]
        top[node] = node if split[parent] or parent == node else top[parent]


@compiled()
def below(parents, root):
    """Which nodes are `root` or lie below it [root + 1] bool; all of them have smaller ids."""
    inside = np.zeros(root + 1, np.bool_)
    inside[root] = True
    for node in range(root - 1, -1, -1):
        inside[node] = parents[node] <= root and inside[parents[node]]
    return inside


@compiled()
def children_of(parents, num_leaves):
    """The two children of every merge [n − 1, 2], the smaller id first."""
    children = np.full((len(parents) - num_leaves, 2), -1, np.int64)
    for node in range(len(parents) - 1):
        row = parents[node] - num_leaves
        children[row, 0 if children[row, 0] < 0 else 1] = node
    return children


@compiled()
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


@compiled()
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


@compiled()
def condense_cpu(parents, heights, density, sizes, children, min_size):
    """Clusters of at least `min_size` leaves; see `condense` for what is returned.

    `density` [2n − 1] falls as the height grows; stabilities are measured in it.
    """
    num_leaves = len(sizes) - len(children)
    cluster = np.zeros(len(parents), np.int64)
    left = np.zeros(len(parents), np.bool_)  # whether the node has already left its cluster
    nodes = [len(parents) - 1]
    parent = [-1]
    birth = [np.float64(heights[-1])]
    death = [np.float64(heights[-1])]
    thinnest = [density[-1]]  # density at the cluster's death
    stability = [0.0]
    for node in range(len(parents) - 1, -1, -1):
        own = cluster[node]
        if node < num_leaves:
            if not left[node]:  # a cluster that narrowed down to one leaf, so `min_size` is 1
                birth[own] = 0.0
                stability[own] += density[node] - thinnest[own]
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
            stability[own] += sizes[small] * (density[node] - thinnest[own])
            continue
        birth[own] = height
        stability[own] += sizes[node] * (density[node] - thinnest[own])
        if not large_a:
            left[a] = left[b] = True
            continue
        for child in (a, b):
            cluster[child] = len(nodes)
            nodes.append(child)
            parent.append(own)
            birth.append(height)
            death.append(height)
            thinnest.append(density[node])
            stability.append(0.0)
    return (
        np.array(nodes),
        np.array(parent),
        np.array(birth),
        np.array(death),
        np.array(stability),
        cluster[:num_leaves].copy(),
    )


@compiled()
def renumber(parents, heights, alive, num_leaves, num_old):
    """Number the nodes that are alive so that children come before their parents.

    Nodes below `num_old` are visited in the order of their ids, later ones as soon as their children have their
    numbers: what the edits left alone keeps its place.

    Args:
        parents: [K] int64; the root is its own parent.
        heights: [K] float32.
        alive: [K] bool; 2n − 1 of them.
        num_leaves: Number of leaves n.
        num_old: Nodes of the tree before it was edited.

    Returns:
        The new parents and heights [2n − 1], and the old id of every node [2n − 1].
    """
    waiting = np.zeros(len(parents), np.int64)  # children without a number
    waiting[num_leaves:] = 2
    visited = np.arange(len(parents)) >= num_old
    number = np.full(len(parents), -1, np.int64)
    ids = np.empty(2 * num_leaves - 1, np.int64)
    for leaf in range(num_leaves):
        number[leaf] = ids[leaf] = leaf
        if parents[leaf] != leaf:
            waiting[parents[leaf]] -= 1
    following = num_leaves
    for start in range(num_old):
        visited[start] = True
        node = start if start >= num_leaves else parents[start]
        while alive[node] and visited[node] and waiting[node] == 0 and number[node] < 0:
            number[node] = following
            ids[following] = node
            following += 1
            if parents[node] != node:
                node = parents[node]
                waiting[node] -= 1
    return number[parents[ids]], heights[ids], ids


@compiled()
def excess_of_mass(parents, stability):
    """The disjoint clusters [C] bool whose stabilities have the largest sum; on a tie the larger cluster.

    A parent precedes its children. The root, cluster 0, is never chosen.
    """
    inside = np.zeros(len(parents))  # best sum among the clusters inside each one
    chosen = np.zeros(len(parents), np.bool_)
    for cluster in range(len(parents) - 1, 0, -1):
        chosen[cluster] = stability[cluster] >= inside[cluster]
        inside[parents[cluster]] += max(stability[cluster], inside[cluster])
    covered = np.zeros(len(parents), np.bool_)
    for cluster in range(1, len(parents)):
        covered[cluster] = covered[parents[cluster]] or chosen[parents[cluster]]
    return chosen & ~covered


@compiled()
def inherit(parents, label):
    """Each cluster's label, or that of the nearest one above it that has any (is not -1); parents come first."""
    inherited = label.copy()
    for cluster in range(1, len(parents)):
        if inherited[cluster] < 0:
            inherited[cluster] = inherited[parents[cluster]]
    return inherited


@compiled()
def highest_marked(parents, marked):
    """The highest marked node that is or holds each node, or -1 [2n − 1] int32."""
    label = np.full(len(parents), -1, np.int32)
    for node in range(len(parents) - 1, -1, -1):
        above = label[parents[node]] if parents[node] != node else -1
        label[node] = above if above >= 0 or not marked[node] else node
    return label
