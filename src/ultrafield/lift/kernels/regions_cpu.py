"""Agglomeration of regions by what the masks say about all their pairs of points, compiled."""

from __future__ import annotations

import heapq
from typing import NamedTuple

import numpy as np

from ...kernels.compile import compiled

_ROUNDING = 1e-12  # regions that lie in the same masks everywhere are equal, whatever the order of the sums


class _Regions(NamedTuple):
    """R regions: which one each is part of now, and sums over its points; those of parts are out of date."""

    leader: np.ndarray  # [R]
    seen: np.ndarray  # [R, V]
    weighted: np.ndarray  # [R, V]
    sizes: np.ndarray  # [R]
    computed: np.ndarray  # sizes when a region's pairs were last computed [R]
    stamps: np.ndarray  # how often they were [R]


class _Rows(NamedTuple):
    """Where the row of each region lies in the arrays of columns and counts, which grow."""

    first: np.ndarray  # [R]
    length: np.ndarray  # [R]
    room: np.ndarray  # what the row may grow to [R]
    weights: np.ndarray  # of the masks [K]
    slots: np.ndarray  # scratch, -1 [K]


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


@compiled()
def join_heights(pairs, guesses, borders, starts, columns, counts, weights, seen, weighted, sizes, slack):
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
        weighted: The same points, each with the summed weights of the masks that hold it [R, V], float64.
        sizes: Points per region [R], float64.
        slack: Growth up to which a region's pairs are kept, as a fraction; 0 computes every pair anew.

    Returns:
        Height at which the two regions of each pair become one [E], float64. Heights do not fall towards the root.
    """
    regions = _Regions(np.arange(len(sizes)), seen.copy(), weighted.copy(), sizes.copy(), sizes.copy(), _zeros(sizes))
    lengths = _lengths(starts)
    rows = _Rows(starts[:-1].copy(), lengths, lengths.copy(), weights, np.full(len(weights), -1, np.int64))
    columns, counts, used = columns.copy(), counts.copy(), len(columns)
    network = _network(len(sizes), pairs, guesses, borders)
    row, heap, height, merge = np.zeros(len(weights)), _empty_heap(), 0.0, 0
    _push_all(heap, network, regions, rows, columns, counts, row)
    while len(heap) > 0:
        value, kept, gone, kept_stamp, gone_stamp = heapq.heappop(heap)
        if not _valid(regions, kept, kept_stamp) or not _valid(regions, gone, gone_stamp):
            continue
        height, merge = max(height, value), merge + 1
        if rows.length[kept] < rows.length[gone]:
            kept, gone = gone, kept
        columns, counts, used = _add_row(columns, counts, used, rows, kept, gone)
        renewed = _unite(regions, kept, gone, slack)
        last_own = _pool(network, regions.leader, kept, gone, merge, height)
        first = network.heads[kept] if renewed or last_own < 0 else network.links[last_own]
        _push_from(heap, first, network, regions, rows, columns, counts, row, kept)
    return _pooled_heights(network)


@compiled()
def _zeros(sizes):
    return np.zeros(len(sizes), np.int64)


@compiled()
def _lengths(starts):
    """Lengths of the rows that begin and end there; `np.diff` would compile for seconds."""
    lengths = np.empty(len(starts) - 1, np.int64)
    for row in range(len(lengths)):
        lengths[row] = starts[row + 1] - starts[row]
    return lengths


@compiled()
def _empty_heap():
    """A heap of dissimilarity, two regions, and the stamps that both carried."""
    return [(0.0, 0, 0, 0, 0) for _ in range(0)]


@compiled()
def _network(num, pairs, guesses, borders):
    """The pairs of `num` regions, each region's as a linked list of half-edges."""
    heads, tails, links = _half_edges(num, pairs)
    into, heights = np.arange(len(pairs)), np.zeros(len(pairs))
    marks, places = np.full(num, -1, np.int64), np.full(num, -1, np.int64)
    return _Network(pairs, guesses.copy(), borders.copy(), heads, tails, links, into, heights, marks, places)


@compiled(inline="always")
def _valid(regions, region, stamp):
    """Whether a region still exists, with the pairs that it had when it was given this stamp."""
    return regions.leader[region] == region and regions.stamps[region] == stamp


@compiled()
def _unite(regions, kept, gone, slack):
    """Add one region's sums to another's; whether that has grown so much that its pairs are computed anew."""
    regions.leader[gone] = kept
    seen, weighted = regions.seen, regions.weighted
    for view in range(seen.shape[1]):
        seen[kept, view] += seen[gone, view]
        weighted[kept, view] += weighted[gone, view]
    regions.sizes[kept] += regions.sizes[gone]
    renewed = regions.sizes[kept] > (1.0 + slack) * regions.computed[kept]
    if renewed:
        regions.computed[kept] = regions.sizes[kept]
        regions.stamps[kept] += 1
    return renewed


