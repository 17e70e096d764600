"""Runs of a view's masks along its rows."""

from __future__ import annotations

import numpy as np

from ....kernels.compile import compiled


@compiled()
def find_runs(
    bits: np.ndarray, selected: np.ndarray, shortest: int, places: np.ndarray, firsts: np.ndarray, lengths: np.ndarray
) -> None:
    """Count the runs of each mask along the second axis, or write them.

    Single-threaded: callers give each of many views a thread of its own.

    Args:
        bits: Packed memberships [H, W, words], uint64, as in `MaskSet`.
        selected: Bits of the masks whose runs are sought [words], uint64.
        shortest: Least number of pixels of a run.
        places: Index at which each mask's next run is written [64 · words], int64; incremented for each run.
        firsts: Output: row-major index of the first pixel of each run [N], int32; empty if runs are only counted.
        lengths: Output: number of pixels of each run [N], int32.
    """
    height, width, words = bits.shape
    begun = np.zeros(len(places), np.int64)
    for row in range(height):
        for word in range(words):
            before = np.uint64(0)
            for column in range(width + 1):
                here = bits[row, column, word] & selected[word] if column < width else np.uint64(0)
                changed = here ^ before
                before = here
                if changed == 0:
                    continue
                for bit in range(64):
                    if (changed >> np.uint64(bit)) & np.uint64(1):
                        mask = 64 * word + bit
                        if (here >> np.uint64(bit)) & np.uint64(1):
                            begun[mask] = column
                        elif column - begun[mask] >= shortest:
                            if len(firsts):
                                firsts[places[mask]] = row * width + begun[mask]
                                lengths[places[mask]] = column - begun[mask]
                            places[mask] += 1
