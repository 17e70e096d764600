"""Distinct rows, and distinct pairs of numbers, in one pass without sorting; compiled."""

from __future__ import annotations

import numpy as np
from numba import uint64

from ...kernels.compile import compiled


@compiled(inline="always")
def _equal(first, second):
    """Whether two rows of one length are equal; without an early exit the loop becomes vector instructions."""
    different = first[0] ^ first[0]
    for item in range(len(first)):
        different |= first[item] ^ second[item]
    return different == 0


@compiled(inline="always")
def _hash(row):
    """A number between 0 and 2^32 that depends on all items of a row."""
    code = uint64(14695981039346656037)
    for item in range(len(row)):
        code = (code ^ uint64(row[item])) * uint64(1099511628211)
    return np.int64(code >> uint64(32))


@compiled(inline="always")
def _copy(row, target):
    """Copy a row; `target[:] = row` would compile for seconds."""
    for item in range(len(row)):
        target[item] = row[item]


@compiled()
def find_row_cpu(row, distinct, count, slots):
    """The number of a row among the distinct ones, or −1 − slot for the empty slot in which its number belongs.

    Args:
        row: [L], integers.
        distinct: Distinct rows so far [C, L]; the first `count` are filled.
        count: How many.
        slots: Numbers of distinct rows by their hash, −1 for none [a power of two, more than `count`], int32.
    """
    slot = _hash(row) & (len(slots) - 1)
    while slots[slot] >= 0:
        if _equal(distinct[slots[slot]], row):
            return slots[slot]
        slot = (slot + 1) & (len(slots) - 1)
    return -1 - slot


@compiled()
def add_row_cpu(row, distinct, count, slots, slot):
    """Append a row that `find_row_cpu` did not find; the distinct rows and the slots, grown if they were full."""
    if count == len(distinct):
        larger = np.empty((2 * len(distinct), distinct.shape[1]), distinct.dtype)
        for number in range(count):
            _copy(distinct[number], larger[number])
        distinct = larger
    _copy(row, distinct[count])
    slots[slot] = count
    if 2 * (count + 1) > len(slots):
        slots = np.full(2 * len(slots), -1, np.int32)
        for row in range(count + 1):
            place = _hash(distinct[row]) & (len(slots) - 1)
            while slots[place] >= 0:
                place = (place + 1) & (len(slots) - 1)
            slots[place] = row
    return distinct, slots


@compiled(inline="always")
def number_row_cpu(row, distinct, count, slots):
    """The number of a row among the distinct ones, to which it is added if new; and their state from now on."""
    number = find_row_cpu(row, distinct, count, slots)
    if number < 0:
        distinct, slots = add_row_cpu(row, distinct, count, slots, -1 - number)
        number = count
        count += 1
    return number, distinct, count, slots


@compiled()
def number_rows_cpu(rows, index):
    """The distinct rows, in the order in which they first occur.

    Args:
        rows: [P, L], integers, L at least 1.
        index: Output [P], int32, written fully: the distinct row that each row equals.

    Returns:
        [C, L], the rows' type.
    """
    distinct, slots = np.empty((64, rows.shape[1]), rows.dtype), np.full(256, -1, np.int32)
    count = np.int64(0)  # a literal 0 would be a type of its own, for which all is compiled once more
    for item in range(len(rows)):
        row = rows[item]
        if item > 0 and _equal(row, rows[item - 1]):  # most pixels are like the one before
            index[item] = index[item - 1]
            continue
        index[item], distinct, count, slots = number_row_cpu(row, distinct, count, slots)
    return distinct[:count].copy()


@compiled()
def group_cpu(ids: np.ndarray, count: int) -> tuple[np.ndarray, np.ndarray]:
    """Sort pixels by their ids, and find where each id's pixels begin.

    Args:
        ids: [P], integers in [0, count).
        count: Number of ids.

    Returns:
        Pixels [P], int64, those of equal ids ascending; and bounds [count + 1], int64.
    """
    bounds = np.zeros(count + 1, np.int64)
    for pixel in range(len(ids)):
        bounds[ids[pixel] + 1] += 1
    for group in range(count):
        bounds[group + 1] += bounds[group]
    order, filled = np.empty(len(ids), np.int64), bounds[:-1].copy()
    for pixel in range(len(ids)):
        order[filled[ids[pixel]]] = pixel
        filled[ids[pixel]] += 1
    return order, bounds


@compiled()
def number_pairs_cpu(order, bounds, second, seconds, inverse):
    """The distinct pairs of two numbers per item.

    Args:
        order, bounds: The items grouped by their first number, from `group_cpu`.
        second: The other number of each item [P], integers in [0, seconds).
        seconds: The number of values that it may have.
        inverse: Output [P], int64, written fully: the pair of each item.

    Returns:
        First and second number of each pair and how many items have it, each [Q], int64; by the first number, then in
        the order in which they first occur.
    """
    first, other, counts = (
        np.empty(len(order), np.int64),
        np.empty(len(order), np.int64),
        np.empty(len(order), np.int64),
    )
    pair_of = np.full(seconds, -1, np.int64)
    total = 0
    for group in range(len(bounds) - 1):
        begin = total
        for item in order[bounds[group] : bounds[group + 1]]:
            pair = pair_of[second[item]]
            if pair < begin:  # met in another group, or never
                pair = total
                pair_of[second[item]] = pair
                first[pair], other[pair], counts[pair] = group, second[item], 0
                total += 1
            counts[pair] += 1
            inverse[item] = pair
    return first[:total].copy(), other[:total].copy(), counts[:total].copy()