@compiled()
def _pool(network, leader, kept, gone, merge, height):
    """Join the lists of two regions' half-edges, those of the kept one first; what is one or double now leaves.

    Pairs between the two get `height`. Where both had a pair with a third region, the later pair is pooled into the
    earlier one.

    Returns:
        The last half-edge that stays of those that the kept region had before; -1 if none does.
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
            if into[edge] == edge and other == kept:
                heights[edge] = height
            elif into[edge] == edge:
                into[edge] = places[other]
                _pool_guess(network.guesses, network.borders, edge, places[other])
        if half == last:
            last_own = before
        half = after
    tails[kept] = before
    return last_own


@compiled()
def _pool_guess(guesses, borders, edge, pooled):
    """Add a pair's guess to that of the pair that it is pooled into, both weighed by their borders."""
    total = borders[pooled] + borders[edge]
    guesses[pooled] = (guesses[pooled] * borders[pooled] + guesses[edge] * borders[edge]) / total
    borders[pooled] = total


@compiled()
def _push_all(heap, network, regions, rows, columns, counts, row):
    """Put every pair on the heap once, from its first region."""
    first, length, seen, weighted = rows.first, rows.length, regions.seen, regions.weighted
    edges, links, guesses = network.edges, network.links, network.guesses
    for region in range(len(regions.sizes)):
        _spread(row, columns, counts, rows, region)
        half = network.heads[region]
        while half >= 0:
            edge = half >> 1
            if half & 1 == 0:
                other = edges[edge, 1]
                value = _dissimilarity(row, columns, counts, first[other], length[other], seen, weighted, region, other)
                heap.append((guesses[edge] if value < 0 else value, region, other, 0, 0))
            half = links[half]
        _clear(row, columns, rows, region)
    heapq.heapify(heap)


@compiled()
def _push_from(heap, half, network, regions, rows, columns, counts, row, kept):
    """Put a region's pairs on the heap, from one half-edge of its list on."""
    first, length, seen, weighted = rows.first, rows.length, regions.seen, regions.weighted
    leader, edges, links, guesses, stamps = (
        regions.leader,
        network.edges,
        network.links,
        network.guesses,
        regions.stamps,
    )
    _spread(row, columns, counts, rows, kept)
    while half >= 0:
        other = _find(leader, edges[half >> 1, 1 - (half & 1)])
        value = _dissimilarity(row, columns, counts, first[other], length[other], seen, weighted, kept, other)
        value = guesses[half >> 1] if value < 0 else value
        low, high = min(kept, other), max(kept, other)
        heapq.heappush(heap, (value, low, high, stamps[low], stamps[high]))
        half = links[half]
    _clear(row, columns, rows, kept)


@compiled()
def _pooled_heights(network):
    """Heights of all pairs: a pooled one has that of the pair that it went into."""
    into, heights = network.into, network.heights
    for edge in range(len(into)):
        pooled = edge
        while into[pooled] != pooled:
            pooled = into[pooled]
        heights[edge] = heights[pooled]
    return heights


@compiled()
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
def _dissimilarity(row, columns, counts, first, length, seen, weighted, one, other):
    """1 - the weight of masks holding both points over those holding either, over all pairs; -1 where there is none."""
    both, either = 0.0, 0.0
    for at in range(first, first + length):
        both += row[columns[at]] * counts[at]
    for view in range(seen.shape[1]):
        either += weighted[one, view] * seen[other, view] + seen[one, view] * weighted[other, view]
    either -= both
    if either <= 0:
        return -1.0
    value = 1.0 - both / either
    return value if value > _ROUNDING else 0.0


@compiled()
def _add_row(columns, counts, used, rows, kept, gone):
    """Add one region's row to another's, which moves to the end of the arrays when its room is used up.

    Room doubles and the arrays grow by half at least, so that all moves together cost no more than the rows.
    """
    first, length, room, slots = rows.first, rows.length, rows.room, rows.slots
    total = length[kept] + length[gone]
    if total > room[kept]:
        if used + 2 * total > len(columns):
            capacity = used + max(2 * total, used // 2)
            longer, larger = np.empty(capacity, columns.dtype), np.empty(capacity, counts.dtype)
            for at in range(used):
                longer[at], larger[at] = columns[at], counts[at]
            columns, counts = longer, larger
        begin = first[kept]
        for at in range(length[kept]):
            columns[used + at], counts[used + at] = columns[begin + at], counts[begin + at]
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
