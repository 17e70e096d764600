"""The two passes of ray marching in Triton: one counts the samples of each ray, the other writes them.

Both walk alike, step by step, with a ray per lane. Origins and directions are tuples of three vectors [BLOCK].
"""

from __future__ import annotations

import triton
import triton.language as tl


@triton.jit(do_not_specialize=["limit", "num_rays", "steps"])
def count_kernel(
    rays_o,
    rays_d,
    jitters,
    bits,
    edges,
    solid,
    firsts,
    live_rays,
    counts,
    starts,
    afters,
    limit,
    num_rays,
    steps,
    RESOLUTION: tl.constexpr,
    CASCADES: tl.constexpr,
    STRIDE: tl.constexpr,
    BLOCK: tl.constexpr,
):
    """Number of samples of each ray, at most `limit`, the step of the first one, and the step to go on with.

    A ray's first sample in a cell of `solid` is its last one.
    """
    ray = tl.program_id(0) * BLOCK + tl.arange(0, BLOCK)
    real = ray < num_rays
    row = ray.to(tl.int64)
    step = tl.zeros([BLOCK], tl.int32)
    going = real
    if live_rays is not None:
        going = going & (row < tl.load(live_rays))
    if firsts is not None:
        step = tl.load(firsts + row, mask=real, other=0).to(tl.int32)
    origin, direction, jitter = _load_rays(rays_o, rays_d, jitters, row, going)
    enter, leave = _span(origin, direction, CASCADES)
    going = going & (leave > enter) & (step < steps)
    spacing = _spacing(edges, steps, jitter)

    count = tl.zeros([BLOCK], tl.int32)
    start = tl.zeros([BLOCK], tl.int32)
    while tl.max(going.to(tl.int32), axis=0) > 0:
        t, _, going = _sample(edges, step, jitter, leave, going)
        inside = going & (t >= enter)
        kept, clear, ends = _look(bits, solid, origin, direction, t, enter, inside, RESOLUTION, CASCADES, STRIDE)
        start = tl.where(kept & (count == 0), step, start)
        count += kept.to(tl.int32)
        step = _next_step(edges, step, steps, jitter, spacing, clear, kept, going)
        going = going & (step < steps) & (count < limit) & (ends == 0)

    tl.store(counts + row, count, mask=real)
    tl.store(starts + row, start, mask=real)
    if afters is not None:
        tl.store(afters + row, tl.where(count >= limit, step, steps).to(tl.int64), mask=real)


@triton.jit(do_not_specialize=["num_rays", "steps"])
def fill_kernel(
    rays_o,
    rays_d,
    jitters,
    bits,
    edges,
    counts,
    starts,
    offsets,
    ts,
    deltas,
    rays_out,
    num_rays,
    steps,
    RESOLUTION: tl.constexpr,
    CASCADES: tl.constexpr,
    STRIDE: tl.constexpr,
    BLOCK: tl.constexpr,
):
    """Write the samples of each ray, `counts` of them, from step `starts` on."""
    ray = tl.program_id(0) * BLOCK + tl.arange(0, BLOCK)
    real = ray < num_rays
    row = ray.to(tl.int64)
    place = tl.load(offsets + row, mask=real, other=0)
    wanted = tl.load(counts + row, mask=real, other=0)
    step = tl.load(starts + row, mask=real, other=0)
    going = real & (wanted > 0)
    origin, direction, jitter = _load_rays(rays_o, rays_d, jitters, row, going)
    enter, leave = _span(origin, direction, CASCADES)
    going = going & (leave > enter) & (step < steps)
    spacing = _spacing(edges, steps, jitter)

    count = tl.zeros([BLOCK], tl.int32)
    while tl.max(going.to(tl.int32), axis=0) > 0:
        t, delta, going = _sample(edges, step, jitter, leave, going)
        inside = going & (t >= enter)
        kept, clear, _ = _look(bits, None, origin, direction, t, enter, inside, RESOLUTION, CASCADES, STRIDE)
        tl.store(ts + place + count, t, mask=kept)
        tl.store(deltas + place + count, delta, mask=kept)
        if rays_out is not None:
            tl.store(rays_out + place + count, ray, mask=kept)
        count += kept.to(tl.int32)
        step = _next_step(edges, step, steps, jitter, spacing, clear, kept, going)
        going = going & (step < steps) & (count < wanted)


@triton.jit
def _load_rays(rays_o, rays_d, jitters, row, mask):
    """Origins, directions and the positions within the steps."""
    ox = tl.load(rays_o + 3 * row, mask=mask, other=0.0)
    oy = tl.load(rays_o + 3 * row + 1, mask=mask, other=0.0)
    oz = tl.load(rays_o + 3 * row + 2, mask=mask, other=0.0)
    dx = tl.load(rays_d + 3 * row, mask=mask, other=1.0)
    dy = tl.load(rays_d + 3 * row + 1, mask=mask, other=1.0)
    dz = tl.load(rays_d + 3 * row + 2, mask=mask, other=1.0)
    return (ox, oy, oz), (dx, dy, dz), tl.load(jitters + row, mask=mask, other=0.0)


@triton.jit
def _span(origin, direction, CASCADES: tl.constexpr):
    """Distances at which rays enter and leave the outermost box; the second is no larger if they miss it."""
    half: tl.constexpr = 0.5 * 2 ** (CASCADES - 1)
    enter = tl.zeros_like(origin[0])
    leave = enter + float("inf")
    enter, leave = _slab(origin[0], direction[0], half, enter, leave)
    enter, leave = _slab(origin[1], direction[1], half, enter, leave)
    return _slab(origin[2], direction[2], half, enter, leave)


