"""Runs of samples that the tests of packed rendering share."""

from __future__ import annotations

import torch
from torch import Tensor


def random_runs(counts: list[int]) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Densities, lengths and increasing distances [S] of runs with so many samples, and their offsets [R + 1]."""
    generator = torch.Generator().manual_seed(0)
    total = sum(counts)
    sigma = torch.rand(total, generator=generator) * 30
    delta = torch.rand(total, generator=generator) * 0.1 + 1e-3
    t = torch.cat([torch.rand(n, generator=generator).sort().values for n in counts] or [torch.empty(0)])
    return sigma, delta, t, torch.tensor([0, *counts]).cumsum(0)
