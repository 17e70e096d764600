"""Average linkage in bulk: all pairs of regions that are each other's nearest merge at once.

Pooling two borders gives a mean between theirs, so a merge never brings anything nearer than it was (the linkage is
*reducible*): two regions that are each other's nearest are merged sooner or later whatever happens elsewhere, at the
same height. Borders are in the strict order (mean, key); the pooled border's key is the smaller one, so that this
holds among equal means too.

Large arrays are made by NumPy, not inside the kernels: it asks the system for huge pages, without which millions of
regions spend their time on page faults and missing translations. All numbers of a border lie side by side, as borders
are gathered from all over the memory, and what a later one needs is asked for while an earlier one is worked on.

Source: F. Murtagh, "A survey of recent advances in hierarchical clustering algorithms", 1983.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from ...kernels.compile import compiled
from ...kernels.prefetch import prefetch_row
from .edges_cpu import edges_by_left
from .spans import even_spans, on_threads, row_spans, thread_count

_AHEAD = 24  # borders that are asked for before they are pooled
_SHORT = 32  # rows up to this length are sorted by insertion


@dataclass(frozen=True, eq=False, repr=False)
class Borders:
    """Borders between regions.

    Attributes:
        left: The region with the smaller index [E], int32 (int64 for more than 2³¹ edges).
        right: The other region [E].
        sums: One row for each border [E, 4], float64: weighted mean dissimilarity, weighted sum of dissimilarities, sum
            of weights (positive), and a distinct number that orders equal means.
    """

    left: np.ndarray
    right: np.ndarray
    sums: np.ndarray

    def __len__(self) -> int:
        return len(self.left)

    def __repr__(self) -> str:
        return f"Borders({len(self)})"


def pool(num_regions: int, borders: Borders, number: np.ndarray, *, threads: int | None = None) -> Borders:
    """Rename regions by `number` [regions before], drop what is inside one, and pool borders of the same two."""
    threads = threads or thread_count(len(borders))
    left, right = np.empty_like(borders.left), np.empty_like(borders.right)
    on_threads(_rename, even_spans(len(borders), threads), borders.left, borders.right, number, left, right)
    offsets, order = edges_by_left(num_regions, left)
    del left
    spans = row_spans(offsets, threads)
    pooled = Borders(*(np.empty((len(order), *array.shape[1:]), array.dtype) for array in vars(borders).values()))
    arrays = pooled.left, pooled.right, pooled.sums
    counts = on_threads(_pool_rows, spans, offsets, order, right, borders.sums, *arrays)
    return Borders(*(_closed(array, offsets[[begin for begin, _ in spans]], counts) for array in arrays))


def _closed(array: np.ndarray, starts: np.ndarray, counts: list[int]) -> np.ndarray:
    """The parts of an array that begin at `starts`, moved together in place."""
    at = 0
    for start, count in zip(starts.tolist(), counts, strict=True):
        if start != at:
            array[at : at + count] = array[start : start + count]
        at += count
    return array[:at]


def nearest_borders(num_regions: int, borders: Borders, *, threads: int | None = None) -> np.ndarray:
    """Place of each region's first border in the order (mean, key) [R], -1 where it has none.

    Args:
        num_regions: Number of regions R.
        borders: Distinct borders between them.
        threads: How many to use; by default as many as pay.
    """
    spans = even_spans(len(borders), threads or thread_count(len(borders)))

    def nearest(begin: int, end: int) -> tuple[np.ndarray, np.ndarray]:
        table = np.full(num_regions, np.inf), np.full(num_regions, -1, borders.left.dtype)
        _nearest(borders.left, borders.right, borders.sums, *table, begin, end)
        return table

    tables = on_threads(nearest, spans)
    for table in tables[1:]:
        _fold(*tables[0], *table, borders.sums)
    return tables[0][1]


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
    nearest = nearest_borders(len(top), borders, threads=threads)
    number, tops = np.empty(len(top), borders.left.dtype), np.empty(len(top), np.int64)
    joined, merged = np.empty((len(top) // 2, 2), np.int64), np.empty(len(top) // 2, np.int64)
    regions, merges = _match(nearest, borders.left, borders.right, top, following, number, tops, joined, merged)
    tops, joined, merged = tops[:regions].copy(), joined[:merges].copy(), merged[:merges]
    left_over = pool(regions, borders, number, threads=threads) if merges else borders
    return tops, left_over, (joined, borders.sums[merged, 0], borders.sums[merged, 3])


@compiled()
def _nearest(left, right, sums, best, place, begin, end):
    """Mean and place of each region's first border, in the order (mean, key), among borders `begin` to `end`.

    `best` [R] comes filled with infinity and `place` [R] with -1.
    """
    for position in range(begin, end):
        for region in (left[position], right[position]):
            mean = sums[position, 0]
            if mean < best[region] or (mean == best[region] and sums[position, 3] < sums[place[region], 3]):
                best[region] = mean
                place[region] = position


@compiled()
def _fold(best, place, other_best, other_place, sums):
    for region in range(len(best)):
        if other_best[region] < best[region] or (
            other_place[region] >= 0
            and other_best[region] == best[region]
            and sums[other_place[region], 3] < sums[place[region], 3]
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
def _pool_rows(offsets, order, right, sums, to_left, to_right, to_sums, begin, end):
    """Sort and pool rows `begin` to `end` into the output from where they begin on; returns how many borders it has."""
    start, last = offsets[begin], offsets[end]
    at = start - 1
    for place in range(start, min(start + _AHEAD, last)):
        prefetch_row(right, order[place])
        prefetch_row(sums, order[place])
    for row in range(begin, end):
        low, high = offsets[row], offsets[row + 1]
        for place in range(low + _AHEAD, min(high + _AHEAD, last)):
            prefetch_row(right, order[place])
            prefetch_row(sums, order[place])
        _sort_row(order, low, high, right, sums)
        for place in range(low, high):
            source = order[place]
            if place == low or right[source] != to_right[at]:
                at += 1
                to_left[at] = row
                to_right[at] = right[source]
                for item in range(4):
                    to_sums[at, item] = sums[source, item]
            else:
                mean, total, weight, key = to_sums[at, 0], to_sums[at, 1], to_sums[at, 2], to_sums[at, 3]
                to_sums[at, 0], to_sums[at, 1], to_sums[at, 2], to_sums[at, 3] = pooled_border(
                    mean, total, weight, key, sums[source, 0], sums[source, 1], sums[source, 2], sums[source, 3]
                )
    return at + 1 - start


@compiled()
def _sort_row(order, low, high, right, sums):
    """Sort the borders of one row by (right, mean, key)."""
    if high - low > _SHORT:
        entries = order[low:high].copy()
        entries = entries[np.argsort(sums[entries, 3], kind="mergesort")]
        entries = entries[np.argsort(sums[entries, 0], kind="mergesort")]
        order[low:high] = entries[np.argsort(right[entries], kind="mergesort")]
        return
    for place in range(low + 1, high):
        entry = order[place]
        while place > low and _precedes(entry, order[place - 1], right, sums):
            order[place] = order[place - 1]
            place -= 1
        order[place] = entry


@compiled(inline="always")
def _precedes(a, b, right, sums):
    if right[a] != right[b]:
        return right[a] < right[b]
    if sums[a, 0] != sums[b, 0]:
        return sums[a, 0] < sums[b, 0]
    return sums[a, 3] < sums[b, 3]


@compiled(inline="always")
def pooled_border(mean, total, weight, key, other_mean, other_total, other_weight, other_key):
    """Mean, total, weight and key of two borders together.

    The mean stays between the two whatever rounding does, and where it equals the lower one the key is that border's:
    the pooled border never precedes both.
    """
    low, high, low_key = mean, other_mean, key
    if low > high:
        low, high, low_key = other_mean, mean, other_key
    total, weight = total + other_total, weight + other_weight
    mean = min(max(total / weight, low), high)
    return mean, total, weight, low_key if mean == low and low < high else min(key, other_key)
