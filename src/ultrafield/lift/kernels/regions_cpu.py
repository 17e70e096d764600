"""Agglomeration of regions by what the masks say about all their pairs of points, compiled."""

from __future__ import annotations

import heapq

import numpy as np
from numba import njit

_ROUNDING = 1e-12  # regions that lie in the same masks everywhere are equal, whatever the order of the sums


@njit(cache=True, nogil=True)
def join_heights(pairs, guesses, borders, starts, columns, counts, weights, seen, held, sizes, slack):
    """Merge neighbouring regions by the mean dissimilarity of all their pairs of points, nearest first.

    A region's row says how many of its points each mask holds; the sums over all pairs of points of two regions are
    products of their rows, and rows of merged regions add. Pairs of regions wait in a heap; an entry is valid while
    both regions carry the stamps it was made with. A region that has grown by no more than `slack` since its pairs
    were computed keeps them: a crumb hardly moves the mean of a large region, which may have thousands of neighbours.

    Args:
        pairs: Neighbouring regions [E, 2], int64, each pair once.
        guesses: Dissimilarity of each pair [E], float64, for regions of which no view and mask says anything.
        borders: What each guess weighs when pairs are pooled [E], float64, positive.
        starts: Where each region's row begins [R + 1], int64.
        columns: Masks that hold some of its points [nnz], int32, each at most once in a row.
        counts: How many [nnz], float64.
        weights: Weight of every mask [K], float64.
        seen: Points of each region that each view sees [R, V], float64.
        held: Weights of the masks that hold them, summed over these points [R, V], float64.
        sizes: Points per region [R], float64.
        slack: Growth up to which a region's pairs are kept, as a fraction; 0 computes every pair anew.

    Returns:
        Height at which the two regions of each pair become one [E], float64. Heights do not fall towards the root.
    """
    num, edges = len(sizes), pairs.copy()
    seen, held, sizes, guesses, borders = seen.copy(), held.copy(), sizes.copy(), guesses.copy(), borders.copy()
    columns, counts = columns.copy(), counts.copy()
    first, length, room = starts[:-1].copy(), np.diff(starts), np.diff(starts)  # rows and the space they own
    used = len(columns)
    leader = np.arange(num)
    stamps, computed = np.zeros(num, np.int64), sizes.copy()  # sizes when a region's pairs were last computed
    heads, tails, links = _half_edges(num, edges)
    into = np.arange(len(edges))  # the pair that each one was pooled into
    heights = np.zeros(len(edges))
    marks, places = np.full(num, -1, np.int64), np.full(num, -1, np.int64)  # last merge that met it, and in which pair
    row, slots = np.zeros(len(weights)), np.full(len(weights), -1, np.int64)

    heap = [(0.0, 0, 0, 0, 0) for _ in range(0)]  # typed, and empty
    for region in range(num):
        _spread(row, columns, counts, weights, first[region], length[region])
        half = heads[region]
        while half >= 0:
            edge = half >> 1
            if half & 1 == 0:
                other = edges[edge, 1]
                value = _dissimilarity(row, columns, counts, first[other], length[other], seen, held, region, other)
                heap.append((guesses[edge] if value < 0 else value, region, other, 0, 0))
            half = links[half]
        _clear(row, columns, first[region], length[region])
    heapq.heapify(heap)

    height, merge = 0.0, 0
    while len(heap) > 0:
        value, kept, gone, kept_stamp, gone_stamp = heapq.heappop(heap)
        alive = leader[kept] == kept and leader[gone] == gone
        if not alive or stamps[kept] != kept_stamp or stamps[gone] != gone_stamp:
            continue
        height, merge = max(height, value), merge + 1
        if length[kept] < length[gone]:
            kept, gone = gone, kept
        leader[gone] = kept
        columns, counts, used = _add_row(columns, counts, used, first, length, room, slots, kept, gone)
        seen[kept] += seen[gone]
        held[kept] += held[gone]
        sizes[kept] += sizes[gone]
        renew = sizes[kept] > (1.0 + slack) * computed[kept]
        if renew:
            computed[kept] = sizes[kept]
            stamps[kept] += 1

        # Neighbours of both, those of the kept one first; what has become one or double leaves the list.
        last, links[tails[kept]] = tails[kept], heads[gone]
        before, half, known = -1, heads[kept], -1  # known: the last half-edge whose neighbour the kept one had before
        while half >= 0:
            edge, after = half >> 1, links[half]
            other = _find(leader, edges[edge, 1 - (half & 1)])
            stays = into[edge] == edge and other != kept
            if into[edge] == edge and other == kept:
                heights[edge] = height
            elif stays and marks[other] == merge:
                stays = False
                pooled = places[other]
                total = borders[pooled] + borders[edge]
                guesses[pooled] = (guesses[pooled] * borders[pooled] + guesses[edge] * borders[edge]) / total
                borders[pooled], into[edge] = total, pooled
            if stays:
                marks[other], places[other] = merge, edge
                before = half
            elif before < 0:
                heads[kept] = after
            else:
                links[before] = after
            if half == last:
                known = before
            half = after
        tails[kept] = before

        _spread(row, columns, counts, weights, first[kept], length[kept])
        half = heads[kept] if renew or known < 0 else links[known]
        while half >= 0:
            other = _find(leader, edges[half >> 1, 1 - (half & 1)])
            value = _dissimilarity(row, columns, counts, first[other], length[other], seen, held, kept, other)
            low, high = min(kept, other), max(kept, other)
            value = guesses[half >> 1] if value < 0 else value
            heapq.heappush(heap, (value, low, high, stamps[low], stamps[high]))
            half = links[half]
        _clear(row, columns, first[kept], length[kept])
    for edge in range(len(edges)):
        pooled = edge
        while into[pooled] != pooled:
            pooled = into[pooled]
        heights[edge] = heights[pooled]
    return heights


