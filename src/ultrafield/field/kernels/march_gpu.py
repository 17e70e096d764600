"""Ray marching in Triton: a warp walks 32 rays in lockstep, and empty bricks of cells are left in one stride.

Occupancy is read from a bitfield in bricks of 4³ cells, 64 bits each, so that a ray's next cell mostly lies in the word
or the sector it has just read, and one look tells whether a whole brick is empty.
"""

from __future__ import annotations

import torch
import triton
import triton.language as tl
from torch import Tensor

from ..occupancy import FixedSamples, OccupancyGrid, Samples
from .packing_gpu import place_runs

_RAYS = 32  # per program: one warp, one ray per lane
_WORDS = 64


def pack_bits(occupied: Tensor) -> Tensor:
    """Bitfield of occupied cells, as `march_fixed` reads it.

    Args:
        occupied: Cells, x fastest [K, G³], bool.

    Returns:
        [K, 2 · ceil(G / 4)³], int32. Bit x + 4y + 16z of a brick's 64 stands for its cell (x, y, z); bricks follow each
        other x fastest; cells beyond the grid are empty.
    """
    cascades, cells = occupied.shape
    resolution = round(cells ** (1 / 3))
    bricks = triton.cdiv(resolution, 4)
    bits = torch.empty((cascades, 2 * bricks**3), dtype=torch.int32, device=occupied.device)
    _pack_kernel[triton.cdiv(bits.shape[1], _WORDS), cascades](
        occupied.contiguous().view(torch.uint8), bits, cells, resolution, bricks, bits.shape[1], BLOCK=_WORDS
    )
    return bits


def march_gpu(
    rays_o: Tensor,
    rays_d: Tensor,
    grid: OccupancyGrid,
    edges: Tensor,
    jitter: Tensor,
    first: Tensor,
    limit: int,
    *,
    bits: Tensor | None = None,
) -> tuple[Samples, Tensor]:
    """Samples and next steps [R]; see `march`. The host waits once, for the number of samples.

    `bits` is `pack_bits(grid.occupied)`, if the caller has it already.
    """
    count, device = len(rays_o), rays_o.device
    offsets = torch.zeros(count + 1, dtype=torch.int64, device=device)
    after = torch.empty(count, dtype=torch.int64, device=device)
    if count == 0:
        return Samples(offsets, rays_o.new_empty(0), rays_o.new_empty(0)), after
    bits = pack_bits(grid.occupied) if bits is None else bits
    walk = _Walk(rays_o, rays_d, bits, grid.cascades, grid.resolution, edges, jitter)
    counts, starts = walk.count(limit, first=first, after=after)
    torch.cumsum(counts, 0, dtype=torch.int64, out=offsets[1:])
    total = int(offsets[-1])
    t, delta = rays_o.new_empty(total), rays_o.new_empty(total)
    walk.fill(counts, starts, offsets, t, delta)
    return Samples(offsets, t, delta), after


def march_fixed(
    rays_o: Tensor,
    rays_d: Tensor,
    bits: Tensor,
    cascades: int,
    resolution: int,
    edges: Tensor,
    jitter: Tensor,
    *,
    live_rays: Tensor,
    capacity: int,
    limit: int | None = None,
) -> FixedSamples:
    """Samples of rays in occupied cells, in arrays of a fixed size; the host never waits.

    Args:
        rays_o: Origins [R, 3], float32, normalised frame.
        rays_d: Unit directions [R, 3], float32.
        bits: Occupancy, from `pack_bits`.
        cascades: Nested boxes K.
        resolution: Cells along an edge of each.
        edges: Bounds of the steps, from `step_edges`, on the rays' device.
        jitter: Position within the step [R] in [0, 1).
        live_rays: How many rays are real [1], int64; those after them have no samples.
        capacity: Room for samples. The first ray that would pass it, and all after it, get none.
        limit: Most samples of a ray; all if None.

    Returns:
        The samples; zeros behind the last one.
    """
    count, device = len(rays_o), rays_o.device
    samples = FixedSamples.empty(count, capacity, device)
    if count == 0:
        return samples
    walk = _Walk(rays_o, rays_d, bits, cascades, resolution, edges, jitter)
    counts, starts = walk.count(len(edges) if limit is None else limit, live_rays=live_rays)
    placed = place_runs(counts, capacity, samples.offsets, samples.complete, live=live_rays)
    walk.fill(placed, starts, samples.offsets, samples.t, samples.delta, samples.rays)
    return samples


