"""Agglomeration of a graph's nodes, nearest first, on the CPU.

Both kernels return merges as `parents` over n leaves and the merges so far, in merging order, plus each merge's
height; a forest is left open at its roots (their parent is -1).
"""

from __future__ import annotations

import numpy as np

from ...kernels.compile import compiled
from ...kernels.heap_cpu import heapify, remove, sift_down, sift_up
from .matching_cpu import Borders, merge_mutual, pooled_border

# A bulk round costs a pass over all borders; the heap costs about as much for every twentieth of them.
_BULK = 0.05


def single_linkage(num_nodes: int, edges: np.ndarray, dissimilarity: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Kruskal's algorithm on n nodes and sorted edges. Returns parents [n + merges] and heights [n + merges]."""
    parents = np.full(2 * num_nodes - 1, -1, np.int64)
    heights = np.zeros(2 * num_nodes - 1, dissimilarity.dtype)
    # Union-find over the leaves: the next leaf towards the leader, or minus the region's size at the leader itself;
    # and the region's tree node. Side by side, because for millions of nodes every look-up misses the cache.
    regions = np.stack([np.full(num_nodes, -1, edges.dtype), np.arange(num_nodes, dtype=edges.dtype)], axis=1)
    count = _unite(edges, dissimilarity, regions, parents, heights)
    return parents[:count], heights[:count]


@compiled()
def _unite(edges, dissimilarity, regions, parents, heights):
    following = len(regions)
    for edge in range(len(edges)):
        a, b = _leader(regions, edges[edge, 0]), _leader(regions, edges[edge, 1])
        if a == b:
            continue
        if regions[a, 0] < regions[b, 0]:
            a, b = b, a
        regions[b, 0] += regions[a, 0]
        regions[a, 0] = b
        parents[regions[a, 1]] = following
        parents[regions[b, 1]] = following
        heights[following] = dissimilarity[edge]
        regions[b, 1] = following
        following += 1
    return following


@compiled()
def _leader(regions, node):
    following = regions[node, 0]
    while following >= 0:
        beyond = regions[following, 0]
        if beyond < 0:
            return following
        regions[node, 0] = beyond  # path halving
        node = beyond
        following = regions[node, 0]
    return node


def average_linkage(
    num_nodes: int, borders: Borders, *, threads: int | None = None, bulk: float = _BULK
) -> tuple[np.ndarray, np.ndarray]:
    """Region merging by the mean dissimilarity along common borders, in the order (mean, key).

    Rounds of mutually nearest regions run over all borders, on several threads, as long as a round merges enough; what
    remains is small, or a chain in which one region takes up the others, and goes through a heap. Both find the same
    merges; their order by (mean, key) is the order in which a heap alone would make them.

    Args:
        num_nodes: Number of nodes n.
        borders: Distinct borders between the nodes.
        threads: How many to use; by default as many as pay.
        bulk: Least part of the regions that a round must merge for another round to follow.

    Returns:
        parents [n + merges], heights [n + merges].
    """
    top = np.arange(num_nodes)
    merges = []
    following = num_nodes
    worth = len(borders) > 0
    while worth:
        regions = len(top)
        top, borders, merged = merge_mutual(top, borders, following, threads=threads)
        following += len(merged[0])
        merges.append(merged)
        worth = len(borders) > 0 and len(merged[0]) >= bulk * regions
    ends = np.stack([borders.left, borders.right], axis=1).astype(np.int64)
    means, totals, weights, keys = borders.sums.T.copy()
    merges.append(_merge_rest(top, following, ends, means, totals, weights, keys))
    return _in_order(num_nodes, *(np.concatenate(parts) for parts in zip(*merges, strict=True)))


def _in_order(num_nodes: int, joined: np.ndarray, means: np.ndarray, keys: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Number merges by (mean, key) instead of in the order of discovery; parents and heights."""
    order = _by_mean_and_key(means, keys)
    new = np.arange(num_nodes + len(order))
    new[num_nodes + order] = num_nodes + np.arange(len(order))
    parents = np.full(num_nodes + len(order), -1, np.int64)
    parents[new[joined[order]]] = num_nodes + np.arange(len(order))[:, None]
    return parents, np.concatenate([np.zeros(num_nodes), means[order]])


def _by_mean_and_key(means: np.ndarray, keys: np.ndarray) -> np.ndarray:
    """The order by (mean, key); sorting all by both keys would take several times as long where few means are equal."""
    order = np.argsort(means)
    ascending = means[order]
    equal = ascending[1:] == ascending[:-1]
    tied = np.flatnonzero(np.append(equal, False) | np.append(False, equal))
    entries = order[tied]
    order[tied] = entries[np.lexsort((keys[entries], means[entries]))]
    return order


def _merge_rest(
    top: np.ndarray,
    following: int,
    edges: np.ndarray,
    means: np.ndarray,
    totals: np.ndarray,
    weights: np.ndarray,
    keys: np.ndarray,
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Merge the two nearest regions until no border is left.

    Args:
        top: Tree node of each region [R], int64; overwritten.
        following: First tree node to give out.
        edges: Distinct pairs of regions [E, 2], int64; overwritten.
        means: Mean dissimilarity of each border [E], float64; overwritten, as are the next three.
        totals: Weighted sum of dissimilarities [E], float64.
        weights: Sum of weights [E], float64, positive.
        keys: Distinct numbers that order equal means [E], float64.

    Returns:
        The tree nodes that each merge joins [M, 2], the mean [M] and the key [M] of their border, float64.
    """
    regions, count = len(top), len(edges)
    joined = np.empty((regions, 2), np.int64), np.empty(regions), np.empty(regions)
    halves = np.full(regions, -1, np.int64), np.empty(2 * count, np.int64), np.zeros(regions, np.int64)
    capacity = 1 << max(2, (2 * count - 1).bit_length())
    table = np.full(capacity, -1, np.int64), np.empty(capacity, np.int64)
    queue = np.arange(count), np.arange(count)
    merges = _merge_nearest(top, following, edges, means, totals, weights, keys, *halves, *table, *queue, *joined)
    nodes, merged_means, merged_keys = (array[:merges].copy() for array in joined)
    return nodes, merged_means, merged_keys


@compiled()
def _merge_nearest(
    top,
    following,
    edges,
    means,
    totals,
    weights,
    keys,
    heads,
    links,
    degree,
    slots_keys,
    slots,
    heap,
    place,
    joined,
    joined_means,
    joined_keys,
):
    """`_merge_rest` in arrays made for it; returns the number of merges.

    Borders wait in a heap in the order (mean, key). When two regions merge, the one with fewer neighbours is dissolved
    into the other: a border to a neighbour that both have is pooled, any other one only changes its end, so its mean
    and its place in the heap stay. With small into large every border moves O(log n) times.
    """
    num_regions, waiting, mask = len(top), len(edges), len(slots) - 1
    merges = 0
    _list_halves(edges, heads, links, degree)
    for edge in range(waiting):
        _insert(slots_keys, slots, mask, _key(edges[edge, 0], edges[edge, 1], num_regions), edge)
    heapify(heap, place, means, keys)

    while waiting:
        edge = heap[0]
        waiting = remove(heap, place, means, keys, edge, waiting)
        small, large = edges[edge, 0], edges[edge, 1]
        if degree[small] > degree[large]:
            small, large = large, small
        _delete(slots_keys, slots, mask, _key(small, large, num_regions))
        degree[large] -= 1
        joined[merges, 0] = top[small]
        joined[merges, 1] = top[large]
        joined_means[merges] = means[edge]
        joined_keys[merges] = keys[edge]
        top[large] = following + merges
        merges += 1

        half = heads[small]
        while half >= 0:
            after = links[half]
            moved = half >> 1
            if place[moved] >= 0:
                side = half & 1
                neighbor = edges[moved, 1 - side]
                _delete(slots_keys, slots, mask, _key(small, neighbor, num_regions))
                shared = _lookup(slots_keys, slots, mask, _key(large, neighbor, num_regions))
                if shared >= 0:
                    waiting = remove(heap, place, means, keys, moved, waiting)
                    means[shared], totals[shared], weights[shared], keys[shared] = pooled_border(
                        means[shared],
                        totals[shared],
                        weights[shared],
                        keys[shared],
                        means[moved],
                        totals[moved],
                        weights[moved],
                        keys[moved],
                    )
                    sift_up(heap, place, means, keys, place[shared])
                    sift_down(heap, place, means, keys, place[shared], waiting)
                    degree[neighbor] -= 1
                else:
                    edges[moved, side] = large
                    _insert(slots_keys, slots, mask, _key(large, neighbor, num_regions), moved)
                    links[half] = heads[large]
                    heads[large] = half
                    degree[large] += 1
            half = after
    return merges


@compiled()
def _list_halves(edges, heads, links, degree):
    """Each node's edges as a linked list of half-edges: half 2e + s is edge e seen from its end s."""
    for edge in range(len(edges)):
        for side in range(2):
            node = edges[edge, side]
            links[2 * edge + side] = heads[node]
            heads[node] = 2 * edge + side
            degree[node] += 1


# A hash table from pairs of regions to edges: open addressing, linear probing, at most half full; -1 is a free place.


@compiled()
def _key(a, b, num_nodes):
    return min(a, b) * num_nodes + max(a, b)


@compiled()
def _home(key, mask):
    mixed = np.uint64(key) * np.uint64(0x9E3779B97F4A7C15)  # Fibonacci hashing: the high bits are well mixed
    return np.int64(mixed >> np.uint64(32)) & mask


@compiled()
def _insert(keys, slots, mask, key, edge):
    at = _home(key, mask)
    while keys[at] >= 0:
        at = (at + 1) & mask
    keys[at] = key
    slots[at] = edge


@compiled()
def _lookup(keys, slots, mask, key):
    at = _home(key, mask)
    while keys[at] >= 0:
        if keys[at] == key:
            return slots[at]
        at = (at + 1) & mask
    return -1


@compiled()
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
