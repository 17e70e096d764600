"""The bandwidth of a GPU's L2 cache, by a kernel that does nothing but read."""

from __future__ import annotations

import torch
import triton
import triton.language as tl
from torch import Tensor

from .timing import Stopwatch

_BYTES = 16 << 20  # well within the L2 of any data-centre GPU, and far beyond all L1 caches of one multiprocessor
_BLOCK = 2048
_UNROLLED = 4  # loads of a program that are in flight together


def l2_bandwidth(device: torch.device, stopwatch: Stopwatch, *, rounds: int = 128) -> float:
    """Bytes per second at which all multiprocessors together read a small buffer over and over."""
    programs = 16 * torch.cuda.get_device_properties(device).multi_processor_count
    buffer = torch.rand(_BYTES // 4, device=device)
    times = stopwatch(lambda: read_again(buffer, programs, rounds))
    return programs * rounds * _UNROLLED * _BLOCK * 4 / times.median


def read_again(buffer: Tensor, programs: int, rounds: int) -> Tensor:
    """Sums [programs, 2048] of the chunks of a buffer [N] that each program reads, past the L1 caches.

    Args:
        buffer: float32, a multiple of 2048 long.
        programs: How many programs read.
        rounds: Each reads 4 · `rounds` chunks of 2048; together they go through the buffer chunk by chunk.
    """
    sums = buffer.new_empty(programs, _BLOCK)
    chunks = len(buffer) // _BLOCK
    _read_kernel[(programs,)](buffer, sums, chunks, programs, rounds, UNROLLED=_UNROLLED, BLOCK=_BLOCK, num_warps=4)
    return sums


@triton.jit
def _read_kernel(buffer, sums, chunks, programs, rounds, UNROLLED: tl.constexpr, BLOCK: tl.constexpr):
    program = tl.program_id(0)
    lane = tl.arange(0, BLOCK)
    total = tl.zeros([BLOCK], tl.float32)
    for turn in range(rounds):
        for part in tl.static_range(UNROLLED):
            chunk = (program + (turn * UNROLLED + part) * programs) % chunks
            total += tl.load(buffer + chunk * BLOCK + lane, cache_modifier=".cg")
    tl.store(sums + program * BLOCK + lane, total)
