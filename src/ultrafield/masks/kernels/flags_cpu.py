"""Masks of 8 bits a pixel and of one bit, compiled: thousands of small ones, each in one step without the lock."""

from __future__ import annotations

import numpy as np

from ...kernels.compile import compiled


@compiled()
def above_half_cpu(values: np.ndarray, lossy: bool) -> np.ndarray:
    """The pixels inside a mask, as `masks.files` says.

    Args:
        values: [H, W], uint8.
        lossy: Whether the file's format changes the values that it stores.

    Returns:
        [H, W], bool.
    """
    lowest, highest = np.uint8(255), np.uint8(0)
    for value in values.flat:
        lowest, highest = min(lowest, value), max(highest, value)
    least, between = np.uint8(128), 0
    if not lossy and not lowest < 128 <= highest:  # one half tells nothing apart
        for value in values.flat:
            between += value != lowest and value != highest
        if between == 0:
            least = max(highest, np.uint8(1))
    flags = np.empty(values.shape, np.bool_)
    for y in range(values.shape[0]):
        for x in range(values.shape[1]):
            flags[y, x] = values[y, x] >= least
    return flags


@compiled()
def add_flags_cpu(flags: np.ndarray, bit: int, octets: np.ndarray) -> int:
    """Set a bit of the octet of every pixel in a mask.

    Args:
        flags: The mask [H, W], uint8, 0 or 1.
        bit: Which bit, from 0, the lowest, to 7.
        octets: [H, W], uint8; changed.

    Returns:
        Pixels in the mask.
    """
    area, shift = 0, np.uint8(bit)
    for y in range(flags.shape[0]):
        for x in range(flags.shape[1]):
            area += flags[y, x]
            octets[y, x] |= flags[y, x] << shift
    return area
