"""Borůvka's rounds on the CPU."""

from __future__ import annotations

import numpy as np

from ...kernels.compile import compiled
from .spans import even_spans, on_threads, thread_count


def boruvka_cpu(
    num_nodes: int, edges: np.ndarray, weights: np.ndarray, *, threads: int | None = None
) -> tuple[list[np.ndarray], list[np.ndarray]]:
    """Components and chosen edges of every round.

    Args:
        num_nodes: Number of nodes n.
        edges: Node indices [E, 2], integer, without self-loops.
        weights: Edge weights [E], float32 or float64, without NaN.
        threads: How many to use; by default one for small graphs, else as many as numba may.

    Returns:
        parents: Per round r the component of the next round that each component joins [C_r], int64; C_0 = n.
        chosen: Per round the edge that each component chose [C_r], int64; -1 where no edge leaves it.
    """
    index = np.int32 if max(num_nodes, len(edges)) < 2**31 else np.int64
    left, right = edges[:, 0].astype(index), edges[:, 1].astype(index)
    return rounds(num_nodes, left, right, weights.copy(), threads=threads)


def rounds(
    num_nodes: int, left: np.ndarray, right: np.ndarray, values: np.ndarray, *, threads: int | None = None
) -> tuple[list[np.ndarray], list[np.ndarray]]:
    """`boruvka_cpu` on arrays that it may overwrite: the ends of the edges [E] and their weights [E].

    The edges are divided among threads in contiguous stretches, each of which keeps its own table of the lightest
    edges; folding the tables in the order of the stretches leaves the smallest index among equal weights, so that the
    result does not depend on the number of threads.
    """
    ids = np.arange(len(left), dtype=left.dtype)
    spans = even_spans(len(left), threads or thread_count(len(left)))  # shrink as edges are dropped
    components = num_nodes
    parents, chosen = [], []

    def lightest(begin: int, end: int) -> tuple[np.ndarray, np.ndarray]:
        table = np.full(components, np.nan, values.dtype), np.full(components, -1, left.dtype)
        _lightest(left, right, values, *table, begin, end)
        return table

    while any(begin < end for begin, end in spans):
        tables = on_threads(lightest, spans)
        for table in tables[1:]:
            _fold(*tables[0], *table)
        toward, choice = np.arange(components), np.full(components, -1, np.int64)
        parent = np.empty(components, np.int64)
        following = _join(tables[0][1], left, right, ids, toward, choice, parent)
        ends = on_threads(_contract, spans, left, right, ids, values, parent)
        spans = [(begin, end) for (begin, _), end in zip(spans, ends, strict=True)]
        parents.append(parent)
        chosen.append(choice)
        components = following
    return parents, chosen


@compiled()
def _lightest(left, right, values, best, place, begin, end):
    """Weight and place of the lightest edge at each component among edges `begin` to `end`.

    `best` [C] comes filled with NaN and `place` [C] with -1.
    """
    for position in range(begin, end):
        value = values[position]
        # Edges come in index order: a strict comparison leaves the smallest index. It is false for the initial NaN.
        if not value >= best[left[position]]:
            best[left[position]] = value
            place[left[position]] = position
        if not value >= best[right[position]]:
            best[right[position]] = value
            place[right[position]] = position


@compiled()
def _fold(best, place, later_best, later_place):
    """Merge the table of a later stretch into the first one: the lighter edge of each component stays."""
    for component in range(len(best)):
        if later_place[component] >= 0 and not later_best[component] >= best[component]:
            best[component] = later_best[component]
            place[component] = later_place[component]


@compiled()
def _join(place, left, right, ids, toward, choice, parent):
    """Take every component's edge; returns how many components are left.

    `choice` [C], filled with -1 before, gets the edges' ids and `parent` [C] the components joined; `toward` [C], the
    components' own indices before, is overwritten.
    """
    count = len(place)
    for component in range(count):
        position = place[component]
        if position >= 0:
            other = left[position] if right[position] == component else right[position]
            choice[component] = ids[position]
            # In a strict total order the only cycles are two components that chose the same edge: the smaller is root.
            if component > other or place[other] != position:
                toward[component] = other
    following = 0
    for component in range(count):
        if toward[component] == component:
            parent[component] = following
            following += 1
    for component in range(count):
        root = component
        while toward[root] != root:
            root = toward[root]
        walker = component
        while toward[walker] != root:  # path compression keeps the whole loop near linear
            toward[walker], walker = root, toward[walker]
        parent[component] = parent[root]
    return following


@compiled()
def _contract(left, right, ids, values, parent, begin, end):
    """Rename the ends of edges `begin` to `end`, drop those inside one component, and return where they now end."""
    kept = begin
    for position in range(begin, end):
        a, b = parent[left[position]], parent[right[position]]
        if a != b:
            left[kept] = a
            right[kept] = b
            ids[kept] = ids[position]
            values[kept] = values[position]
            kept += 1
    return kept
