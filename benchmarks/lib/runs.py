"""Packed samples that the operations along rays share."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from ultrafield.field.kernels.volrend_torch import render_weights_torch
from ultrafield.field.volrend import ray_indices, run_offsets

from .case import Setup


@dataclass(frozen=True)
class Runs:
    """Packed samples of rays with 8 to 40 each (the last one perhaps with three less), which touch one another."""

    offsets: Tensor
    sigma: Tensor
    delta: Tensor
    t: Tensor

    @property
    def count(self) -> int:
        """Number of samples."""
        return len(self.t)

    @property
    def bounds(self) -> int:
        """Bytes of the rays' bounds."""
        return 8 * len(self.offsets)


def packed_runs(setup: Setup) -> Runs:
    """Runs of some density everywhere."""
    rays = max(1, setup.composited // 24)
    counts = setup.indices(33, rays, seed=0) + 8
    counts[-1] -= counts.sum() % 4  # arrays in multiples of four, as in training
    offsets = run_offsets(counts)
    count = int(offsets[-1])
    sigma, delta = setup.uniform(count, seed=1) * 30, torch.full((count,), 1 / 128, device=setup.device)
    rank = torch.arange(count, device=setup.device) - offsets[ray_indices(offsets, count)]
    return Runs(offsets, sigma, delta, 0.5 + (rank + 0.5) / 128)


def weighted(setup: Setup) -> tuple[Runs, Tensor]:
    """Runs and their weights."""
    runs = packed_runs(setup)
    return runs, render_weights_torch(runs.sigma, runs.delta, runs.offsets)
