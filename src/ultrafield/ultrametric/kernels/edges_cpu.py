"""Edges sorted by their ends: a counting sort by the first end, then every row by itself."""

from __future__ import annotations

import numpy as np

from ...kernels.compile import compiled
from .spans import on_threads, row_spans, thread_count

_SHORT = 32  # runs of this length are sorted by insertion, and merged


def sort_edges(
    num_nodes: int,
    left: np.ndarray,
    right: np.ndarray,
    first: np.ndarray,
    second: np.ndarray,
    *,
    threads: int | None = None,
) -> tuple[np.ndarray, np.ndarray]:
    """The order of edges by (left, right, first, second).

    Args:
        num_nodes: Number of nodes n.
        left: One end of each edge [E], integer in [0, n); -1 leaves the edge out.
        right: The other end [E].
        first: Breaks ties between edges with the same ends [E].
        second: Breaks ties between equal `first` [E].
        threads: How many to use; by default as many as pay.

    Returns:
        offsets: Where each left end's edges begin in the order, then their number [n + 1], int64.
        order: Indices of the edges.
    """
    offsets, order = edges_by_left(num_nodes, left)
    spans = row_spans(offsets, threads or thread_count(len(left)))
    on_threads(_sort_rows, spans, offsets, order, right, first, second)
    return offsets, order


def edges_by_left(num_nodes: int, left: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The order of edges by their left ends alone, otherwise as they are; arguments and results as for `sort_edges`."""
    offsets = np.zeros(num_nodes + 1, np.int64)
    _count_left(left, offsets)
    order = np.empty(offsets[-1], np.int32 if len(left) < 2**31 else np.int64)
    _place_by_left(left, offsets[:-1].copy(), order)
    return offsets, order


@compiled()
def canonical_ends(edges, ends):
    """The smaller and the larger end of each edge, each an array of the dtype of `ends`."""
    left, right = np.empty(len(edges), ends.dtype), np.empty(len(edges), ends.dtype)
    for edge in range(len(edges)):
        a, b = edges[edge, 0], edges[edge, 1]
        left[edge] = min(a, b)
        right[edge] = max(a, b)
    return left, right


@compiled()
def _count_left(left, offsets):
    """Where each left end's edges begin, and their number, into `offsets` [n + 1], which comes filled with zeros."""
    for edge in range(len(left)):
        if left[edge] >= 0:
            offsets[left[edge] + 1] += 1
    for node in range(len(offsets) - 1):
        offsets[node + 1] += offsets[node]


@compiled()
def _place_by_left(left, following, order):
    """Put every edge at the next place of its left end; `following` [n] is overwritten."""
    for edge in range(len(left)):
        node = left[edge]
        if node >= 0:
            order[following[node]] = edge
            following[node] += 1


@compiled()
def _sort_rows(offsets, order, right, first, second, begin, end):
    for row in range(begin, end):
        low, high = offsets[row], offsets[row + 1]
        for run in range(low, high, _SHORT):
            for place in range(run + 1, min(run + _SHORT, high)):
                entry = order[place]
                while place > run and _precedes(entry, order[place - 1], right, first, second):
                    order[place] = order[place - 1]
                    place -= 1
                order[place] = entry
        if high - low > _SHORT:
            _merge_runs(order[low:high], right, first, second)


@compiled()
def _merge_runs(order, right, first, second):
    """Sort `order`, whose runs of `_SHORT` edges are each sorted; a sort of numpy's would compile for seconds."""
    length, merged = _SHORT, np.empty_like(order)
    while length < len(order):
        for start in range(0, len(order), 2 * length):
            middle, stop = min(start + length, len(order)), min(start + 2 * length, len(order))
            a, b = start, middle
            for place in range(start, stop):
                if a == middle or (b < stop and _precedes(order[b], order[a], right, first, second)):
                    merged[place] = order[b]
                    b += 1
                else:
                    merged[place] = order[a]
                    a += 1
        for place in range(len(order)):
            order[place] = merged[place]
        length *= 2


@compiled()
def _precedes(a, b, right, first, second):
    if right[a] != right[b]:
        return right[a] < right[b]
    if first[a] != first[b]:
        return first[a] < first[b]
    return second[a] < second[b]
