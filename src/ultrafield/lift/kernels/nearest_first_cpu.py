"""Merging of regions one after the other, the nearest two of all first; what rounds leave is few.

Rows of neighbours lie all over the memory, so most of the time would go in waiting for them: the rows of the next
neighbours are asked for while one is compared. NumPy makes the large arrays, which the system then keeps in huge pages.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from ...kernels.compile import compiled
from ...kernels.heap_cpu import heapify, remove, sift_down, sift_up
from .rows_cpu import Rows, ask_for, dissimilarity

_AHEAD = 2


class _Regions(NamedTuple):
    """R regions: which one each is part of now, and sums over its points; those of parts are out of date."""

    leader: np.ndarray  # [R]
    sums: np.ndarray  # seen points, then weighted ones [R, 2 V]
    sizes: np.ndarray  # [R]
    computed: np.ndarray  # sizes when a region's pairs were last computed [R]


class _Room(NamedTuple):
    """Where the row of each region lies in the arrays of columns and counts, which grow."""

    first: np.ndarray  # [R]
    length: np.ndarray  # [R]
    room: np.ndarray  # what the row may grow to [R]
    weights: np.ndarray  # of the masks [K]
    slots: np.ndarray  # scratch, -1 [K]
    spread: np.ndarray  # scratch, 0 [K]


class _Network(NamedTuple):
    """E pairs of regions, each region's as a linked list of half-edges: half 2e + s is pair e seen from its end s."""

    edges: np.ndarray  # [E, 2]
    guesses: np.ndarray  # [E]
    borders: np.ndarray  # [E]
    heads: np.ndarray  # [R]
    tails: np.ndarray  # [R]
    links: np.ndarray  # [2 E]
    into: np.ndarray  # the pair that each one was pooled into, itself if it was not [E]
    heights: np.ndarray  # [E]
    marks: np.ndarray  # the last merge that met a region [R]
    places: np.ndarray  # and in which pair [R]
    halves: np.ndarray  # scratch: half-edges to compute [R]
    others: np.ndarray  # scratch: the regions that they lead to [R]
    found: np.ndarray  # scratch: what was computed [R]


class _Queue(NamedTuple):
    """The pairs that wait, by (dissimilarity, regions); see `heap_cpu`."""

    heap: np.ndarray  # [E]
    place: np.ndarray  # [E]
    values: np.ndarray  # [E]
    keys: np.ndarray  # [E]


def nearest_first_heights(
    pairs: np.ndarray,
    guesses: np.ndarray,
    borders: np.ndarray,
    rows: Rows,
    slack: float,
) -> np.ndarray:
    """Merge neighbouring regions by the mean dissimilarity of all their pairs of points, nearest first.

    Pairs of regions wait in a heap; see `join_heights` for what they are compared by. A region that has grown by
    no more than `slack` since its pairs were computed keeps them: a crumb hardly moves the mean of a large region,
    which may have thousands of neighbours.

    Args:
        pairs: Neighbouring regions [E, 2], int64, each pair once.
        guesses: Dissimilarity of each pair [E], float64, for regions of which no view and mask says anything.
        borders: What each guess weighs when pairs are pooled [E], float64, positive.
        rows: What the R regions hold; used up.
        slack: Growth up to which a region's pairs are kept, as a fraction; 0 computes every pair anew.

    Returns:
        Height at which the two regions of each pair become one [E], float64. Heights do not fall towards the root.
    """
    count, num = len(pairs), len(rows)
    index = np.int32 if 2 * count < 2**31 else np.int64
    pairs = pairs.astype(index)
    regions = _Regions(np.arange(num, dtype=index), rows.sums, rows.sizes.copy(), rows.sizes.copy())
    scratch_of_masks = np.full(len(rows.weights), -1, np.int64), np.zeros(len(rows.weights))
    room = _Room(rows.first, rows.length, rows.room, rows.weights, *scratch_of_masks)
    lists = tuple(np.full(length, -1, index) for length in (num, num, 2 * count))
    _list_halves(pairs, *lists)
    met, scratch = np.full((2, num), -1, index), np.empty((2, num), index)
    pooled = np.arange(count, dtype=index), np.zeros(count)
    network = _Network(pairs, guesses.copy(), borders.copy(), *lists, *pooled, *met, *scratch, np.empty(num))
    queue = _Queue(*np.tile(np.arange(count, dtype=index), (2, 1)), np.empty(count), np.empty(count, np.int64))
    _merge(queue, network, regions, room, rows.columns, rows.counts, rows.used, slack)  # rows that grow move behind
    _spread_heights(network.into, network.heights)
    return network.heights


