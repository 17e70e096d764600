"""Selection among a ray's samples in Triton: the visible ones, the heaviest, the median.

Arrays may be longer than the number of samples in use, the last of `offsets`.
"""

from __future__ import annotations

import torch
import triton
import triton.language as tl
from torch import Tensor

from ..samples import NEGLIGIBLE, FixedSamples
from .packing_gpu import (
    clear_tail,
    load_depths,
    load_row,
    load_rows,
    load_runs,
    place_runs,
    row_tile,
    run_tile,
    sums_in_front,
    whole_groups,
)

_TILE = {"BR": 8, "BS": 16, "num_warps": 1}  # of one warp: where rays end early, no other warp is waited for
_TAIL = 4096
_ROWS = {"BLOCK": 32, "num_warps": 4}


def visible_fixed(sigma: Tensor, samples: FixedSamples, limit: float, capacity: int) -> FixedSamples:
    """Visible samples, in arrays of a fixed size; the host never waits.

    Args:
        sigma: Densities [C], float32.
        samples: Samples with these densities.
        limit: A sample is kept if the optical depth in front of it is less.
        capacity: Room for those kept. The first ray that would pass it, and all after it, get none.

    Returns:
        The samples kept, zeros behind the last one; a ray is complete if it was, and has all that it should keep.
    """
    rays, device = len(samples.offsets) - 1, sigma.device
    kept = FixedSamples.empty(rays, capacity, device, cleared=rays == 0)
    if rays == 0:
        return kept
    counts, _ = reached(sigma, samples.delta, samples.offsets, torch.zeros(rays, device=device), limit)
    place_runs(counts, capacity, kept.offsets, kept.complete, before=samples.complete)
    programs = triton.cdiv(rays, _TILE["BR"])
    _copy_kernel[(programs + triton.cdiv(len(kept.t), _TAIL),)](
        samples.offsets,
        kept.offsets,
        samples.t,
        samples.delta,
        kept.t,
        kept.delta,
        kept.rays,
        rays,
        len(kept.t),
        programs,
        TAIL=_TAIL,
        **_TILE,
    )
    return kept


def visible_rows(rows: Tensor, samples: FixedSamples, visible: FixedSamples) -> Tensor:
    """What was computed for samples, for those of them that `visible_fixed` kept.

    Args:
        rows: A row for each sample [C, N], float32.
        samples: The samples.
        visible: Those kept, V of them.

    Returns:
        [V, N], float32; zeros behind the last one.
    """
    count, columns = len(visible.t), rows.shape[1]
    out = rows.new_empty(count, columns)
    if count:
        _rows_kernel[(triton.cdiv(count, _ROWS["BLOCK"]),)](
            *(rows.contiguous(), samples.offsets, visible.offsets, visible.rays, out, count, len(visible.offsets) - 1),
            N=columns,
            NP=triton.next_power_of_2(columns),
            **_ROWS,
        )
    return out


def reached(sigma: Tensor, delta: Tensor, offsets: Tensor, depth: Tensor, limit: float) -> tuple[Tensor, Tensor]:
    """Number of visible samples of each ray.

    Args:
        sigma: Densities [S], float32, not negative.
        delta: Lengths of the samples [S], float32.
        offsets: First sample of each ray, and S [R + 1], int64.
        depth: Optical depth in front of each ray's first sample [R], float32.
        limit: A sample is reached if the optical depth in front of it is less.

    Returns:
        Number of samples reached [R], int32 - the first ones, as depth only grows - and the optical depth behind the
        last sample [R], or some depth of at least `limit`.
    """
    rays = len(offsets) - 1
    counts = torch.empty(rays, dtype=torch.int32, device=sigma.device)
    behind = torch.empty_like(depth)
    if rays:
        _reached_kernel[(triton.cdiv(rays, _TILE["BR"]),)](
            whole_groups(sigma), whole_groups(delta), offsets, depth, counts, behind, limit, rays, **_TILE
        )
    return counts, behind


