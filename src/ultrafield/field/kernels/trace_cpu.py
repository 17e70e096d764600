"""What tracing does on the CPU between two evaluations of a field, in parallel over rays."""

from __future__ import annotations

import numpy as np
from numba import prange

from ...kernels.compile import compiled
from .march_cpu import walk

_LINEAR = np.float32(20)  # beyond it softplus(x) is x


@compiled(parallel=True)
def walk_on(rays_o, rays_d, occupied, edges, jitter, resolution, alive, step, counts, t, delta):
    """The next samples of some rays, at most as many as there are columns.

    Args:
        rays_o, rays_d, occupied, edges, jitter, resolution: As for `march_cpu`, R rays.
        alive: Which rays [A].
        step: Where each ray goes on [R]; moved behind its last sample.
        counts: Filled with the numbers of samples [A].
        t, delta: Filled with their distances and lengths [A, L], from the first column on.
    """
    for row in prange(len(alive)):
        ray = alive[row]
        counts[row], step[ray] = walk(
            rays_o[ray],
            rays_d[ray],
            occupied,
            edges,
            jitter[ray],
            step[ray],
            t.shape[1],
            resolution,
            t[row],
            delta[row],
            True,
        )


@compiled(parallel=True)
def place(rays_o, rays_d, alive, offsets, t, positions):
    """Positions [S, 3] of the samples t [A, L] of some rays, of which offsets [A + 1] tells how many there are."""
    for row in prange(len(alive)):
        o, d = rays_o[alive[row]], rays_d[alive[row]]
        first = offsets[row]
        for sample in range(first, offsets[row + 1]):
            distance = t[row, sample - first]
            for axis in range(3):
                positions[sample, axis] = o[axis] + distance * d[axis]


@compiled(parallel=True)
def stop_light(alive, offsets, t, delta, density, function, surface, limit, depth, before, sigma, kept):
    """Densities of a stage's samples along their rays, and how far light gets.

    Args:
        alive: Rays of the stage [A].
        offsets: First sample of each, and S [A + 1].
        t, delta: Distances and lengths of the samples [A, L].
        density: Densities of their places [S].
        function: f over the width at the samples [S]; nothing of a field that is no surface.
        surface: Share of sections in what a ray meets, and the largest distance of samples that adjoin, in halves of
            the sum of their lengths [2], float32; see `LevelSet`. Empty for a field that is none.
        limit: Optical depth behind which nothing is visible.
        depth: Optical depth of each ray so far [R], float64; moved on.
        before: Optical depth from the open, distance and length of each ray's last sample [R, 3]; replaced.
        sigma: Filled with the densities along the rays [S].
        kept: Filled with the number of visible samples of each ray, its first ones [A].
    """
    for row in prange(len(alive)):
        ray, first = alive[row], offsets[row]
        reached, visible = depth[ray], 0
        for sample in range(first, offsets[row + 1]):
            here, length = t[row, sample - first], delta[row, sample - first]
            value = density[sample]
            if len(surface) > 0:
                x = -function[sample]
                passed = x if x > _LINEAR else np.log1p(np.exp(x))
                adjoins = here - before[ray, 1] < np.float32(0.5) * surface[1] * (length + before[ray, 2])
                stopped = max(passed - (before[ray, 0] if adjoins else np.float32(0)), np.float32(0))
                section = stopped / max(length, np.float32(1e-9)) if value > 0 else np.float32(0)
                value += surface[0] * (section - value)
                before[ray, 0], before[ray, 1], before[ray, 2] = passed, here, length
            sigma[sample] = value
            if reached < limit:
                visible += 1
                reached += np.float64(value * length)
        depth[ray], kept[row] = reached, visible


@compiled(parallel=True)
def append(alive, offsets, kept, filled, column, out):
    """Copy the rows [S, …] of some rays' first, visible samples behind those that are there already.

    Args:
        alive, offsets, kept: As for `stop_light`.
        filled: Where the next row of each ray belongs [R].
        column: Rows of the stage [S, C].
        out: Rows of all samples [N, C], filled.
    """
    for row in prange(len(alive)):
        source, target = offsets[row], filled[alive[row]]
        for item in range(kept[row]):
            for channel in range(column.shape[1]):
                out[target + item, channel] = column[source + item, channel]


@compiled(parallel=True)
def append_samples(alive, offsets, kept, filled, t, delta, sigma, samples):
    """The same of t and delta [A, L] and sigma [S] into `samples` (three arrays [N]); `filled` is moved on."""
    out_t, out_delta, out_sigma = samples
    for row in prange(len(alive)):
        ray = alive[row]
        target = filled[ray]
        for item in range(kept[row]):
            out_t[target + item], out_delta[target + item] = t[row, item], delta[row, item]
            out_sigma[target + item] = sigma[offsets[row] + item]
        filled[ray] = target + kept[row]
