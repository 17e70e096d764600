"""The heap that knows where its items are, against sorting."""

from __future__ import annotations

import numpy as np

from ultrafield.kernels.heap_cpu import heapify, remove, sift_down, sift_up


def test_items_come_out_in_order_whatever_happens_to_them_meanwhile() -> None:
    rng, count = np.random.default_rng(0), 60
    values, keys = rng.integers(0, 5, count).astype(float), rng.permutation(count)
    heap, place, waiting, left = np.arange(count), np.arange(count), count, set(range(count))
    heapify(heap, place, values, keys)
    while waiting:
        first = heap[0]
        assert first == min(left, key=lambda item: (values[item], keys[item]))
        for item in {int(first), int(rng.choice(sorted(left)))}:
            waiting = remove(heap, place, values, keys, item, waiting)
            left.remove(item)
            assert place[item] == -1
        if left:
            moved = int(rng.choice(sorted(left)))
            values[moved] = rng.integers(0, 5)
            sift_up(heap, place, values, keys, place[moved])
            sift_down(heap, place, values, keys, place[moved], waiting)
        assert sorted(heap[:waiting]) == sorted(left)
        assert all(heap[place[item]] == item for item in left)
