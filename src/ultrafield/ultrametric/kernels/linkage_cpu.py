"""Agglomeration of a graph's nodes, nearest first, on the CPU.

Both kernels return merges as `parents` over n leaves and the merges so far, in merging order, plus each merge's
height; a forest is left open at its roots (their parent is -1).
"""

from __future__ import annotations

import numpy as np
from numba import njit


@njit(cache=True, nogil=True)
def single_linkage(num_nodes, edges, dissimilarity, order):
    """Kruskal's algorithm; `order` sorts the edges. Returns parents [n + merges] and heights [n + merges]."""
    parents = np.full(2 * num_nodes - 1, -1, np.int64)
    heights = np.zeros(2 * num_nodes - 1, np.float64)
    leader = np.arange(num_nodes)  # union-find over the leaves
    top = np.arange(num_nodes)  # tree node of each leader's region
    size = np.ones(num_nodes, np.int64)
    following = num_nodes
    for edge in order:
        a, b = _find(leader, edges[edge, 0]), _find(leader, edges[edge, 1])
        if a == b:
            continue
        if size[a] > size[b]:
            a, b = b, a
        leader[a] = b
        size[b] += size[a]
        parents[top[a]] = following
        parents[top[b]] = following
        heights[following] = dissimilarity[edge]
        top[b] = following
        following += 1
    return parents[:following], heights[:following]


@njit(cache=True, nogil=True)
def _find(leader, node):
    while leader[node] != node:
        leader[node] = leader[leader[node]]
        node = leader[node]
    return node