@compiled()
def _merge(queue, network, regions, rows, columns, counts, used, slack):
    """Merge the two nearest regions until no pair is left."""
    heap, place, values, keys, edges = queue.heap, queue.place, queue.values, queue.keys, network.edges
    leader, length = regions.leader, rows.length
    height, merge, waiting = 0.0, 0, len(edges)
    _compute_all(queue, network, regions, rows, columns, counts)
    while waiting > 0:
        edge = heap[0]
        height, merge = max(height, values[edge]), merge + 1
        one, other = _find(leader, edges[edge, 0]), _find(leader, edges[edge, 1])
        kept, gone = min(one, other), max(one, other)
        if length[kept] < length[gone]:
            kept, gone = gone, kept
        columns, counts, used = _add_row(columns, counts, used, rows, kept, gone)
        renewed = _unite(regions, kept, gone, slack)
        last_own, waiting = _pool(network, heap, place, values, keys, waiting, leader, kept, gone, merge, height)
        first = network.heads[kept] if renewed or last_own < 0 else network.links[last_own]
        _compute_from(first, queue, waiting, network, regions, rows, columns, counts, kept)


@compiled()
def _unite(regions, kept, gone, slack):
    """Add one region's sums to another's; whether that has grown so much that its pairs are computed anew."""
    sums, sizes, computed = regions.sums, regions.sizes, regions.computed
    regions.leader[gone] = kept
    for at in range(sums.shape[1]):
        sums[kept, at] += sums[gone, at]
    sizes[kept] += sizes[gone]
    renewed = sizes[kept] > (1.0 + slack) * computed[kept]
    if renewed:
        computed[kept] = sizes[kept]
    return renewed


@compiled()
def _pool(network, heap, place, values, keys, waiting, leader, kept, gone, merge, height):
    """Join the lists of two regions' half-edges, those of the kept one first; what is one or double now leaves.

    Pairs between the two get `height`. Where both had a pair with a third region, the later pair is pooled into the
    earlier one.

    Returns:
        The last half-edge that stays of those that the kept region had before, -1 if none does; and how many pairs
        wait now.
    """
    # Fields of a tuple are counted references: taken once here, not in the loop.
    edges, heads, tails, links, into = network.edges, network.heads, network.tails, network.links, network.into
    heights, marks, places = network.heights, network.marks, network.places
    last = tails[kept]
    links[last] = heads[gone]
    before, half, last_own = -1, heads[kept], -1
    while half >= 0:
        edge, after = half >> 1, links[half]
        other = _find(leader, edges[edge, 1 - (half & 1)])
        stays = into[edge] == edge and other != kept and marks[other] != merge
        if stays:
            marks[other], places[other] = merge, edge
            before = half
        else:
            if before < 0:
                heads[kept] = after
            else:
                links[before] = after
            if place[edge] >= 0:
                waiting = remove(heap, place, values, keys, edge, waiting)
                if other == kept:
                    heights[edge] = height
                else:
                    into[edge] = places[other]
                    _pool_guess(network.guesses, network.borders, edge, places[other])
        if half == last:
            last_own = before
        half = after
    tails[kept] = before
    return last_own, waiting


@compiled()
def _pool_guess(guesses, borders, edge, pooled):
    """Add a pair's guess to that of the pair that it is pooled into, both weighed by their borders."""
    total = borders[pooled] + borders[edge]
    guesses[pooled] = (guesses[pooled] * borders[pooled] + guesses[edge] * borders[edge]) / total
    borders[pooled] = total


@compiled()
def _compute_all(queue, network, regions, rows, columns, counts):
    """Compute every pair once, from its first region, and bring all into the order of the heap."""
    heads, links, halves, others, edges = network.heads, network.links, network.halves, network.others, network.edges
    found, values, keys = network.found, queue.values, queue.keys
    for region in range(len(heads)):
        count, half = 0, heads[region]
        while half >= 0:
            if half & 1 == 0:
                halves[count], others[count] = half, edges[half >> 1, 1]
                count += 1
            half = links[half]
        _compute(count, network, regions, rows, columns, counts, region)
        for at in range(count):
            edge = halves[at] >> 1
            values[edge], keys[edge] = found[at], _key(region, others[at], len(heads))
    heapify(queue.heap, queue.place, queue.values, queue.keys)