def select_heaviest(weights: Tensor, t: Tensor, offsets: Tensor, count: int) -> tuple[Tensor, Tensor]:
    """The heaviest samples of each ray, near to far, in a table; the sum of each ray's weights is kept.

    Samples of negligible weight are left out.

    Args:
        weights: Rendering weights [S], float32.
        t: Distance of each sample [S], float32.
        offsets: First sample of each ray, and S [R + 1], int64.
        count: Columns of the table; of equally heavy samples the nearer ones are taken.

    Returns:
        Distances and weights [R, count], float32; zeros where a ray has no more samples.
    """
    rays = len(offsets) - 1
    distances, heaviest = weights.new_zeros(rays, count), weights.new_zeros(rays, count)
    scale = weights.new_empty(rays)
    if rays:
        _heaviest_kernel[(triton.cdiv(rays, _TILE["BR"]),)](
            weights, t, offsets, distances, heaviest, scale, NEGLIGIBLE, rays, COUNT=count, **_TILE
        )
    return distances, heaviest.mul_(scale[:, None])


def median_distance_gpu(t: Tensor, delta: Tensor, weights: Tensor, offsets: Tensor) -> tuple[Tensor, Tensor]:
    """Distance at which half of the light has been stopped [R], 0 if never, and the opacity [R]."""
    rays = len(offsets) - 1
    distance, opacity = weights.new_empty(rays), weights.new_empty(rays)
    if rays:
        _median_kernel[(triton.cdiv(rays, _TILE["BR"]),)](
            t, delta, whole_groups(weights), offsets, distance, opacity, rays, **_TILE
        )
    return distance, opacity


@triton.jit(do_not_specialize=["num_rays"])
def _reached_kernel(sigma, delta, offsets, depths, counts, behind, limit, num_rays, BR: tl.constexpr, BS: tl.constexpr):
    ray, real, base, first, last = load_rows(offsets, tl.program_id(0), num_rays, BR)
    depth = tl.load(depths + ray, mask=real, other=0.0)[:, None]
    reached = tl.zeros([BR, BS], tl.int32)
    start = tl.zeros([], tl.int32)
    longest = tl.max(last)
    while start < longest:
        j, inside = row_tile(start, first, last, BS)
        step = load_depths(sigma, delta, base, j, last, inside)
        reached += (inside & (depth + sums_in_front(step) < limit)).to(tl.int32)
        depth += tl.sum(step, axis=1, keep_dims=True)
        start += BS
        # Behind an opaque sample nothing is read any more.
        longest = tl.max(tl.where(depth < limit, last, 0))
    tl.store(counts + ray, tl.sum(reached, axis=1), mask=real)
    tl.store(behind + ray[:, None], depth, mask=real[:, None])


@triton.jit(do_not_specialize=["num_rays", "capacity", "programs"])
def _copy_kernel(
    source_offsets,
    offsets,
    t,
    delta,
    t_out,
    delta_out,
    rays_out,
    num_rays,
    capacity,
    programs,
    BR: tl.constexpr,
    BS: tl.constexpr,
    TAIL: tl.constexpr,
):
    pid = tl.program_id(0)
    if pid >= programs:
        clear_tail(t_out, offsets, num_rays, capacity, 1, pid - programs, TAIL)
        clear_tail(delta_out, offsets, num_rays, capacity, 1, pid - programs, TAIL)
        clear_tail(rays_out, offsets, num_rays, capacity, 1, pid - programs, TAIL)
    else:
        ray, real, begin, length = load_runs(offsets, pid, num_rays, BR)
        source = tl.load(source_offsets + ray, mask=real, other=0)
        for start in range(0, tl.max(length, axis=0), BS):
            here, mask = run_tile(source, start, length, BS)
            there, _ = run_tile(begin, start, length, BS)
            tl.store(t_out + there, tl.load(t + here, mask=mask, other=0.0), mask=mask)
            tl.store(delta_out + there, tl.load(delta + here, mask=mask, other=0.0), mask=mask)
            tl.store(rays_out + there, tl.broadcast_to(ray[:, None], (BR, BS)), mask=mask)


