"""Rows of how many points of regions the masks hold: added when regions merge, and compared, on the CPU.

Rows of neighbours lie all over the memory, so most of the time would go in waiting for them: the rows of the next
neighbours are asked for while one is compared. NumPy makes the large arrays, which the system then keeps in huge pages.
"""

from __future__ import annotations

import numpy as np

from ...kernels.compile import compiled
from ...kernels.prefetch import prefetch_row
from ...parallel import workers_for
from ...ultrametric.kernels.edges_cpu import edges_by_left
from ...ultrametric.kernels.matching_cpu import Borders
from ...ultrametric.kernels.spans import on_threads, row_spans

_ROUNDING = 1e-6  # regions that lie in the same masks everywhere are equal, whatever the order of the sums
_WORTH = 1024  # rows that a thread adds or compares at least; starting one takes as long as a few hundred
_SUMS = {"reassoc", "contract"}  # sums may be taken in any order
_AHEAD = 4
_LINE = 8  # numbers of 8 bytes in a line of memory; twice as many of 4 bytes
_MOST_LINES = 32  # of one row that are asked for; the processor foresees what follows them


class Rows:
    """How many points of each of R regions every mask of V views holds, in sparse rows, and sums over their points.

    Regions are merged in place: their rows and sums are added to one of them. Who merges them uses the rows up.

    Args:
        starts: Where each region's row begins, and where the last one ends [R + 1], int64.
        columns: Masks that hold some of its points, each at most once in a row, int32; what lies behind the last row is
            room for rows that grow.
        counts: How many, likewise, float32: whole numbers are exact up to 2²⁴ points, sums of features to seven digits.
        weights: Weight of every mask [K], float64.
        sums: Points of each region that each view sees, then the same points, each with the summed weights of the masks
            that hold it [R, 2 V], float64.
        sizes: Points of each region [R], float64; not changed.
    """

    def __init__(
        self,
        *,
        starts: np.ndarray,
        columns: np.ndarray,
        counts: np.ndarray,
        weights: np.ndarray,
        sums: np.ndarray,
        sizes: np.ndarray,
    ) -> None:
        self.first, self.length = starts[:-1].copy(), np.diff(starts)
        self.room = self.length.copy()  # what each row may grow to where it lies
        self.used = int(starts[-1])
        self.columns, self.counts = columns, counts
        self.weights, self.sums, self.sizes = weights, sums, sizes

    def __len__(self) -> int:
        return len(self.first)

    def add(self, kept: np.ndarray, gone: np.ndarray, *, threads: int | None = None) -> None:
        """Add rows `gone` [M] to rows `kept` [M]; what is added to one row stands in succession.

        What has no room goes to the end. Room grows by a quarter and the arrays by half at least, so that all moves
        together cost no more than the rows.
        """
        bounds = np.flatnonzero(np.append(True, kept[1:] != kept[:-1]))
        kept, bounds = kept[bounds], np.append(bounds, len(gone))
        spans, total = row_spans(bounds, _threads_for(len(gone), threads)), np.empty(len(kept), np.int64)
        masks = len(self.weights)
        on_threads(_count_union, spans, masks, self.columns, self.first, self.length, kept, gone, bounds, total)
        moved = total > self.room[kept]
        room = np.where(moved, total + total // 4, 0)
        ends = self.used + np.cumsum(room)
        if ends[-1] > len(self.columns):
            capacity = max(int(ends[-1]), self.used + self.used // 2)
            self.columns, self.counts = (longer(array, self.used, capacity) for array in (self.columns, self.counts))
        to = np.where(moved, ends - room, self.first[kept])
        arrays = self.columns, self.counts, self.sums, self.first, self.length
        on_threads(_add_rows, spans, masks, *arrays, kept, gone, bounds, to)
        self.first[kept], self.length[kept], self.used = to, total, int(ends[-1])
        self.room[kept] = np.where(moved, room, self.room[kept])

    def compare(self, pairs: Borders, row: np.ndarray, changed: np.ndarray, *, threads: int | None = None) -> None:
        """Write the dissimilarities of all pairs of which a region has changed.

        Args:
            pairs: Between N regions; the first of their sums is written, where no view and mask says anything the
                second one over the third.
            row: The row of each region [N], int64.
            changed: Which regions have changed [N], bool.
            threads: How many to use; by default as many as pay.
        """
        # The longer row is spread once for all its pairs, the shorter one read.
        longer, shorter = np.empty_like(pairs.left), np.empty_like(pairs.left)
        _sort_ends(pairs.left, pairs.right, row, self.length, changed, longer, shorter)
        offsets, order = edges_by_left(len(row), longer)
        spans = row_spans(offsets, _threads_for(len(order), threads))
        arrays = self.columns, self.counts, self.weights, self.sums, self.first, self.length
        on_threads(_compare, spans, offsets, order, shorter, pairs.sums, row, *arrays)

    def compact(self, row: np.ndarray, sizes: np.ndarray) -> Rows:
        """Some rows [N], one after the other, with the points of their regions [N]."""
        length = self.length[row]
        starts = np.append(0, np.cumsum(length))
        place = np.repeat(self.first[row] - starts[:-1], length) + np.arange(starts[-1])
        columns, counts = (longer(array[place], len(place), 2 * len(place)) for array in (self.columns, self.counts))
        return Rows(
            starts=starts, columns=columns, counts=counts, weights=self.weights, sums=self.sums[row], sizes=sizes
        )


def _threads_for(items: int, threads: int | None) -> int:
    """Threads for so many rows to add or to compare."""
    return threads or max(1, min(workers_for(0), items // _WORTH))


def longer(array: np.ndarray, used: int, capacity: int) -> np.ndarray:
    """The first `used` items in an array of `capacity`."""
    longer = np.empty(capacity, array.dtype)
    longer[:used] = array[:used]
    return longer


@compiled()
def _count_union(masks, columns, first, length, kept, gone, bounds, total, begin, end):
    """Masks in the rows that come together in each of the rows `begin` to `end` of those that are kept."""
    last = np.full(masks, -1, np.int64)
    for group in range(begin, end):
        one, count = kept[group], length[kept[group]]
        for at in range(first[one], first[one] + length[one]):
            last[columns[at]] = group
        for merge in range(bounds[group], bounds[group + 1]):
            other = gone[merge]
            for at in range(first[other], first[other] + length[other]):
                count += last[columns[at]] != group
                last[columns[at]] = group
        total[group] = count


@compiled()
def _add_rows(masks, columns, counts, sums, first, length, kept, gone, bounds, to, begin, end):
    """Add rows and sums to the rows `begin` to `end` of those that are kept, which go to where they have room."""
    slots = np.full(masks, -1, np.int64)
    for group in range(begin, end):
        one, last = kept[group], to[group]
        for at in range(first[one], first[one] + length[one]):
            columns[last], counts[last], slots[columns[at]] = columns[at], counts[at], last
            last += 1
        for merge in range(bounds[group], bounds[group + 1]):
            other = gone[merge]
            for item in range(sums.shape[1]):
                sums[one, item] += sums[other, item]
            for at in range(first[other], first[other] + length[other]):
                slot = slots[columns[at]]
                if slot >= 0:
                    counts[slot] += counts[at]
                else:
                    columns[last], counts[last], slots[columns[at]] = columns[at], counts[at], last
                    last += 1
        for at in range(to[group], last):
            slots[columns[at]] = -1


@compiled()
def _sort_ends(left, right, row, length, changed, longer, shorter):
    """The region of each pair that has the longer row, -1 if neither has changed; and the row of the other one."""
    for pair in range(len(left)):
        a, b = left[pair], right[pair]
        if not (changed[a] or changed[b]):
            longer[pair] = -1
        elif length[row[a]] >= length[row[b]]:
            longer[pair], shorter[pair] = a, row[b]
        else:
            longer[pair], shorter[pair] = b, row[a]


@compiled()
def _compare(offsets, order, shorter, values, row, columns, counts, weights, sums, first, length, begin, end):
    """Write the dissimilarities of the pairs of regions `begin` to `end`."""
    spread, flat, width, last = np.zeros(len(weights)), sums.reshape(-1), sums.shape[1], offsets[end]
    for region in range(begin, end):
        if offsets[region] == offsets[region + 1]:
            continue
        one = row[region]
        for at in range(first[one], first[one] + length[one]):
            spread[columns[at]] = weights[columns[at]] * counts[at]
        for place in range(offsets[region], offsets[region + 1]):
            if place + _AHEAD < last:
                later = shorter[order[place + _AHEAD]]
                ask_for(columns, counts, first[later], length[later], flat, np.int64(later) * width, width)
            pair, other = order[place], shorter[order[place]]
            value = dissimilarity(spread, columns, counts, first[other], length[other], sums, one, other)
            values[pair, 0] = values[pair, 1] / values[pair, 2] if value < 0 else value
        for at in range(first[one], first[one] + length[one]):
            spread[columns[at]] = 0.0


@compiled()
def ask_for(columns, counts, first, length, sums, begin, width):
    """Tell the processor that a region's row, and its `width` sums from `begin` on, are needed soon."""
    for line in range(min(_MOST_LINES, (width + _LINE - 1) // _LINE)):
        prefetch_row(sums, begin + _LINE * line)
    for line in range(min(_MOST_LINES, (length + 2 * _LINE - 1) // (2 * _LINE))):
        prefetch_row(counts, first + 2 * _LINE * line)
        prefetch_row(columns, first + 2 * _LINE * line)


@compiled(fastmath=_SUMS)
def dissimilarity(row, columns, counts, first, length, sums, one, other):
    """1 - the weight of masks holding both points over those holding either, over all pairs; -1 where there is none."""
    both, either, views = 0.0, 0.0, sums.shape[1] // 2
    for at in range(first, first + length):
        both += row[columns[at]] * counts[at]
    for view in range(views):
        either += sums[one, views + view] * sums[other, view] + sums[one, view] * sums[other, views + view]
    either -= both
    if either <= 0:
        return -1.0
    value = 1.0 - both / either
    return value if value > _ROUNDING else 0.0