@njit(cache=True, nogil=True)
def _half_edges(num, edges):
    """Each region's pairs as a linked list of half-edges: half 2e + s is pair e seen from its end s."""
    heads, tails = np.full(num, -1, np.int64), np.full(num, -1, np.int64)
    links = np.full(2 * len(edges), -1, np.int64)
    for half in range(2 * len(edges)):
        region = edges[half >> 1, half & 1]
        if heads[region] < 0:
            heads[region] = half
        else:
            links[tails[region]] = half
        tails[region] = half
    return heads, tails, links


@njit(cache=True, nogil=True)
def _find(leader, region):
    while leader[region] != region:
        leader[region] = leader[leader[region]]
        region = leader[region]
    return region


@njit(cache=True, nogil=True)
def _spread(row, columns, counts, weights, first, length):
    for at in range(first, first + length):
        row[columns[at]] = weights[columns[at]] * counts[at]


@njit(cache=True, nogil=True)
def _clear(row, columns, first, length):
    for at in range(first, first + length):
        row[columns[at]] = 0.0


@njit(cache=True, nogil=True)
def _dissimilarity(row, columns, counts, first, length, seen, held, one, other):
    """1 - the weight of masks holding both points over those holding either, over all pairs; -1 where there is none."""
    both, either = 0.0, 0.0
    for at in range(first, first + length):
        both += row[columns[at]] * counts[at]
    for view in range(seen.shape[1]):
        either += held[one, view] * seen[other, view] + seen[one, view] * held[other, view]
    either -= both
    if either <= 0:
        return -1.0
    value = 1.0 - both / either
    return value if value > _ROUNDING else 0.0


@njit(cache=True, nogil=True)
def _add_row(columns, counts, used, first, length, room, slots, kept, gone):
    """Add one region's row to another's, which moves to the end of the arrays when its room is used up.

    Room doubles and the arrays grow by half at least, so that all moves together cost no more than the rows.
    """
    total = length[kept] + length[gone]
    if total > room[kept]:
        if used + 2 * total > len(columns):
            capacity = used + max(2 * total, used // 2)
            longer, larger = np.empty(capacity, columns.dtype), np.empty(capacity, counts.dtype)
            longer[:used], larger[:used] = columns[:used], counts[:used]
            columns, counts = longer, larger
        begin, end = first[kept], first[kept] + length[kept]
        columns[used : used + length[kept]] = columns[begin:end]
        counts[used : used + length[kept]] = counts[begin:end]
        first[kept], room[kept] = used, 2 * total
        used += 2 * total
    for at in range(first[kept], first[kept] + length[kept]):
        slots[columns[at]] = at
    end = first[kept] + length[kept]
    for at in range(first[gone], first[gone] + length[gone]):
        slot = slots[columns[at]]
        if slot >= 0:
            counts[slot] += counts[at]
        else:
            columns[end], counts[end] = columns[at], counts[at]
            end += 1
    length[kept] = end - first[kept]
    for at in range(first[kept], end):
        slots[columns[at]] = -1
    return columns, counts, used
