"""Ray marching on the CPU: empty cells are left in one stride."""

from __future__ import annotations

import numpy as np
from numba import prange

from ...kernels.compile import compiled


@compiled(inline="always")
def _span(o, d, half):
    """Distances at which a ray enters and leaves the cube [-half, half]³; the second is smaller if it misses."""
    enter, leave = np.float32(0), np.float32(np.inf)
    for axis in range(3):
        if d[axis] == 0:
            if abs(o[axis]) > half:
                leave = np.float32(-1)
        else:
            a, b = (-half - o[axis]) / d[axis], (half - o[axis]) / d[axis]
            enter, leave = max(enter, min(a, b)), min(leave, max(a, b))
    return enter, leave


@compiled(inline="always")
def _cell(o, d, t, cascades, resolution):
    """Cascade and cell of the position at distance t."""
    x, y, z = o[0] + t * d[0], o[1] + t * d[1], o[2] + t * d[2]
    reach = max(abs(x), abs(y), abs(z))
    cascade, half = 0, np.float32(0.5)
    while reach > half and cascade < cascades - 1:
        cascade += 1
        half *= np.float32(2)
    scale = np.float32(resolution) / (half * np.float32(2))
    i = min(max(np.int64((x + half) * scale), 0), resolution - 1)
    j = min(max(np.int64((y + half) * scale), 0), resolution - 1)
    k = min(max(np.int64((z + half) * scale), 0), resolution - 1)
    return cascade, half, i, j, k


@compiled(inline="always")
def _exit(o, d, half, i, j, k, resolution):
    """Distance at which the ray leaves a cell."""
    edge = half * np.float32(2) / np.float32(resolution)
    leave = np.float32(np.inf)
    for axis in range(3):
        index = i if axis == 0 else (j if axis == 1 else k)
        if d[axis] > 0:
            leave = min(leave, (np.float32(index + 1) * edge - half - o[axis]) / d[axis])
        elif d[axis] < 0:
            leave = min(leave, (np.float32(index) * edge - half - o[axis]) / d[axis])
    return leave


@compiled()
def walk(o, d, occupied, edges, jitter, first, limit, resolution, t_out, delta_out, write):
    """Visit one ray's samples from step `first` on; returns their number and the step after the last."""
    cascades, steps = occupied.shape[0], len(edges) - 1
    enter, leave = _span(o, d, np.float32(0.5 * 2 ** (cascades - 1)))
    if leave <= enter:
        return 0, steps
    # A stride across a cell is safe only if it cannot reach into the next finer box.
    aligned = cascades == 1 or resolution % 4 == 0
    step = max(first, np.searchsorted(edges, enter, side="right") - 1)
    count = 0
    while step < steps and count < limit:
        delta = edges[step + 1] - edges[step]
        t = edges[step] + jitter * delta
        if t > leave:
            return count, steps
        if t >= enter:
            cascade, half, i, j, k = _cell(o, d, t, cascades, resolution)
            if occupied[cascade, i + resolution * (j + resolution * k)]:
                if write:
                    t_out[count], delta_out[count] = t, delta
                count += 1
            elif aligned:
                # Every step whose sample still lies in the empty cell would be refused too.
                out = _exit(o, d, half, i, j, k, resolution)
                while step + 1 < steps and edges[step + 1] + jitter * (edges[step + 2] - edges[step + 1]) < out:
                    step += 1
        step += 1
    return count, step


@compiled(parallel=True)
def _count(rays_o, rays_d, occupied, edges, jitter, first, limit, resolution, counts, after):
    nothing = np.empty(0, np.float32)
    for ray in prange(len(rays_o)):
        counts[ray], after[ray] = walk(
            rays_o[ray],
            rays_d[ray],
            occupied,
            edges,
            jitter[ray],
            first[ray],
            limit,
            resolution,
            nothing,
            nothing,
            False,
        )


@compiled(parallel=True)
def _fill(rays_o, rays_d, occupied, edges, jitter, first, limit, resolution, offsets, t, delta):
    for ray in prange(len(rays_o)):
        a, b = offsets[ray], offsets[ray + 1]
        if b > a:
            walk(
                rays_o[ray],
                rays_d[ray],
                occupied,
                edges,
                jitter[ray],
                first[ray],
                limit,
                resolution,
                t[a:b],
                delta[a:b],
                True,
            )


def march_cpu(
    rays_o: np.ndarray,
    rays_d: np.ndarray,
    occupied: np.ndarray,
    edges: np.ndarray,
    jitter: np.ndarray,
    first: np.ndarray,
    limit: int,
    resolution: int,
) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Offsets [R + 1], distances [S], lengths [S] and next steps [R]; see `march`."""
    counts, after = np.empty(len(rays_o), np.int64), np.empty(len(rays_o), np.int64)
    _count(rays_o, rays_d, occupied, edges, jitter, first, limit, resolution, counts, after)
    offsets = np.concatenate([[0], np.cumsum(counts)])
    t, delta = np.empty(offsets[-1], np.float32), np.empty(offsets[-1], np.float32)
    _fill(rays_o, rays_d, occupied, edges, jitter, first, limit, resolution, offsets, t, delta)
    return offsets, t, delta, after