class _Walk:
    """Arguments that the two passes over the rays share."""

    def __init__(
        self,
        rays_o: Tensor,
        rays_d: Tensor,
        bits: Tensor,
        cascades: int,
        resolution: int,
        edges: Tensor,
        jitter: Tensor,
    ) -> None:
        self.rays = len(rays_o)
        self.inputs = (
            rays_o.contiguous(),
            rays_d.contiguous(),
            bits.view(torch.int64),
            edges,
            jitter.contiguous(),
        )
        # Strides across a cell or brick are safe only if it cannot reach into the next finer box.
        aligned = lambda cells: cascades == 1 or resolution % (4 * cells) == 0  # noqa: E731
        self.sizes = {
            "num_rays": self.rays,
            "steps": len(edges) - 1,
            "bricks": triton.cdiv(resolution, 4),
            "RESOLUTION": resolution,
            "CASCADES": cascades,
            "CELLS": aligned(1),
            "BRICKS": aligned(4),
            "BLOCK": _RAYS,
        }

    def count(
        self, limit: int, *, first: Tensor | None = None, after: Tensor | None = None, live_rays: Tensor | None = None
    ) -> tuple[Tensor, Tensor]:
        """Number of samples [R] and step of the first one [R], int32; the next steps go to `after`."""
        counts = torch.empty(self.rays, dtype=torch.int32, device=self.inputs[0].device)
        starts = torch.empty_like(counts)
        self._launch(counts, starts, first, after, live_rays, None, None, None, None, limit=limit)
        return counts, starts

    def fill(
        self, counts: Tensor, starts: Tensor, offsets: Tensor, t: Tensor, delta: Tensor, rays: Tensor | None = None
    ) -> None:
        """Write the samples of each ray, `counts` of them, from step `starts` on."""
        self._launch(counts, starts, None, None, None, offsets, t, delta, rays, limit=0)

    def _launch(self, *outputs: Tensor | None, limit: int) -> None:
        # Without fused multiply-add both passes, and the CPU, round alike, and so find the same samples.
        _march_kernel[(triton.cdiv(self.rays, _RAYS),)](
            *self.inputs, *outputs, limit=limit, **self.sizes, num_warps=1, enable_fp_fusion=False
        )


