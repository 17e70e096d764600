"""Times of a device alone, with cold caches."""

from __future__ import annotations

from collections.abc import Callable

import torch

from .times import Times, wall_once

_COLD = {"cpu": 64 << 20, "cuda": 1 << 30}  # bytes that are read beforehand, more than the caches hold
_AHEAD = 12  # readings of them on CUDA, some milliseconds: meanwhile the host queues the run


class Stopwatch:
    """Times runs on one device.

    Before every run a large buffer is read, so that inputs come from memory; read rather than written, as dirty lines
    would be written back during the run. On CUDA, events time the device from the first kernel to the last.

    Args:
        device: Where the runs happen.
        repeats: Runs that count, after two that do not.
    """

    def __init__(self, device: torch.device, repeats: int) -> None:
        self.device, self.repeats = device, repeats
        self._buffer = torch.zeros(_COLD[device.type] // 4, device=device)

    def __call__(self, run: Callable[[], object], prepare: Callable[[], None] | None = None) -> Times:
        """Seconds of each repeat of a run."""
        one = self._cuda if self.device.type == "cuda" else self._cpu
        for _ in range(2):
            one(run, prepare)
        return Times([one(run, prepare) for _ in range(self.repeats)])

    def _cpu(self, run: Callable[[], object], prepare: Callable[[], None] | None) -> float:
        if prepare is not None:
            prepare()
        self._buffer.sum()
        return wall_once(run)

    def _cuda(self, run: Callable[[], object], prepare: Callable[[], None] | None) -> float:
        if prepare is not None:
            prepare()
        torch.cuda.synchronize(self.device)
        begin, end = (torch.cuda.Event(enable_timing=True) for _ in range(2))
        for _ in range(_AHEAD):
            self._buffer.sum()
        begin.record()
        run()
        end.record()
        torch.cuda.synchronize(self.device)
        return begin.elapsed_time(end) / 1e3
