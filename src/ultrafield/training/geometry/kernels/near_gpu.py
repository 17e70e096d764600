"""Gradients that fall off towards the camera in Triton."""

from __future__ import annotations

import torch
import triton
import triton.language as tl
from torch import Tensor

_BLOCK = 1024


def weaken_gpu(gradient: Tensor, distance: Tensor, reach: float) -> Tensor:
    """Gradients [S] or [S, C] times min(1, (distance / reach)²), float32; distances [S]."""
    gradient, weakened = gradient.contiguous(), torch.empty_like(gradient, memory_format=torch.contiguous_format)
    count, channels = gradient.numel(), gradient.numel() // max(1, len(gradient))
    if count:
        grid = (triton.cdiv(count, _BLOCK),)
        _weaken_kernel[grid](gradient, distance.contiguous(), weakened, reach, count, CHANNELS=channels, BLOCK=_BLOCK)
    return weakened


@triton.jit(do_not_specialize=["count"])
def _weaken_kernel(gradient, distance, weakened, reach, count, CHANNELS: tl.constexpr, BLOCK: tl.constexpr):
    entry = tl.program_id(0).to(tl.int64) * BLOCK + tl.arange(0, BLOCK)
    real = entry < count
    near = tl.load(distance + entry // CHANNELS, mask=real, other=0.0) / reach
    share = tl.minimum(near * near, 1.0)
    tl.store(weakened + entry, share * tl.load(gradient + entry, mask=real, other=0.0), mask=real)
