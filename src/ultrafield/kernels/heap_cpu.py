"""A binary heap of items 0 … n − 1 by (value, key) that knows where each item is, compiled.

`heap` [n] lists the items that wait, the first one before all others, and `place` [n] says where each of them is,
-1 for those that no longer wait; `values` [n] and `keys` [n] order them. All are int64 but for the values, float64.
"""

from __future__ import annotations

from .compile import compiled


@compiled()
def _before(values, keys, a, b):
    return values[a] < values[b] or (values[a] == values[b] and keys[a] < keys[b])


@compiled()
def sift_up(heap, place, values, keys, position):
    """Move the item at `position` towards the first place until none above it comes later."""
    item = heap[position]
    while position > 0:
        above = (position - 1) >> 1
        if not _before(values, keys, item, heap[above]):
            break
        heap[position] = heap[above]
        place[heap[position]] = position
        position = above
    heap[position] = item
    place[item] = position


@compiled()
def sift_down(heap, place, values, keys, position, size):
    """Move the item at `position` away from the first place until none below it comes earlier."""
    item = heap[position]
    while True:
        below = 2 * position + 1
        if below >= size:
            break
        if below + 1 < size and _before(values, keys, heap[below + 1], heap[below]):
            below += 1
        if not _before(values, keys, heap[below], item):
            break
        heap[position] = heap[below]
        place[heap[position]] = position
        position = below
    heap[position] = item
    place[item] = position


@compiled()
def heapify(heap, place, values, keys):
    """Bring all items of a heap into its order; `heap` and `place` list them in any."""
    for position in range(len(heap) // 2 - 1, -1, -1):
        sift_down(heap, place, values, keys, position, len(heap))


@compiled()
def remove(heap, place, values, keys, item, size):
    """Take an item out of the heap and return the new size."""
    position = place[item]
    place[item] = -1
    size -= 1
    if position < size:
        last = heap[size]
        heap[position] = last
        place[last] = position
        sift_up(heap, place, values, keys, position)
        sift_down(heap, place, values, keys, place[last], size)
    return size
