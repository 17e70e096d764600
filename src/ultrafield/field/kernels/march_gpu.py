"""Ray marching in Triton: a warp walks 32 rays in lockstep, and empty bricks of cells are left in one stride.

Occupancy is read from a bitfield in bricks of 4³ cells, 64 bits each, so that a ray's next cell mostly lies in the word
or the sector it has just read, and one look tells whether a whole brick is empty.
"""

from __future__ import annotations

import torch
import triton
import triton.language as tl
from torch import Tensor

from ..occupancy import OccupancyGrid
from ..samples import FixedSamples, Samples
from .packing_gpu import place_runs
from .walk_gpu import count_kernel, fill_kernel

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
    solid: Tensor | None = None,
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
        solid: Cells that let no light through, as `bits`: a ray's first sample in one of them is its last. None for
            no such cells.

    Returns:
        The samples; zeros behind the last one.
    """
    count, device = len(rays_o), rays_o.device
    samples = FixedSamples.empty(count, capacity, device)
    if count == 0:
        return samples
    walk = _Walk(rays_o, rays_d, bits, cascades, resolution, edges, jitter)
    counts, starts = walk.count(len(edges) if limit is None else limit, live_rays=live_rays, solid=solid)
    placed = place_runs(counts, capacity, samples.offsets, samples.complete, live=live_rays)
    walk.fill(placed, starts, samples.offsets, samples.t, samples.delta, samples.rays)
    return samples


class _Walk:
    """The rays and the grid, for the two passes: one counts the samples of each ray, the other writes them."""

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
        self.rays, self.device = len(rays_o), rays_o.device
        self.inputs = (rays_o.contiguous(), rays_d.contiguous(), jitter.contiguous(), bits.view(torch.int64), edges)
        # Strides across a cell or brick are safe only if it cannot reach into the next finer box.
        strides = [cells for cells in (1, 4) if cascades == 1 or resolution % (4 * cells) == 0]
        self.sizes = {
            "num_rays": self.rays,
            "steps": len(edges) - 1,
            "RESOLUTION": resolution,
            "CASCADES": cascades,
            "STRIDE": max(strides, default=0),
            "BLOCK": _RAYS,
            "num_warps": 1,
            "enable_fp_fusion": False,  # so that both passes, and the CPU, round alike, and find the same samples
        }

    def count(
        self,
        limit: int,
        *,
        first: Tensor | None = None,
        after: Tensor | None = None,
        live_rays: Tensor | None = None,
        solid: Tensor | None = None,
    ) -> tuple[Tensor, Tensor]:
        """Number of samples [R] and step of the first one [R], int32; the next steps go to `after`."""
        counts = torch.empty(self.rays, dtype=torch.int32, device=self.device)
        starts = torch.empty_like(counts)
        words = None if solid is None else solid.view(torch.int64)
        count_kernel[(triton.cdiv(self.rays, _RAYS),)](
            *self.inputs, words, first, live_rays, counts, starts, after, limit=limit, **self.sizes
        )
        return counts, starts

    def fill(
        self, counts: Tensor, starts: Tensor, offsets: Tensor, t: Tensor, delta: Tensor, rays: Tensor | None = None
    ) -> None:
        """Write the samples of each ray, `counts` of them, from step `starts` on."""
        fill_kernel[(triton.cdiv(self.rays, _RAYS),)](
            *self.inputs, counts, starts, offsets, t, delta, rays, **self.sizes
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
    full = tl.load(occupied + cascade * cells + x + resolution * (y + resolution * z), mask=inside, other=0)
    packed = tl.sum((full != 0).to(tl.int32) << lane, axis=1)
    tl.store(bits + cascade * words + word, packed, mask=word < words)