@compiled()
def _compute_from(half, queue, waiting, network, regions, rows, columns, counts, kept):
    """Compute a region's pairs anew, from one half-edge of its list on, and move them to where they belong."""
    links, halves, others, edges, leader = network.links, network.halves, network.others, network.edges, regions.leader
    heap, place, values, keys, found = queue.heap, queue.place, queue.values, queue.keys, network.found
    count = 0
    while half >= 0:
        halves[count], others[count] = half, _find(leader, edges[half >> 1, 1 - (half & 1)])
        count += 1
        half = links[half]
    _compute(count, network, regions, rows, columns, counts, kept)
    for at in range(count):
        edge = halves[at] >> 1
        values[edge], keys[edge] = found[at], _key(kept, others[at], len(leader))
        sift_up(heap, place, values, keys, place[edge])
        sift_down(heap, place, values, keys, place[edge], waiting)


@compiled()
def _compute(count, network, regions, rows, columns, counts, one):
    """Dissimilarities of the first `count` pairs in the scratch of the network, all of one region."""
    first, length, sums, row = rows.first, rows.length, regions.sums, rows.spread
    flat, width = sums.reshape(-1), sums.shape[1]
    halves, others, guesses, found = network.halves, network.others, network.guesses, network.found
    if count == 0:
        return
    _spread(row, columns, counts, rows, one)
    for at in range(min(_AHEAD, count)):
        ask_for(columns, counts, first[others[at]], length[others[at]], flat, np.int64(others[at]) * width, width)
    for at in range(count):
        if at + _AHEAD < count:
            later = others[at + _AHEAD]
            ask_for(columns, counts, first[later], length[later], flat, np.int64(later) * width, width)
        other = others[at]
        value = dissimilarity(row, columns, counts, first[other], length[other], sums, one, other)
        found[at] = guesses[halves[at] >> 1] if value < 0 else value
    _clear(row, columns, rows, one)


@compiled()
def _key(one, other, num):
    """Orders pairs of equal dissimilarity by the smaller region, then by the larger one."""
    return np.int64(min(one, other)) * num + max(one, other)


@compiled()
def _spread_heights(into, heights):
    """Give each pair that was pooled the height of the pair that it went into, in place."""
    for edge in range(len(into)):
        pooled = edge
        while into[pooled] != pooled:
            pooled = into[pooled]
        heights[edge] = heights[pooled]


@compiled()
def _list_halves(edges, heads, tails, links):
    """Each region's pairs as a linked list of half-edges, in their order; all arrays come filled with -1."""
    for half in range(2 * len(edges)):
        region = edges[half >> 1, half & 1]
        if heads[region] < 0:
            heads[region] = half
        else:
            links[tails[region]] = half
        tails[region] = half


@compiled()
def _find(leader, region):
    """The region that a region is part of now; paths are halved."""
    while leader[region] != region:
        leader[region] = leader[leader[region]]
        region = leader[region]
    return region


@compiled()
def _spread(row, columns, counts, rows, region):
    """Write a region's weighted counts to the places of its masks."""
    weights, first = rows.weights, rows.first[region]
    for at in range(first, first + rows.length[region]):
        row[columns[at]] = weights[columns[at]] * counts[at]


@compiled()
def _clear(row, columns, rows, region):
    first = rows.first[region]
    for at in range(first, first + rows.length[region]):
        row[columns[at]] = 0.0


@compiled()
def _add_row(columns, counts, used, rows, kept, gone):
    """Add one region's row to another's, which moves to the end of the arrays when its room is used up.

    Room grows by a quarter and the arrays by half at least, so that all moves together cost no more than the rows.
    """
    first, length, room, slots = rows.first, rows.length, rows.room, rows.slots
    begin, end = first[kept], first[kept] + length[kept]
    for at in range(begin, end):
        slots[columns[at]] = at - begin
    total = length[kept]
    for at in range(first[gone], first[gone] + length[gone]):
        if slots[columns[at]] < 0:
            total += 1
    if total > room[kept]:
        room[kept] = total + total // 4
        if used + room[kept] > len(columns):
            capacity = used + max(room[kept], used // 2)
            longer, larger = np.empty(capacity, columns.dtype), np.empty(capacity, counts.dtype)
            for at in range(used):
                longer[at], larger[at] = columns[at], counts[at]
            columns, counts = longer, larger
        for at in range(length[kept]):
            columns[used + at], counts[used + at] = columns[begin + at], counts[begin + at]
        first[kept] = used
        used += room[kept]
    begin, end = first[kept], first[kept] + length[kept]
    for at in range(first[gone], first[gone] + length[gone]):
        slot = slots[columns[at]]
        if slot >= 0:
            counts[begin + slot] += counts[at]
        else:
            columns[end], counts[end] = columns[at], counts[at]
            end += 1
    length[kept] = end - begin
    for at in range(begin, end):
        slots[columns[at]] = -1
    return columns, counts, used
