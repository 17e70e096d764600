"""Rows of pixels summed into voxels, compiled."""

from __future__ import annotations

import numpy as np

from ...kernels.compile import compiled
from .patches_cpu import COLUMNS, patch_rows

CELLS = 1 << 20  # 21 bits per axis, half of them on either side of the origin
FIRST = 1 << 10  # voxels that there is room for at first
_BAND = 1 << 12  # pixels that are looked at together: their rows stay in the cache
_NO_END = np.iinfo(np.int64).max
_SPREAD = np.uint64(0x9E3779B97F4A7C15)  # 2^64 over the golden ratio


@compiled()
def view_sums(depth, color, x, y, pose, focal, steepest, voxel, inner):
    """Sums of the rows of one view's pixels in each voxel, in the order in which the pixels come to them.

    Args:
        depth, color, x, y, pose, focal, steepest: As for `patch_rows`.
        voxel, inner: As for `row_keys`.

    Returns:
        [K, 11], float64.
    """
    height, width = depth.shape
    band = max(1, _BAND // max(1, width))
    rows, numbers = np.empty((band * width, COLUMNS)), np.empty(band * width, np.int64)
    keys, sums, slots = no_sums(FIRST)
    count, low, high = np.int64(0), np.int64(0), np.int64(_NO_END)
    for first in range(0, height, band):
        last = min(height, first + band)
        found = patch_rows(depth, color, x, y, pose, focal, steepest, False, first, last, rows, numbers)
        some, own = rows[:found], numbers[:found]
        row_keys(some, voxel, inner, own)
        count, keys, sums, slots = add_rows(some, own, low, high, count, keys, sums, slots)
    return sums[:count].copy()  # without the room that has not been used


@compiled()
def row_keys(rows, voxel, inner, keys):
    """Fill `keys` [P], int64, with a number for the voxel of each row's mean position, ordered like the voxels.

    Outside of the box of half edge `inner` voxels are larger, and their number is that of their first small one; −1 for
    those farther than 2^20 small ones from the origin.

    Args:
        rows: [P, 11], float64, see `VoxelSums`.
        voxel: Edge of a voxel within the box.
        inner: Half the edge of the box; infinite if all voxels are equal.
        keys: Output.
    """
    for row in range(len(rows)):
        count = rows[row, 10]
        x, y, z = rows[row, 0] / count, rows[row, 1] / count, rows[row, 2] / count
        keys[row] = _key_of(x, y, z, voxel, inner)


@compiled()
def place_keys(places, voxel, inner, keys):
    """Fill `keys` [P], int64, with those of places [P, 3], float32; see `row_keys`."""
    single, edge = (np.float32(voxel), 1.0) if np.isinf(inner) else (np.float32(1.0), voxel)
    for place in range(len(places)):
        x, y, z = places[place, 0] / single, places[place, 1] / single, places[place, 2] / single
        keys[place] = _key_of(np.float64(x), np.float64(y), np.float64(z), edge, inner)


@compiled()
def _key_of(x, y, z, voxel, inner):
    """Key of the voxel of a place."""
    reach, times = max(abs(x), abs(y), abs(z)) / inner, 1.0
    if reach > 1.0:
        times = 2.0 ** np.ceil(np.log2(reach))
    edge = voxel * times
    x, y, z = np.floor(x / edge) * times, np.floor(y / edge) * times, np.floor(z / edge) * times
    if not (abs(x) < CELLS and abs(y) < CELLS and abs(z) < CELLS):  # not a number neither
        return -1
    return (np.int64(x) + CELLS << 42) | (np.int64(y) + CELLS << 21) | (np.int64(z) + CELLS)


@compiled()
def no_sums(room):
    """What `add_rows` begins with: keys and sums of no voxel, and an empty hash table of where they are.

    Loops fill arrays here and below, as they compile in a tenth of the time that assigning slices takes.
    """
    slots = np.empty(4 * room, np.int32)
    for slot in range(len(slots)):
        slots[slot] = -1
    return np.empty(room, np.int64), np.empty((room, COLUMNS)), slots


@compiled()
def add_rows(rows, numbers, low, high, count, keys, sums, slots):
    """Add rows to the sums of their voxels, one after the other, those of voxels in a range only.

    Args:
        rows: [P, 11], float64.
        numbers: Their voxels' keys [P], int64.
        low, high: The range, low ≤ key < high; 0 ≤ low.
        count: How many voxels there are.
        keys: Of each voxel [≥ count], int64; changed in place.
        sums: Of each voxel [≥ count, 11], float64; changed in place.
        slots: Hash table [a power of two, at least twice as many as keys], int32: indices of voxels, −1 for none.

    Returns:
        The four last arguments; arrays that became too small are replaced.
    """
    for row in range(len(rows)):
        key = numbers[row]
        if key < low or key >= high:
            continue
        slot = _slot(key, keys, slots)
        if slots[slot] < 0:
            if count == len(keys):
                keys, sums, slots = _larger(keys, sums)
                slot = _slot(key, keys, slots)
            slots[slot], keys[count] = count, key
            for column in range(COLUMNS):
                sums[count, column] = rows[row, column]
            count += 1
        else:
            voxel = slots[slot]
            for column in range(COLUMNS):
                sums[voxel, column] += rows[row, column]
    return count, keys, sums, slots


@compiled()
def _slot(key, keys, slots):
    """Where in the hash table a key is, or would be."""
    last = np.uint64(len(slots) - 1)
    spread = np.uint64(key) * _SPREAD
    slot = (spread ^ spread >> np.uint64(32)) & last
    while slots[slot] >= 0 and keys[slots[slot]] != key:
        slot = (slot + np.uint64(1)) & last
    return slot


@compiled()
def _larger(keys, sums):
    """Room for twice as many voxels."""
    more_keys, more_sums, slots = no_sums(2 * len(keys))
    for voxel in range(len(keys)):
        more_keys[voxel] = keys[voxel]
        for column in range(COLUMNS):
            more_sums[voxel, column] = sums[voxel, column]
        slots[_slot(keys[voxel], keys, slots)] = voxel
    return more_keys, more_sums, slots
