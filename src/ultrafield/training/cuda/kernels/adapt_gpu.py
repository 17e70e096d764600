"""The number of rays of the next step in Triton, as the host knows neither samples nor rays of this one."""

from __future__ import annotations

import triton
import triton.language as tl
from torch import Tensor

from ....field.samples import FixedSamples


def adapt_rays_gpu(
    live_rays: Tensor, marched: FixedSamples, visible: FixedSamples, *, room: int, aim: int, fewest: int, most: int
) -> None:
    """Move half of the way to the number of rays that fills both capacities, to damp swings.

    Args:
        live_rays: Rays of this step [1], int64; changed to those of the next.
        marched: This step's samples in occupied cells.
        visible: Those of them that light reaches.
        room: Room for samples in occupied cells, of which a tenth is to stay free.
        aim: Visible samples to aim for.
        fewest: Least number of rays.
        most: Largest number of rays.
    """
    counts = (marched.offsets[-1:], marched.complete.sum(), visible.offsets[-1:], visible.complete.sum())
    _adapt_kernel[(1,)](live_rays, *counts, room, aim, fewest, most, num_warps=1)


@triton.jit(do_not_specialize=["room", "aim", "fewest", "most"])
def _adapt_kernel(live_rays, marched, marched_rays, visible, visible_rays, room, aim, fewest, most):
    rays = tl.load(live_rays).to(tl.float64)
    filled = 0.9 * room / _per_ray(marched, marched_rays)
    needed = tl.minimum(filled, aim / _per_ray(visible, visible_rays))
    wanted = tl.minimum(tl.maximum(0.5 * (rays + needed), fewest), most)
    tl.store(live_rays, wanted.to(tl.int64))


@triton.jit
def _per_ray(samples, rays):
    """Samples of each complete ray; little where there are none."""
    return tl.maximum(tl.load(samples).to(tl.float64) / tl.maximum(tl.load(rays), 1).to(tl.float64), 1e-3)
