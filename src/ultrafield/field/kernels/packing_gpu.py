"""Runs of packed samples in arrays of a fixed size, in Triton."""

from __future__ import annotations

import torch
import triton
import triton.language as tl
from torch import Tensor

_RAYS = 256


def place_runs(
    counts: Tensor,
    capacity: int,
    offsets: Tensor,
    complete: Tensor,
    *,
    live: Tensor | None = None,
    before: Tensor | None = None,
) -> Tensor:
    """Lay out runs in room for `capacity` samples; the host does not wait.

    Args:
        counts: Samples of each ray [R], int32.
        capacity: Room; the first run that would pass it, and all after it, stay empty.
        offsets: Written: bounds of the runs [R + 1], int64.
        complete: Written: whether a live ray has all of its samples [R], bool.
        live: How many rays are real [1], int64; all if None.
        before: Whether the rays were complete so far [R], bool; all if None.

    Returns:
        Samples that each ray gets [R], int32.
    """
    rays = len(counts)
    placed = torch.empty_like(counts)
    ends = torch.cumsum(counts, 0, dtype=torch.int64)
    _place_kernel[(triton.cdiv(rays, _RAYS),)](
        counts, ends, live, before, offsets, complete, placed, rays, capacity, BLOCK=_RAYS
    )
    return placed


def append_runs(
    source: tuple[Tensor, Tensor, Tensor],
    source_offsets: Tensor,
    counts: Tensor,
    rays: Tensor,
    filled: Tensor,
    target: tuple[Tensor, Tensor, Tensor],
    *,
    vectors: tuple[Tensor, Tensor] | None = None,
) -> None:
    """Append the first samples of some rays' runs to what is already there of these rays.

    Args:
        source: Three columns [S], float32.
        source_offsets: Runs of A rays in them [A + 1], int64.
        counts: Samples to append of each [A], int32.
        rays: Which rays these are [A], int64, all different.
        filled: Where each ray's next sample goes in `target` [R], int64; moved on.
        target: The columns they go to [T], float32.
        vectors: Rows [S, C] and [T, C], float32, that go with them.
    """
    if len(rays) == 0:
        return
    to = filled[rays]
    before, after = vectors or (None, None)
    channels = before.shape[1] if before is not None else 1
    _append_kernel[(triton.cdiv(len(rays), 16),)](
        *source,
        source_offsets,
        counts,
        to,
        *target,
        before,
        after,
        len(rays),
        CHANNELS=channels,
        BR=16,
        BS=8,
        BC=triton.next_power_of_2(channels),
    )
    filled.index_put_((rays,), to + counts)


def whole_groups(column: Tensor) -> Tensor:
    """Pad a column [S] with zeros to a multiple of four entries, as `load_row` reads four at once.

    Columns of `FixedSamples`, and whatever is computed per entry of these, need no padding.
    """
    spare = -len(column) % 4
    return torch.nn.functional.pad(column, (0, spare)) if spare else column.contiguous()


@triton.jit(do_not_specialize=["rays", "capacity"])
def _place_kernel(counts, ends, live, before, offsets, complete, placed, rays, capacity, BLOCK: tl.constexpr):
    ray = tl.program_id(0) * BLOCK + tl.arange(0, BLOCK)
    real = ray < rays
    end = tl.load(ends + ray, mask=real, other=0)
    fits = end <= capacity
    # The last end within the capacity, for the rays beyond it; most programs have none and need no search.
    room = tl.zeros([], tl.int64)
    if tl.max(end, axis=0) > capacity:
        low = tl.zeros([], tl.int32)
        high = low + rays
        while low < high:
            middle = (low + high) // 2
            within = tl.load(ends + middle) <= capacity
            low = tl.where(within, middle + 1, low)
            high = tl.where(within, high, middle)
        room = tl.load(ends + low - 1, mask=low > 0, other=0)
    tl.store(offsets + ray + 1, tl.where(fits, end, room), mask=real)
    tl.store(offsets + ray, end * 0, mask=ray == 0)
    tl.store(placed + ray, tl.where(fits, tl.load(counts + ray, mask=real, other=0), 0), mask=real)
    whole = fits
    if live is not None:
        whole = whole & (ray < tl.load(live))
    if before is not None:
        whole = whole & (tl.load(before + ray, mask=real, other=0) != 0)
    tl.store(complete + ray, whole, mask=real)


@triton.jit
def load_runs(offsets, pid, num_rays, BR: tl.constexpr):
    """Rays of a program, the first samples and the lengths of their runs; empty beyond the last ray."""
    ray = pid * BR + tl.arange(0, BR)
    real = ray < num_rays
    begin = tl.load(offsets + ray, mask=real, other=0)
    end = tl.load(offsets + ray + 1, mask=real, other=0)
    return ray, real, begin, (end - begin).to(tl.int32)


