"""The heaviest samples of each pixel, against a loop over rays."""

from __future__ import annotations

import itertools

import torch

from ultrafield.field.samples import Samples
from ultrafield.field.tracing import Traced
from ultrafield.training.features.surface_cache import keep_heaviest


def random_traced(counts: list[int]) -> Traced:
    generator = torch.Generator().manual_seed(0)
    offsets = torch.tensor([0, *counts]).cumsum(0)
    t = torch.cat([torch.rand(n, generator=generator).sort().values for n in counts])
    weights = torch.cat([torch.rand(n, generator=generator) / max(1, n) for n in counts])
    return Traced(Samples(offsets, t, torch.ones_like(t)), torch.ones_like(t), weights)


def test_the_heaviest_are_kept_near_to_far_and_their_sum_with_them():
    counts = [5, 0, 1, 12, 3]
    traced = random_traced(counts)
    cache = keep_heaviest(traced, 4)
    assert cache.offsets.diff().tolist() == [4, 0, 1, 4, 3]
    bounds = traced.samples.offsets.tolist()
    for ray, (a, b) in enumerate(itertools.pairwise(bounds)):
        top = sorted(range(a, b), key=lambda s: -float(traced.weights[s]))[:4]
        kept = slice(int(cache.offsets[ray]), int(cache.offsets[ray + 1]))
        assert cache.t[kept].tolist() == [float(traced.samples.t[s]) for s in sorted(top)]
        torch.testing.assert_close(cache.weights[kept].sum(), traced.weights[a:b].sum())


def test_gather_returns_the_runs_of_the_pixels_asked_for():
    cache = keep_heaviest(random_traced([2, 0, 3]), 8)
    offsets, t, weights = cache.gather(torch.tensor([2, 1, 0, 2]))
    assert offsets.tolist() == [0, 3, 3, 5, 8]
    assert torch.equal(t, torch.cat([cache.t[2:], cache.t[:2], cache.t[2:]]))
    assert torch.equal(weights, torch.cat([cache.weights[2:], cache.weights[:2], cache.weights[2:]]))