@njit(cache=True, nogil=True)
def average_linkage(num_nodes, edges, totals, weights):
    """Region merging by the mean dissimilarity along common borders.

    Edges wait in a heap keyed by their mean. When two regions merge, the one with fewer neighbours is dissolved into
    the other: an edge to a neighbour that both have is pooled, any other one only changes its end, so its mean and
    its place in the heap stay. With small into large every edge moves O(log n) times.

    Args:
        num_nodes: Number of nodes n.
        edges: Distinct node pairs [E, 2], int64; overwritten.
        totals: Weighted sum of dissimilarities along each border [E], float64; overwritten.
        weights: Sum of weights along each border [E], float64, positive; overwritten.

    Returns:
        parents [n + merges], heights [n + merges]. Equal means merge in the order of the edges.
    """
    count = len(edges)
    parents = np.full(2 * num_nodes - 1, -1, np.int64)
    heights = np.zeros(2 * num_nodes - 1, np.float64)
    top = np.arange(num_nodes)  # tree node of each region
    heads, links, degree = _adjacency(num_nodes, edges)
    keys, slots, mask = _table(count)
    for edge in range(count):
        _insert(keys, slots, mask, _key(edges[edge, 0], edges[edge, 1], num_nodes), edge)
    means = totals / weights
    heap = np.arange(count)
    place = np.arange(count)  # of each edge in the heap; -1 once it is gone
    waiting = count
    for position in range(count // 2 - 1, -1, -1):
        _sift_down(heap, place, means, position, waiting)

    following = num_nodes
    height = 0.0
    while waiting:
        edge = heap[0]
        height = max(height, means[edge])  # means only grow, but for rounding
        waiting = _remove(heap, place, means, edge, waiting)
        small, large = edges[edge, 0], edges[edge, 1]
        if degree[small] > degree[large]:
            small, large = large, small
        _delete(keys, slots, mask, _key(small, large, num_nodes))
        degree[large] -= 1
        parents[top[small]] = following
        parents[top[large]] = following
        heights[following] = height
        top[large] = following
        following += 1

        half = heads[small]
        while half >= 0:
            after = links[half]
            moved = half >> 1
            if place[moved] >= 0:
                side = half & 1
                neighbor = edges[moved, 1 - side]
                _delete(keys, slots, mask, _key(small, neighbor, num_nodes))
                shared = _lookup(keys, slots, mask, _key(large, neighbor, num_nodes))
                if shared >= 0:
                    totals[shared] += totals[moved]
                    weights[shared] += weights[moved]
                    means[shared] = totals[shared] / weights[shared]
                    waiting = _remove(heap, place, means, moved, waiting)
                    _sift_up(heap, place, means, place[shared])
                    _sift_down(heap, place, means, place[shared], waiting)
                    degree[neighbor] -= 1
                else:
                    edges[moved, side] = large
                    _insert(keys, slots, mask, _key(large, neighbor, num_nodes), moved)
                    links[half] = heads[large]
                    heads[large] = half
                    degree[large] += 1
            half = after
    return parents[:following], heights[:following]


@njit(cache=True, nogil=True)
def _adjacency(num_nodes, edges):
    """Each node's edges as a linked list of half-edges: half 2e + s is edge e seen from its end s."""
    heads = np.full(num_nodes, -1, np.int64)
    links = np.empty(2 * len(edges), np.int64)
    degree = np.zeros(num_nodes, np.int64)
    for edge in range(len(edges)):
        for side in range(2):
            node = edges[edge, side]
            links[2 * edge + side] = heads[node]
            heads[node] = 2 * edge + side
            degree[node] += 1
    return heads, links, degree


# A hash table from pairs of regions to edges: open addressing, linear probing, at most half full.


@njit(cache=True, nogil=True)
def _table(count):
    capacity = 4
    while capacity < 2 * count:
        capacity *= 2
    return np.full(capacity, -1, np.int64), np.empty(capacity, np.int64), capacity - 1


@njit(cache=True, nogil=True)
def _key(a, b, num_nodes):
    return min(a, b) * num_nodes + max(a, b)


@njit(cache=True, nogil=True)
def _home(key, mask):
    mixed = np.uint64(key) * np.uint64(0x9E3779B97F4A7C15)  # Fibonacci hashing: the high bits are well mixed
    return np.int64(mixed >> np.uint64(32)) & mask


@njit(cache=True, nogil=True)
def _insert(keys, slots, mask, key, edge):
    at = _home(key, mask)
    while keys[at] >= 0:
        at = (at + 1) & mask
    keys[at] = key
    slots[at] = edge


@njit(cache=True, nogil=True)
def _lookup(keys, slots, mask, key):
    at = _home(key, mask)
    while keys[at] >= 0:
        if keys[at] == key:
            return slots[at]
        at = (at + 1) & mask
    return -1


@njit(cache=True, nogil=True)
def _delete(keys, slots, mask, key):
    at = _home(key, mask)
    while keys[at] != key:
        at = (at + 1) & mask
    # Close the gap: an entry moves back unless its home lies cyclically after the gap.
    gap = at
    at = (at + 1) & mask
    while keys[at] >= 0:
        if ((at - _home(keys[at], mask)) & mask) >= ((at - gap) & mask):
            keys[gap] = keys[at]
            slots[gap] = slots[at]
            gap = at
        at = (at + 1) & mask
    keys[gap] = -1


# A binary heap of edges by (mean, edge index) that knows where each edge is.


@njit(cache=True, nogil=True)
def _before(means, a, b):
    return means[a] < means[b] or (means[a] == means[b] and a < b)


@njit(cache=True, nogil=True)
def _sift_up(heap, place, means, position):
    edge = heap[position]
    while position > 0:
        above = (position - 1) >> 1
        if not _before(means, edge, heap[above]):
            break
        heap[position] = heap[above]
        place[heap[position]] = position
        position = above
    heap[position] = edge
    place[edge] = position


@njit(cache=True, nogil=True)
def _sift_down(heap, place, means, position, size):
    edge = heap[position]
    while True:
        below = 2 * position + 1
        if below >= size:
            break
        if below + 1 < size and _before(means, heap[below + 1], heap[below]):
            below += 1
        if not _before(means, heap[below], edge):
            break
        heap[position] = heap[below]
        place[heap[position]] = position
        position = below
    heap[position] = edge
    place[edge] = position


@njit(cache=True, nogil=True)
def _remove(heap, place, means, edge, size):
    """Take an edge out of the heap and return the new size."""
    position = place[edge]
    place[edge] = -1
    size -= 1
    if position < size:
        last = heap[size]
        heap[position] = last
        place[last] = position
        _sift_up(heap, place, means, position)
        _sift_down(heap, place, means, place[last], size)
    return size
