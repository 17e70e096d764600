"""Hash-grid encoding on the CPU.

Forward runs in parallel over samples, level by level within a block, so that one level's rows stay in cache. The
gradient of the table runs in parallel over levels: no two threads share a row, so the sum is the same every time.
Rows lie anywhere in a table larger than the caches near the core, so those of several samples are asked for before
the first is used.
"""

from __future__ import annotations

from functools import cache

import numpy as np
from numba import get_num_threads, prange, uint32

from ...kernels.compile import compiled
from ...kernels.prefetch import prefetch_row
from ..layout import HASH_PRIMES, GridLayout

_PRIME_Y, _PRIME_Z = HASH_PRIMES[1:]
_AHEAD = 16  # samples whose rows are fetched together; twice or half as many are no faster


@compiled(inline="always")
def _cell(value, resolution):
    """Cell index and the position inside it along one axis."""
    scaled = min(max(value, np.float32(0.0)), np.float32(1.0)) * np.float32(resolution)
    index = min(np.int64(scaled), resolution - 1)
    return index, scaled - np.float32(index)


@compiled(inline="always")
def _row(i, j, k, resolution, offset, mask, hashed):
    """Table row of vertex (i, j, k)."""
    if hashed:
        key = uint32(i) ^ (uint32(j) * uint32(_PRIME_Y)) ^ (uint32(k) * uint32(_PRIME_Z))
        return offset + np.int64(key & uint32(mask))
    return offset + i + (resolution + 1) * (j + (resolution + 1) * k)


@compiled(inline="always")
def _corners(x, s, level, layout, table, rows, weights, t):
    """Fill row `t` of rows and weights with the eight vertices around sample `s`, and have the rows fetched."""
    resolutions, offsets, hashed = layout
    resolution, offset, is_hashed = resolutions[level], offsets[level], hashed[level]
    mask = offsets[level + 1] - offset - 1
    i, u = _cell(x[s, 0], resolution)
    j, v = _cell(x[s, 1], resolution)
    k, w = _cell(x[s, 2], resolution)
    for corner in range(8):
        a, b, c = corner & 1, (corner >> 1) & 1, corner >> 2
        weight = (u if a else np.float32(1) - u) * (v if b else np.float32(1) - v)
        weights[t, corner] = weight * (w if c else np.float32(1) - w)
        rows[t, corner] = _row(i + a, j + b, k + c, resolution, offset, mask, is_hashed)
        prefetch_row(table, rows[t, corner])