@triton.jit
def load_rows(offsets, pid, num_rays, BR: tl.constexpr):
    """Runs of a program's rays as rows that begin at multiples of four entries, as 16 aligned bytes are read at once.

    Returns:
        The rays and whether they exist [BR]; per row [BR, 1] the entry that it begins with, and first <= j < last, its
        run, counted from there.
    """
    ray, real, begin, length = load_runs(offsets, pid, num_rays, BR)
    base = begin // 4 * 4
    first = (begin - base).to(tl.int32)
    return ray, real, base[:, None], first[:, None], (first + length)[:, None]


@triton.jit
def run_tile(begin, start, length, BS: tl.constexpr):
    """Entries start … start + BS of runs, as places in the array, and whether they exist [BR, BS]."""
    j = start + tl.arange(0, BS)[None, :]
    return begin[:, None] + j, j < length[:, None]


@triton.jit
def row_tile(start, first, last, BS: tl.constexpr):
    """Entries start … start + BS of rows [1, BS], and whether they belong to the rows' runs [BR, BS]."""
    j = start + tl.arange(0, BS)[None, :]
    return j, (j >= first) & (j < last)


@triton.jit
def load_row(row, j, last):
    """Entries j of rows up to the end of the last sample's group of four; arrays must end with a whole group."""
    return tl.load(row + j, mask=j < (last + 3) // 4 * 4, other=0.0)


@triton.jit
def load_depths(sigma, delta, base, j, last, inside):
    """Optical depths σ δ of entries j of rows; 0 outside of the runs."""
    step = load_row(sigma + base, j, last) * load_row(delta + base, j, last)
    return tl.where(inside, step, 0.0)


@triton.jit
def store_row(row, j, value, first, last):
    """Write entries first <= j < last of rows, and nothing else: whole groups of four at once, the others singly."""
    whole = (j >= (first + 3) // 4 * 4) & (j < last // 4 * 4)
    tl.store(row + j, value, mask=whole)
    tl.store(row + j, value, mask=(j >= first) & (j < last) & (whole == 0))


@triton.jit
def sums_in_front(values):
    """Sum of the values in front of each one in its row; exact behind large ones, where a difference would lose it."""
    front, _ = tl.associative_scan((tl.zeros_like(values), values), 1, _join_sums)
    return front


@triton.jit
def _join_sums(front, through, next_front, next_through):
    """Sums in front of, and with, the last value of two stretches that touch."""
    return through + next_front, through + next_through


@triton.jit
def clear_tail(out, offsets, num_rays, capacity, channels, pid, BLOCK: tl.constexpr):
    """Write zeros behind the last sample; `BLOCK`, a multiple of 512, is the share of a program."""
    end = tl.load(offsets + num_rays) * channels
    total = tl.zeros([], tl.int64) + capacity * channels
    first = pid.to(tl.int64) * BLOCK
    if first + BLOCK > end:
        low = tl.maximum(end - first, 0).to(tl.int32)
        high = tl.minimum(total - first, BLOCK).to(tl.int32)
        zeros = tl.zeros([512], out.dtype.element_ty)
        for start in range(0, BLOCK, 512):
            store_row(out + first, start + tl.arange(0, 512), zeros, low, high)


@triton.jit(do_not_specialize=["num_rays"])
def _append_kernel(
    a,
    b,
    c,
    source_offsets,
    counts,
    to,
    a_out,
    b_out,
    c_out,
    vectors,
    vectors_out,
    num_rays,
    CHANNELS: tl.constexpr,
    BR: tl.constexpr,
    BS: tl.constexpr,
    BC: tl.constexpr,
):
    ray = tl.program_id(0) * BR + tl.arange(0, BR)
    real = ray < num_rays
    source = tl.load(source_offsets + ray, mask=real, other=0)
    target = tl.load(to + ray, mask=real, other=0)
    length = tl.load(counts + ray, mask=real, other=0)
    channel = tl.arange(0, BC)[None, None, :]
    for start in range(0, tl.max(length, axis=0), BS):
        here, mask = run_tile(source, start, length, BS)
        there, _ = run_tile(target, start, length, BS)
        tl.store(a_out + there, tl.load(a + here, mask=mask, other=0.0), mask=mask)
        tl.store(b_out + there, tl.load(b + here, mask=mask, other=0.0), mask=mask)
        tl.store(c_out + there, tl.load(c + here, mask=mask, other=0.0), mask=mask)
        if vectors is not None:
            inside = mask[:, :, None] & (channel < CHANNELS)
            row = tl.load(vectors + here[:, :, None] * CHANNELS + channel, mask=inside, other=0.0)
            tl.store(vectors_out + there[:, :, None] * CHANNELS + channel, row, mask=inside)
