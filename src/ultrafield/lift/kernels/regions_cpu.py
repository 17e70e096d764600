"""Agglomeration of regions by what the masks say about all their pairs of points, on the CPU.

A merge may bring a neighbour nearer that touched only one of the two, as all pairs of points count then. Which regions
are each other's nearest thus depends on what has merged before: rounds, in which all such pairs merge at once, are part
of the definition. Where all regions touch they find what merging the nearest two of all, one after the other, would,
apart from crumbs that are taken up together. A round costs as much as all that is left, so when rounds merge little the
rest is merged one after the other.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from ...kernels.compile import compiled
from ...ultrametric.kernels.matching_cpu import Borders, nearest_borders, pool
from ...ultrametric.kernels.spans import even_spans, on_threads, thread_count
from ...ultrametric.kernels.tree_cpu import chain_heads, common_ancestors, leaf_counts
from .nearest_first_cpu import nearest_first_heights
from .rows_cpu import Rows

_FEW = 1 / 32  # share of the regions that a round must merge for another one to be worth it


def join_heights(
    pairs: np.ndarray,
    guesses: np.ndarray,
    borders: np.ndarray,
    rows: Rows,
    slack: float,
    *,
    threads: int | None = None,
) -> np.ndarray:
    """Merge neighbouring regions by the mean dissimilarity of all their pairs of points, in rounds.

    In every round all regions that are each other's nearest neighbours merge, until a round merges few; what is left
    merges one after the other, the nearest two first. A region's row says how many of its points each mask holds; the
    sums over all pairs of points of two regions are products of their rows, and rows of merged regions add. Equal
    dissimilarities are in a fixed shuffled order of the pairs.

    A large region may have thousands of crumbs around it, each with no nearer neighbour. Of these it takes up the next
    ones in the same round, as long as all together make it larger by no more than `slack`: they hardly move its means.

    Args:
        pairs: Neighbouring regions [E, 2], int64, each pair once, the smaller region first.
        guesses: Dissimilarity of each pair [E], float64, for regions of which no view and mask says anything.
        borders: What each guess weighs when pairs are pooled [E], float64, positive.
        rows: What the R regions hold; used up.
        slack: Growth of a region in one round, as a fraction, up to which it takes up several; 0 for one.
        threads: How many to use; by default as many as pay.

    Returns:
        Height at which the two regions of each pair become one [E], float64: the dissimilarity of the two that merge
        then, or the height of a merge below if that is larger.
    """
    num = len(rows)
    index = np.int32 if max(num, len(pairs)) < 2**31 else np.int64
    # Guesses are pooled; the first number, by which regions are near, is written anew wherever a region has changed.
    # In the order of the pairs a plateau would grow from its corner; the same shuffle each time gives the same tree.
    keys = np.random.default_rng(0).permutation(len(pairs))
    sums = np.stack([np.empty(len(pairs)), guesses * borders, borders, keys], axis=1)
    waiting = Borders(*np.ascontiguousarray(pairs.T.astype(index)), sums)
    # Tree nodes are regions, merges, and a last one above all that is apart in the end.
    parents, heights = np.full(2 * num, 2 * num - 1), np.zeros(2 * num)
    # Of each region that is left: its tree node, its row, its points; and which one each of the first is in.
    top, row, sizes, following = np.arange(num), np.arange(num), rows.sizes.copy(), num
    home, merged = np.arange(num), num
    rows.compare(waiting, row, np.ones(num, bool), threads=threads)
    while len(waiting) and merged >= _FEW * len(top):
        merges = _matches(waiting, sizes, slack, threads)
        into = np.arange(len(top))
        into[merges.gone] = merges.kept
        _grow_tree(*merges, waiting.sums, following, top, sizes, parents, heights)
        rows.add(row[merges.kept], row[merges.gone], threads=threads)
        stays = into == np.arange(len(top))
        number = (np.cumsum(stays) - 1)[into].astype(index)
        changed = np.zeros(len(top), bool)
        changed[merges.kept] = True
        merged = len(merges.gone)
        following += merged
        home = number[home]
        waiting = pool(int(stays.sum()), waiting, number, threads=threads)
        top, row, sizes = top[stays], row[stays], sizes[stays]
        rows.compare(waiting, row, changed[stays], threads=threads)
    heads = chain_heads(parents, leaf_counts(parents, num))
    spans = even_spans(len(pairs), threads or thread_count(len(pairs)))
    meets = on_threads(lambda begin, end: common_ancestors(parents, heads, pairs[begin:end]), spans)
    found = heights[np.concatenate(meets)]
    if len(waiting):
        apart = home[pairs[:, 0]] != home[pairs[:, 1]]
        found[apart] = _rest(waiting, rows, row, sizes, slack, heights[top], home[pairs[apart]])
    return found


def _rest(
    waiting: Borders,
    rows: Rows,
    row: np.ndarray,
    sizes: np.ndarray,
    slack: float,
    heights: np.ndarray,
    wanted: np.ndarray,
) -> np.ndarray:
    """Heights at which regions that rounds have left become one.

    Args:
        waiting: Pairs of N regions.
        rows: Rows of counts.
        row: The row of each region [N], int64.
        sizes: Its points [N], float64.
        slack: See `join_heights`.
        heights: Of the last merge of each region [N], float64.
        wanted: Pairs of regions [E, 2] that are among those that wait, in either order.

    Returns:
        [E], float64.
    """
    guesses, borders = waiting.sums[:, 1] / waiting.sums[:, 2], waiting.sums[:, 2].copy()
    ends = np.sort(np.stack([waiting.left, waiting.right], axis=1).astype(np.int64), axis=1)
    found = nearest_first_heights(ends, guesses, borders, rows.compact(row, sizes), slack)
    found = np.maximum(found, heights[ends].max(axis=1))
    keys, wanted = ends[:, 0] * len(row) + ends[:, 1], np.sort(wanted, axis=1).astype(np.int64)
    order = np.argsort(keys)
    place = np.searchsorted(keys, wanted[:, 0] * len(row) + wanted[:, 1], sorter=order)
    return found[order[place]]


class _Merges(NamedTuple):
    """M merges; those of one region stand in succession, in the order in which it takes up others."""

    kept: np.ndarray  # the region that takes up another [M]
    gone: np.ndarray  # the other [M]
    pair: np.ndarray  # [M]


def _matches(pairs: Borders, sizes: np.ndarray, slack: float, threads: int | None) -> _Merges:
    """The merges of one round.

    Of two regions that are each other's nearest the larger one takes up the other. It may take up more: the next in its
    order that have no nearer neighbour than it, up to the first one that has or is too large.
    """
    nearest = nearest_borders(len(sizes), pairs, threads=threads)
    taken, follows = np.empty(len(sizes), nearest.dtype), np.empty(len(sizes), nearest.dtype)
    mutual, more = _match(nearest, pairs.left, pairs.right, sizes, slack, taken, follows)
    follows = follows[:more]
    hub = _other(pairs, nearest[follows], follows)
    barrier = np.full(len(sizes), -1, nearest.dtype)
    barrier[hub] = -2
    _find_barriers(nearest, pairs.left, pairs.right, pairs.sums, sizes, slack, barrier)
    near = _in_reach(nearest, follows, hub, barrier, pairs.sums)
    gone = np.append(taken[:mutual], follows[near])
    kept, pair = _other(pairs, nearest[gone], gone), nearest[gone]
    order = np.lexsort((pairs.sums[pair, 3], pairs.sums[pair, 0], kept))
    kept, gone, pair = kept[order], gone[order], pair[order]
    few = _within_slack(kept, gone, sizes, slack)
    return _Merges(kept[few], gone[few], pair[few])


def _other(pairs: Borders, pair: np.ndarray, region: np.ndarray) -> np.ndarray:
    """The region at the other end of a pair."""
    return pairs.left[pair] + pairs.right[pair] - region


@compiled()
def _match(nearest, left, right, sizes, slack, taken, follows):
    """Write the smaller of every two regions that are each other's nearest, and small ones that are near the larger.

    Returns:
        How many of either there are.
    """
    mutual = more = 0
    for region in range(len(nearest)):
        pair = nearest[region]
        if pair < 0:
            continue
        other = left[pair] + right[pair] - region
        if nearest[other] == pair:
            if _larger(sizes, other, region):
                taken[mutual] = region
                mutual += 1
        elif sizes[region] <= slack * sizes[other]:
            beyond = left[nearest[other]] + right[nearest[other]] - other
            if nearest[beyond] == nearest[other] and _larger(sizes, other, beyond):
                follows[more] = region
                more += 1
    return mutual, more


@compiled()
def _larger(sizes, one, other):
    return sizes[one] > sizes[other] or (sizes[one] == sizes[other] and one < other)


@compiled()
def _precedes(one, other, sums):
    return sums[one, 0] < sums[other, 0] or (sums[one, 0] == sums[other, 0] and sums[one, 3] < sums[other, 3])


@compiled()
def _find_barriers(nearest, left, right, sums, sizes, slack, barrier):
    """The first pair of each region whose other end has a nearer neighbour or is too large; below 0 where all may join.

    `barrier` comes with -2 at the regions of which it is to be found, and with -1 at all others.
    """
    for pair in range(len(left)):
        for region in (left[pair], right[pair]):
            first, other = barrier[region], left[pair] + right[pair] - region
            if first == -1 or nearest[region] == pair:
                continue
            if nearest[other] == pair and sizes[other] <= slack * sizes[region]:
                continue
            if first < 0 or _precedes(pair, first, sums):
                barrier[region] = pair


@compiled()
def _in_reach(nearest, follows, hub, barrier, sums):
    """Whether the pair of each region that follows a larger one comes before that one's barrier."""
    near = np.empty(len(follows), np.bool_)
    for at in range(len(follows)):
        first = barrier[hub[at]]
        near[at] = first < 0 or _precedes(nearest[follows[at]], first, sums)
    return near


@compiled()
def _within_slack(kept, gone, sizes, slack):
    """Which merges of each region are its first one, or leave its growth within `slack`."""
    few, grown = np.ones(len(kept), np.bool_), 0.0
    for merge in range(len(kept)):
        if merge == 0 or kept[merge] != kept[merge - 1]:
            grown = sizes[gone[merge]]
        else:
            grown += sizes[gone[merge]]
            few[merge] = grown <= slack * sizes[kept[merge]]
    return few


@compiled()
def _grow_tree(kept, gone, pair, sums, following, top, sizes, parents, heights):
    """Number merges from `following` on: write parents and heights, and the nodes and sizes of the kept regions."""
    for merge in range(len(kept)):
        one, other, node = kept[merge], gone[merge], following + merge
        heights[node] = max(sums[pair[merge], 0], heights[top[one]], heights[top[other]])
        parents[top[one]] = parents[top[other]] = node
        top[one] = node
        sizes[one] += sizes[other]