@triton.jit(do_not_specialize=["cells", "resolution", "bricks", "words"])
def _pack_kernel(occupied, bits, cells, resolution, bricks, words, BLOCK: tl.constexpr):
    word = tl.program_id(0) * BLOCK + tl.arange(0, BLOCK)
    cascade = tl.program_id(1).to(tl.int64)
    brick = word // 2
    lane = tl.arange(0, 32)[None, :]
    x = (brick % bricks * 4)[:, None] + (lane & 3)
    y = (brick // bricks % bricks * 4)[:, None] + (lane >> 2 & 3)
    z = (brick // (bricks * bricks) * 4 + (word & 1) * 2)[:, None] + (lane >> 4)
    inside = (word < words)[:, None] & (x < resolution) & (y < resolution) & (z < resolution)
    found = tl.load(occupied + cascade * cells + x + resolution * (y + resolution * z), mask=inside, other=0)
    packed = tl.sum((found != 0).to(tl.int32) << lane, axis=1)
    tl.store(bits + cascade * words + word, packed, mask=word < words)


@triton.jit
def _slab(o, d, half, enter, leave):
    """Narrow the span in which a ray is between two opposite faces of the box."""
    divisor = tl.where(d == 0, 1.0, d)
    a, b = tl.div_rn(-half - o, divisor), tl.div_rn(half - o, divisor)
    enter = tl.where(d == 0, enter, tl.maximum(enter, tl.minimum(a, b)))
    leave = tl.where(d == 0, tl.where(tl.abs(o) > half, -1.0, leave), tl.minimum(leave, tl.maximum(a, b)))
    return enter, leave


@triton.jit
def _way_out(o, d, inverse, low, size, edge, half):
    """Distance up to which a ray is surely still between the faces of cells low … low + size, rounding included."""
    # A millionth exceeds the sum of float32's roundings in the position, in its cell and in this distance.
    margin = 1e-6 * (half + tl.abs(o))
    face = tl.where(d > 0, (low + size).to(tl.float32) * edge - margin, low.to(tl.float32) * edge + margin) - half
    return tl.where(d == 0, float("inf"), (face - o) * inverse)


@triton.jit(do_not_specialize=["limit", "num_rays", "steps", "bricks"])
def _march_kernel(
    rays_o,
    rays_d,
    bits,
    edges,
    jitters,
    counts,
    starts,
    firsts,
    afters,
    live_rays,
    offsets,
    ts,
    deltas,
    rays_out,
    limit,
    num_rays,
    steps,
    bricks,
    RESOLUTION: tl.constexpr,
    CASCADES: tl.constexpr,
    CELLS: tl.constexpr,
    BRICKS: tl.constexpr,
    BLOCK: tl.constexpr,
):
    # With `offsets` the samples are written, `counts` of them from step `starts` on; otherwise these are found.
    ray = tl.program_id(0) * BLOCK + tl.arange(0, BLOCK)
    real = ray < num_rays
    row = ray.to(tl.int64)
    begin = tl.zeros([BLOCK], tl.int64)
    wanted = tl.zeros([BLOCK], tl.int32) + limit
    step = tl.zeros([BLOCK], tl.int32)
    going = real
    if offsets is not None:
        begin = tl.load(offsets + row, mask=real, other=0)
        wanted = tl.load(counts + row, mask=real, other=0)
        step = tl.load(starts + row, mask=real, other=0)
        going = going & (wanted > 0)
    if live_rays is not None:
        going = going & (row < tl.load(live_rays))
    if firsts is not None:
        step = tl.load(firsts + row, mask=real, other=0).to(tl.int32)

    ox = tl.load(rays_o + 3 * row, mask=going, other=0.0)
    oy = tl.load(rays_o + 3 * row + 1, mask=going, other=0.0)
    oz = tl.load(rays_o + 3 * row + 2, mask=going, other=0.0)
    dx = tl.load(rays_d + 3 * row, mask=going, other=1.0)
    dy = tl.load(rays_d + 3 * row + 1, mask=going, other=1.0)
    dz = tl.load(rays_d + 3 * row + 2, mask=going, other=1.0)
    jitter = tl.load(jitters + row, mask=going, other=0.0)
    ix = 1.0 / tl.where(dx == 0, 1.0, dx)
    iy = 1.0 / tl.where(dy == 0, 1.0, dy)
    iz = 1.0 / tl.where(dz == 0, 1.0, dz)
    outermost: tl.constexpr = 0.5 * 2 ** (CASCADES - 1)
    enter = tl.zeros([BLOCK], tl.float32)
    leave = enter + float("inf")
    enter, leave = _slab(ox, dx, outermost, enter, leave)
    enter, leave = _slab(oy, dy, outermost, enter, leave)
    enter, leave = _slab(oz, dz, outermost, enter, leave)
    going = going & (leave > enter) & (step < steps)

    # Steps are constant up to a knee and grow geometrically from there on (`step_edges`): their bounds are inverted in
    # closed form, and the result is checked against the bounds themselves.
    nearest, farthest = tl.load(edges), tl.load(edges + steps)
    least, most = tl.load(edges + 1) - nearest, farthest - tl.load(edges + steps - 1)
    grows = most > 1.005 * least
    cone = tl.where(grows, most / tl.maximum(farthest - most, 1e-12), 1.0)
    per_unit = tl.where(grows, 1.0 / least, steps / (farthest - nearest))
    knee_at = tl.ceil((least / cone - nearest) * per_unit)
    knee_step = tl.where(grows, tl.minimum(tl.maximum(knee_at, 0.0), steps), steps).to(tl.int32)
    knee = tl.load(edges + knee_step)
    per_octave = 1.0 / tl.log2(1.0 + cone)
    per_knee = 1.0 / tl.maximum(knee * (1.0 + cone * jitter), 1e-12)

    count = tl.zeros([BLOCK], tl.int32)
    start = tl.zeros([BLOCK], tl.int32)
    while tl.max(going.to(tl.int32), axis=0) > 0:
        low = tl.load(edges + step, mask=going, other=0.0)
        delta = tl.load(edges + step + 1, mask=going, other=0.0) - low
        t = low + jitter * delta
        going = going & (t <= leave)
        inside = going & (t >= enter)

        x, y, z = ox + t * dx, oy + t * dy, oz + t * dz
        reach = tl.maximum(tl.maximum(tl.abs(x), tl.abs(y)), tl.abs(z))
        half = tl.full([BLOCK], 0.5, tl.float32)
        cascade = tl.zeros([BLOCK], tl.int32)
        for box in tl.static_range(CASCADES - 1):
            outside = reach > 0.5 * 2**box
            half = tl.where(outside, 1.0 * 2**box, half)
            cascade = tl.where(outside, box + 1, cascade)
        scale = (RESOLUTION * 0.5) / half  # a power of two divides exactly
        edge = half * (2.0 / RESOLUTION)
        i = tl.minimum(tl.maximum(((x + half) * scale).to(tl.int32), 0), RESOLUTION - 1)
        j = tl.minimum(tl.maximum(((y + half) * scale).to(tl.int32), 0), RESOLUTION - 1)
        k = tl.minimum(tl.maximum(((z + half) * scale).to(tl.int32), 0), RESOLUTION - 1)
        brick = ((cascade * bricks + (k >> 2)) * bricks + (j >> 2)) * bricks + (i >> 2)
        cells = tl.load(bits + brick, mask=inside, other=0)
        bit = (i & 3) + 4 * (j & 3) + 16 * (k & 3)
        kept = inside & (((cells >> bit.to(tl.int64)) & 1) != 0)
        if offsets is not None:
            tl.store(ts + begin + count, t, mask=kept)
            tl.store(deltas + begin + count, delta, mask=kept)
            if rays_out is not None:
                tl.store(rays_out + begin + count, ray, mask=kept)
        else:
            start = tl.where(kept & (count == 0), step, start)
        count += kept.to(tl.int32)

        # Every step whose sample lies before `out` would be refused too.
        out = enter
        if CELLS:
            clear = (cells == 0) & BRICKS
            size = tl.where(clear, 4, 1)
            mask = tl.where(clear, -4, -1)
            away = _way_out(ox, dx, ix, i & mask, size, edge, half)
            away = tl.minimum(away, _way_out(oy, dy, iy, j & mask, size, edge, half))
            away = tl.minimum(away, _way_out(oz, dz, iz, k & mask, size, edge, half))
            out = tl.where(inside, away, enter)
        guess = (out - nearest) * per_unit - jitter
        if grows:
            growing = knee_step + tl.log2(tl.maximum(out, 1e-12) * per_knee) * per_octave
            guess = tl.where(out <= knee, guess, growing)
        last = tl.minimum(tl.maximum(tl.ceil(guess) - 1.0, 0.0), steps - 1.0).to(tl.int32)  # to be left out
        far = going & (kept == 0) & (last > step)
        a = tl.load(edges + last - 1, mask=far, other=0.0)
        b = tl.load(edges + last, mask=far, other=0.0)
        c = tl.load(edges + last + 1, mask=far, other=0.0)
        beyond = tl.where(b + jitter * (c - b) < out, last + 1, tl.where(a + jitter * (b - a) < out, last, step + 1))
        step = tl.where(far, beyond, tl.where(going, step + 1, step))
        going = going & (step < steps) & (count < wanted)

    if offsets is None:
        tl.store(counts + row, count, mask=real)
        tl.store(starts + row, start, mask=real)
        if afters is not None:
            tl.store(afters + row, tl.where(count >= wanted, step, steps).to(tl.int64), mask=real)
