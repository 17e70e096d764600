"""Average linkage in bulk: all pairs of regions that are each other's nearest merge at once.

Pooling two borders gives a mean between theirs, so a merge never brings anything nearer than it was (the linkage is
*reducible*): two regions that are each other's nearest are merged sooner or later whatever happens elsewhere, at the
same height. Borders are in the strict order (mean, key); the pooled border's key is the smaller one, so that this
holds among equal means too.

Large arrays are made by NumPy, not inside the kernels: it asks the system for huge pages, without which millions of
regions spend their time on page faults and missing translations.

Source: F. Murtagh, "A survey of recent advances in hierarchical clustering algorithms", 1983.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from ...kernels.compile import compiled
from .edges_cpu import sort_edges
from .spans import even_spans, on_threads, row_spans, thread_count


@dataclass(frozen=True, eq=False, repr=False)
class Borders:
    """Borders between regions.

    Attributes:
        left: The region with the smaller index [E], int32 (int64 for more than 2³¹ edges).
        right: The other region [E].
        means: Weighted mean dissimilarity [E], float64.
        totals: Weighted sum of dissimilarities [E], float64.
        weights: Sum of weights [E], float64, positive.
        keys: Distinct numbers that order equal means [E], int64.
    """

    left: np.ndarray
    right: np.ndarray
    means: np.ndarray
    totals: np.ndarray
    weights: np.ndarray
    keys: np.ndarray

    def __len__(self) -> int:
        return len(self.left)

    def __repr__(self) -> str:
        return f"Borders({len(self)})"

    @property
    def arrays(self) -> tuple[np.ndarray, ...]:
        """The attributes, as the kernels take them."""
        return self.left, self.right, self.means, self.totals, self.weights, self.keys


def pool(num_regions: int, borders: Borders, number: np.ndarray, *, threads: int | None = None) -> Borders:
    """Rename regions by `number` [regions before], drop what is inside one, and pool borders of the same two."""
    threads = threads or thread_count(len(borders))
    left, right = np.empty_like(borders.left), np.empty_like(borders.right)
    on_threads(_rename, even_spans(len(borders), threads), borders.left, borders.right, number, left, right)
    offsets, order = sort_edges(num_regions, left, right, borders.means, borders.keys, threads=threads)
    spans = row_spans(offsets, threads)
    counts = on_threads(_count_pairs, spans, offsets, order, right)
    starts = np.cumsum([0, *counts])
    pooled = Borders(*(np.empty(starts[-1], array.dtype) for array in borders.arrays))
    spans = [(*span, start) for span, start in zip(spans, starts.tolist(), strict=False)]
    on_threads(_pool_rows, spans, offsets, order, left, right, *borders.arrays[2:], *pooled.arrays)
    return pooled


def merge_mutual(
    top: np.ndarray, borders: Borders, following: int, *, threads: int | None = None
) -> tuple[np.ndarray, Borders, tuple[np.ndarray, ...]]:
    """Merge every two regions that are each other's nearest.

    Args:
        top: Tree node of each region [R], int64.
        borders: Distinct borders between regions.
        following: First tree node to give out.
        threads: How many to use; by default as many as pay.

    Returns:
        The tree nodes of the regions that are left, the borders between those, and the merges: the nodes that each one
        joins [M, 2], int64, and the mean [M] and key [M] of their border.
    """
    spans = even_spans(len(borders), threads or thread_count(len(borders)))

    def nearest(begin: int, end: int) -> tuple[np.ndarray, np.ndarray]:
        table = np.full(len(top), np.inf), np.full(len(top), -1, borders.left.dtype)
        _nearest(borders.left, borders.right, borders.means, borders.keys, *table, begin, end)
        return table

    tables = on_threads(nearest, spans)
    for table in tables[1:]:
        _fold(*tables[0], *table, borders.keys)
    number, tops = np.empty(len(top), borders.left.dtype), np.empty(len(top), np.int64)
    joined, merged = np.empty((len(top) // 2, 2), np.int64), np.empty(len(top) // 2, np.int64)
    regions, merges = _match(tables[0][1], borders.left, borders.right, top, following, number, tops, joined, merged)
    tops, joined, merged = tops[:regions].copy(), joined[:merges].copy(), merged[:merges]
    left_over = pool(regions, borders, number, threads=threads) if merges else borders
    return tops, left_over, (joined, borders.means[merged], borders.keys[merged])


@compiled()
def _nearest(left, right, means, keys, best, place, begin, end):
    """Mean and place of each region's first border, in the order (mean, key), among borders `begin` to `end`.

    `best` [R] comes filled with infinity and `place` [R] with -1.
    """
    for position in range(begin, end):
        for region in (left[position], right[position]):
            mean = means[position]
            if mean < best[region] or (mean == best[region] and keys[position] < keys[place[region]]):
                best[region] = mean
                place[region] = position


@compiled()
def _fold(best, place, other_best, other_place, keys):
    for region in range(len(best)):
        if other_best[region] < best[region] or (
            other_place[region] >= 0
            and other_best[region] == best[region]
            and keys[other_place[region]] < keys[place[region]]
        ):
            best[region] = other_best[region]
            place[region] = other_place[region]


@compiled()
def _match(place, left, right, top, following, number, tops, joined, merged):
    """Find new number of every region, tree nodes of the new regions, joined nodes and the border of each merge.

    Returns how many regions and how many merges there are: so much of `tops`, `joined` and `merged` is written.
    """
    regions = merges = 0
    for region in range(len(place)):
        position = place[region]
        if position < 0 or place[left[position]] != place[right[position]]:
            tops[regions] = top[region]
        elif right[position] == region:
            number[region] = number[left[position]]
            continue
        else:
            joined[merges, 0] = top[region]
            joined[merges, 1] = top[right[position]]
            merged[merges] = position
            tops[regions] = following + merges
            merges += 1
        number[region] = regions
        regions += 1
    return regions, merges


@compiled()
def _rename(left, right, number, renamed_left, renamed_right, begin, end):
    """The ends of borders `begin` to `end` by their new numbers, the smaller first; -1 for what is inside a region."""
    for position in range(begin, end):
        a, b = number[left[position]], number[right[position]]
        renamed_left[position] = min(a, b) if a != b else -1
        renamed_right[position] = max(a, b)


@compiled()
def _count_pairs(offsets, order, right, begin, end):
    count = 0
    for row in range(begin, end):
        for place in range(offsets[row], offsets[row + 1]):
            if place == offsets[row] or right[order[place]] != right[order[place - 1]]:
                count += 1
    return count


@compiled()
def _pool_rows(
    offsets,
    order,
    left,
    right,
    means,
    totals,
    weights,
    keys,
    to_left,
    to_right,
    to_means,
    to_totals,
    to_weights,
    to_keys,
    begin,
    end,
    start,
):
    """Pool rows `begin` to `end` into the output from `start` on."""
    at = start - 1
    for row in range(begin, end):
        for place in range(offsets[row], offsets[row + 1]):
            source = order[place]
            if place == offsets[row] or right[source] != to_right[at]:
                at += 1
                to_left[at] = left[source]
                to_right[at] = right[source]
                to_means[at] = means[source]
                to_totals[at] = totals[source]
                to_weights[at] = weights[source]
                to_keys[at] = keys[source]
            else:
                pool_into(to_means, to_totals, to_weights, to_keys, at, means, totals, weights, keys, source)


@compiled()
def pool_into(to_means, to_totals, to_weights, to_keys, at, means, totals, weights, keys, source):
    """Add border `source` to border `at`.

    The mean stays between the two whatever rounding does, and where it equals the lower one the key is that border's:
    the pooled border never precedes both.
    """
    low, high = to_means[at], means[source]
    key = min(to_keys[at], keys[source])
    low_key = to_keys[at]
    if low > high:
        low, high, low_key = high, low, keys[source]
    to_totals[at] += totals[source]
    to_weights[at] += weights[source]
    mean = min(max(to_totals[at] / to_weights[at], low), high)
    to_keys[at] = low_key if mean == low and low < high else key
    to_means[at] = mean