@cache
def _kernels(features: int):
    """The three kernels for one row width; a constant width lets the compiler unroll the channel loop."""
    quads = features // 4 * 4

    @compiled(parallel=True)
    def forward(x, table, resolutions, offsets, hashed, blocks, out):
        samples, levels = x.shape[0], resolutions.shape[0]
        for block in prange(blocks):
            first, last = samples * block // blocks, samples * (block + 1) // blocks
            rows, weights = np.empty((_AHEAD, 8), np.int64), np.empty((_AHEAD, 8), np.float32)
            for level in range(levels):
                column = level * features
                for start in range(first, last, _AHEAD):
                    count = min(_AHEAD, last - start)
                    for t in range(count):
                        _corners(x, start + t, level, (resolutions, offsets, hashed), table, rows, weights, t)
                    for t in range(count):
                        s = start + t
                        for f in range(0, quads, 4):  # four sums that stay in registers
                            p = q = r = o = np.float32(0)
                            for corner in range(8):
                                row, weight = rows[t, corner], weights[t, corner]
                                p += weight * table[row, f]
                                q += weight * table[row, f + 1]
                                r += weight * table[row, f + 2]
                                o += weight * table[row, f + 3]
                            out[s, column + f], out[s, column + f + 1] = p, q
                            out[s, column + f + 2], out[s, column + f + 3] = r, o
                        for f in range(quads, features):
                            total = np.float32(0)
                            for corner in range(8):
                                total += weights[t, corner] * table[rows[t, corner], f]
                            out[s, column + f] = total

    @compiled(parallel=True)
    def backward_table(x, grad, resolutions, offsets, hashed, order, out):
        samples = x.shape[0]
        for task in prange(order.shape[0]):
            level = order[task]
            column = level * features
            rows, weights = np.empty((_AHEAD, 8), np.int64), np.empty((_AHEAD, 8), np.float32)
            for start in range(0, samples, _AHEAD):
                count = min(_AHEAD, samples - start)
                for t in range(count):
                    _corners(x, start + t, level, (resolutions, offsets, hashed), out, rows, weights, t)
                for t in range(count):
                    for corner in range(8):
                        row, weight = rows[t, corner], weights[t, corner]
                        for f in range(features):
                            out[row, f] += weight * grad[start + t, column + f]

    @compiled(parallel=True)
    def backward_x(x, table, grad, resolutions, offsets, hashed, out):
        levels = resolutions.shape[0]
        for s in prange(x.shape[0]):
            total_x = total_y = total_z = np.float32(0)
            for level in range(levels):
                resolution, offset, is_hashed = resolutions[level], offsets[level], hashed[level]
                mask = offsets[level + 1] - offset - 1
                i, u = _cell(x[s, 0], resolution)
                j, v = _cell(x[s, 1], resolution)
                k, w = _cell(x[s, 2], resolution)
                for corner in range(8):
                    a, b, c = corner & 1, (corner >> 1) & 1, corner >> 2
                    row = _row(i + a, j + b, k + c, resolution, offset, mask, is_hashed)
                    dot = np.float32(0)
                    for f in range(features):
                        dot += table[row, f] * grad[s, level * features + f]
                    dot *= np.float32(resolution)
                    wu, wv, ww = (u if a else 1 - u), (v if b else 1 - v), (w if c else 1 - w)
                    total_x += dot * np.float32(wv * ww) * (np.float32(1) if a else np.float32(-1))
                    total_y += dot * np.float32(wu * ww) * (np.float32(1) if b else np.float32(-1))
                    total_z += dot * np.float32(wu * wv) * (np.float32(1) if c else np.float32(-1))
            out[s, 0], out[s, 1], out[s, 2] = total_x, total_y, total_z
            for axis in range(3):
                if x[s, axis] < 0 or x[s, axis] > 1:
                    out[s, axis] = 0

    return forward, backward_table, backward_x


def encode_forward(x: np.ndarray, table: np.ndarray, layout: GridLayout, out: np.ndarray) -> None:
    """Fill `out` [S, L · F] with the features at x [S, 3]."""
    forward, _, _ = _kernels(layout.features)
    blocks = max(1, min(len(x) // 256, 8 * get_num_threads()))
    forward(x, table, layout.resolutions, layout.offsets, layout.hashed, blocks, out)


def encode_backward_table(x: np.ndarray, grad: np.ndarray, layout: GridLayout) -> np.ndarray:
    """Gradient [T, F] of the table for the gradient [S, L · F] of the encoding."""
    _, backward_table, _ = _kernels(layout.features)
    # Threads take contiguous runs of tasks; dealing the levels out in turn gives each its share of slow, hashed ones.
    threads = get_num_threads()
    order = np.concatenate([np.arange(first, layout.levels, threads) for first in range(min(threads, layout.levels))])
    out = np.zeros((layout.offsets[-1], layout.features), np.float32)
    backward_table(x, grad, layout.resolutions, layout.offsets, layout.hashed, order, out)
    return out


def encode_backward_x(x: np.ndarray, table: np.ndarray, grad: np.ndarray, layout: GridLayout) -> np.ndarray:
    """Gradient [S, 3] of the positions."""
    _, _, backward_x = _kernels(layout.features)
    out = np.empty((len(x), 3), np.float32)
    backward_x(x, table, grad, layout.resolutions, layout.offsets, layout.hashed, out)
    return out