@triton.jit
def _slab(o, d, half, enter, leave):
    """Narrow the span in which a ray is between two opposite faces of the box."""
    divisor = tl.where(d == 0, 1.0, d)
    a, b = tl.div_rn(-half - o, divisor), tl.div_rn(half - o, divisor)
    enter = tl.where(d == 0, enter, tl.maximum(enter, tl.minimum(a, b)))
    leave = tl.where(d == 0, tl.where(tl.abs(o) > half, -1.0, leave), tl.minimum(leave, tl.maximum(a, b)))
    return enter, leave


@triton.jit
def _spacing(edges, steps, jitter):
    """Coefficients with which `_guess` inverts the bounds of the steps in closed form.

    They are constant up to a knee and grow geometrically from there on (`step_edges`).
    """
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
    return nearest, per_unit, grows, knee_step, knee, per_octave, per_knee


@triton.jit
def _guess(distance, jitter, spacing):
    """Step, as a real number, whose sample lies at a distance, as far as rounding allows."""
    nearest, per_unit, grows, knee_step, knee, per_octave, per_knee = spacing
    guess = (distance - nearest) * per_unit - jitter
    if grows:
        growing = knee_step + tl.log2(tl.maximum(distance, 1e-12) * per_knee) * per_octave
        guess = tl.where(distance <= knee, guess, growing)
    return guess


@triton.jit
def _sample(edges, step, jitter, leave, going):
    """Distance and length of the sample of a step, and which rays are still in the outermost box there."""
    low = tl.load(edges + step, mask=going, other=0.0)
    delta = tl.load(edges + step + 1, mask=going, other=0.0) - low
    t = low + jitter * delta
    return t, delta, going & (t <= leave)


@triton.jit
def _look(
    bits,
    solid,
    origin,
    direction,
    t,
    enter,
    inside,
    RESOLUTION: tl.constexpr,
    CASCADES: tl.constexpr,
    STRIDE: tl.constexpr,
):
    """Whether rays are in an occupied cell at distance t, how far all they pass is empty, and whether they end at t.

    The second counts only where the first is false; rays end in occupied cells that are `solid` as well.
    """
    x, y, z = origin[0] + t * direction[0], origin[1] + t * direction[1], origin[2] + t * direction[2]
    reach = tl.maximum(tl.maximum(tl.abs(x), tl.abs(y)), tl.abs(z))
    half = tl.full(t.shape, 0.5, tl.float32)
    cascade = tl.zeros(t.shape, tl.int32)
    for box in tl.static_range(CASCADES - 1):
        outside = reach > 0.5 * 2**box
        half = tl.where(outside, 1.0 * 2**box, half)
        cascade = tl.where(outside, box + 1, cascade)
    scale = (RESOLUTION * 0.5) / half  # a power of two divides exactly
    i = tl.minimum(tl.maximum(((x + half) * scale).to(tl.int32), 0), RESOLUTION - 1)
    j = tl.minimum(tl.maximum(((y + half) * scale).to(tl.int32), 0), RESOLUTION - 1)
    k = tl.minimum(tl.maximum(((z + half) * scale).to(tl.int32), 0), RESOLUTION - 1)
    bricks: tl.constexpr = (RESOLUTION + 3) // 4
    brick = ((cascade * bricks + (k >> 2)) * bricks + (j >> 2)) * bricks + (i >> 2)
    cells = tl.load(bits + brick, mask=inside, other=0)
    bit = (i & 3) + 4 * (j & 3) + 16 * (k & 3)
    kept = inside & (((cells >> bit.to(tl.int64)) & 1) != 0)
    ends = inside & (inside == 0)
    if solid is not None:
        ends = kept & (((tl.load(solid + brick, mask=kept, other=0) >> bit.to(tl.int64)) & 1) != 0)

    clear = enter
    if STRIDE > 0:
        whole = (cells == 0) & (STRIDE == 4)
        size = tl.where(whole, 4, 1)
        mask = tl.where(whole, -4, -1)
        edge = half * (2.0 / RESOLUTION)
        clear = _way_out(origin[0], direction[0], i & mask, size, edge, half)
        clear = tl.minimum(clear, _way_out(origin[1], direction[1], j & mask, size, edge, half))
        clear = tl.minimum(clear, _way_out(origin[2], direction[2], k & mask, size, edge, half))
        clear = tl.where(inside, clear, enter)
    return kept, clear, ends


@triton.jit
def _way_out(o, d, low, size, edge, half):
    """Distance up to which a ray is surely still between the faces of cells low … low + size, rounding included."""
    # A millionth exceeds the sum of float32's roundings in the position, in its cell and in this distance.
    margin = 1e-6 * (half + tl.abs(o))
    face = tl.where(d > 0, (low + size).to(tl.float32) * edge - margin, low.to(tl.float32) * edge + margin) - half
    inverse = 1.0 / tl.where(d == 0, 1.0, d)
    return tl.where(d == 0, float("inf"), (face - o) * inverse)


@triton.jit
def _next_step(edges, step, steps, jitter, spacing, clear, kept, going):
    """The next step whose sample lies at `clear` or behind it; where a sample was kept, just the next one."""
    guess = _guess(clear, jitter, spacing)
    last = tl.minimum(tl.maximum(tl.ceil(guess) - 1.0, 0.0), steps - 1.0).to(tl.int32)  # to be left out
    far = going & (kept == 0) & (last > step)
    # The guess is checked against the bounds themselves.
    a = tl.load(edges + last - 1, mask=far, other=0.0)
    b = tl.load(edges + last, mask=far, other=0.0)
    c = tl.load(edges + last + 1, mask=far, other=0.0)
    beyond = tl.where(b + jitter * (c - b) < clear, last + 1, tl.where(a + jitter * (b - a) < clear, last, step + 1))
    return tl.where(far, beyond, tl.where(going, step + 1, step))