@triton.jit(do_not_specialize=["num_rays"])
def _heaviest_kernel(
    weights,
    t,
    offsets,
    distances,
    heaviest,
    scales,
    negligible,
    num_rays,
    COUNT: tl.constexpr,
    BR: tl.constexpr,
    BS: tl.constexpr,
):
    ray, real, base, first, last = load_rows(offsets, tl.program_id(0), num_rays, BR)
    longest = tl.max(last)
    row = ray.to(tl.int64)[:, None] * COUNT
    all_weights = tl.zeros([BR, BS], tl.float32)
    kept_weights = tl.zeros([BR, BS], tl.float32)
    taken = tl.zeros([BR, 1], tl.int32)
    for start in range(0, longest, BS):
        j, inside = row_tile(start, first, last, BS)
        w = tl.load(weights + base + j, mask=inside, other=0.0)
        # The rank of a sample is the number of samples that are heavier, or as heavy and nearer.
        rank = tl.zeros([BR, BS], tl.int32)
        for other in range(longest):
            against = tl.load(weights + base + other, mask=(other >= first) & (other < last), other=-1.0)
            rank += ((against > w) | ((against == w) & (other < j))).to(tl.int32)
        kept = inside & (rank < COUNT) & (w > negligible)
        place = taken + tl.cumsum(kept.to(tl.int32), axis=1) - 1
        tl.store(heaviest + row + place, w, mask=kept)
        tl.store(distances + row + place, tl.load(t + base + j, mask=kept, other=0.0), mask=kept)
        taken += tl.sum(kept.to(tl.int32), axis=1, keep_dims=True)
        all_weights += w
        kept_weights += tl.where(kept, w, 0.0)
    scale = tl.sum(all_weights, axis=1) / tl.maximum(tl.sum(kept_weights, axis=1), 1e-12)
    tl.store(scales + ray, scale, mask=real)


@triton.jit(do_not_specialize=["num_rays"])
def _median_kernel(t, delta, weights, offsets, distances, opacities, num_rays, BR: tl.constexpr, BS: tl.constexpr):
    ray, real, base, first, last = load_rows(offsets, tl.program_id(0), num_rays, BR)
    opacity = tl.zeros([BR, 1], tl.float32)
    # As opacity only grows, half of the light is stopped in the first sample behind which it exceeds one half.
    crossing = tl.full([BR, BS], 2147483647, tl.int32)
    stopped = tl.zeros([BR, BS], tl.float32)  # opacity in front of that sample
    for start in range(0, tl.max(last), BS):
        j, inside = row_tile(start, first, last, BS)
        w = tl.where(inside, load_row(weights + base, j, last), 0.0)
        after = opacity + tl.cumsum(w, axis=1)
        past = after > 0.5
        crossing = tl.minimum(crossing, tl.where(past, j, 2147483647))
        stopped = tl.maximum(stopped, tl.where(past, 0.0, after))
        opacity += tl.sum(w, axis=1, keep_dims=True)
    at = tl.min(crossing, axis=1)[:, None]
    before = tl.max(stopped, axis=1)[:, None]
    hit = at < last
    here = base + tl.where(hit, at, 0)
    # Weights accumulate linearly within a sample, so the crossing is found by interpolation.
    own = tl.maximum(tl.load(weights + here, mask=hit, other=1.0), 1e-12)
    part = (0.5 - before) / own - 0.5
    middle = tl.load(t + here, mask=hit, other=0.0)
    distance = tl.where(hit, middle + part * tl.load(delta + here, mask=hit, other=0.0), 0.0)
    tl.store(distances + ray[:, None], distance, mask=real[:, None])
    tl.store(opacities + ray[:, None], opacity, mask=real[:, None])


@triton.jit(do_not_specialize=["capacity", "num_rays"])
def _rows_kernel(
    rows,
    source_offsets,
    offsets,
    rays,
    out,
    capacity,
    num_rays,
    N: tl.constexpr,
    NP: tl.constexpr,
    BLOCK: tl.constexpr,
):
    sample = tl.program_id(0).to(tl.int64) * BLOCK + tl.arange(0, BLOCK)
    used = sample < tl.load(offsets + num_rays)
    ray = tl.load(rays + sample, mask=used, other=0)
    # The first samples of a ray are kept.
    source = sample + tl.load(source_offsets + ray, mask=used, other=0) - tl.load(offsets + ray, mask=used, other=0)
    column = tl.arange(0, NP)[None, :]
    inside = column < N
    values = tl.load(rows + source[:, None] * N + column, mask=used[:, None] & inside, other=0.0)
    tl.store(out + sample[:, None] * N + column, values, mask=(sample < capacity)[:, None] & inside)
