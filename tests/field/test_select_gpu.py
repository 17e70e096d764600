"""The kernels that choose among a ray's samples against plain rules."""

from __future__ import annotations

import itertools

import pytest
import torch
from torch import Tensor

from ultrafield.field.render import median_distance
from ultrafield.field.samples import NEGLIGIBLE, FixedSamples, Samples
from ultrafield.field.tracing import Traced
from ultrafield.field.volrend import ray_indices, render_weights

pytest.importorskip("triton", reason="needs Triton")

from ultrafield.field.kernels.packing_gpu import append_runs
from ultrafield.field.kernels.select_gpu import (
    median_distance_gpu,
    reached,
    select_heaviest,
    visible_fixed,
    visible_rows,
)

from .conftest import random_runs

COUNTS = [[], [0], [1], [3, 0, 5, 1], [0, 0, 70, 33, 2], [int(n) for n in 20 * (1 + torch.sin(torch.arange(45.0)))]]
LONG = [2, 700, 0, 1]
TAIL = 11
TAILS = [TAIL, 0]  # without any, the array may end within one of the groups of four that are read at once


def with_tail(values: Tensor, device: str, tail: int = TAIL) -> Tensor:
    return torch.cat([values, torch.full((tail,), torch.nan)]).to(device)


def literal_reach(sigma: Tensor, delta: Tensor, offsets: Tensor, limit: float) -> list[int]:
    """How many samples of each ray have less than `limit` in front of them."""
    found = []
    for a, b in itertools.pairwise(offsets.tolist()):
        passed = (sigma[a:b] * delta[a:b]).double().cumsum(0)
        found.append(int((torch.cat([passed.new_zeros(1), passed[:-1]]) < limit).sum()) if b > a else 0)
    return found


@pytest.mark.parametrize("tail", TAILS)
@pytest.mark.parametrize("counts", [*COUNTS, LONG])
def test_samples_that_light_reaches(kernel_device, counts, tail):
    sigma, delta, _, offsets = random_runs(counts)
    sigma /= 1 + 0.01 * max(counts, default=0)  # far into a long run
    found, behind = reached(
        with_tail(sigma, kernel_device, tail),
        with_tail(delta, kernel_device, tail),
        offsets.to(kernel_device),
        torch.full((len(counts),), 0.5, device=kernel_device),
        5.0,
    )
    assert found.tolist() == literal_reach(sigma, delta, offsets, 4.5)
    total = [0.5 + float((sigma * delta)[a:b].sum()) for a, b in itertools.pairwise(offsets.tolist())]
    for ray, depth in enumerate(behind.tolist()):
        assert depth == pytest.approx(total[ray], rel=1e-5) or (total[ray] >= 5.0 and depth >= 5.0)


@pytest.mark.parametrize("room", [1.2, 1.0, 0.5, 0.0])
@pytest.mark.parametrize("counts", COUNTS)
def test_visible_samples_in_fixed_room(kernel_device, counts, room):
    sigma, delta, t, offsets = random_runs(counts)
    rays = ray_indices(offsets, len(t))
    reach = torch.tensor(literal_reach(sigma, delta, offsets, 3.0), dtype=torch.int64)
    before = torch.arange(len(counts)) % 3 != 1
    columns = [with_tail(values, kernel_device) for values in (t, delta)]
    indices = torch.cat([rays, torch.full((TAIL,), -1)]).int().to(kernel_device)
    samples = FixedSamples(offsets.to(kernel_device), *columns, indices, before.to(kernel_device))
    capacity = int(room * int(reach.sum()))
    found = visible_fixed(with_tail(sigma, kernel_device), samples, 3.0, capacity)
    ends = reach.cumsum(0)
    fits = ends <= capacity
    used = int(ends[fits].max()) if bool(fits.any()) else 0
    kept = (torch.arange(len(t)) - offsets[rays] < reach[rays]).nonzero()[:used, 0]
    assert found.offsets.tolist() == [0, *ends.where(fits, used).tolist()]
    assert found.complete.tolist() == (fits & before).tolist()
    for column, wanted in ((found.t, t), (found.delta, delta), (found.rays, rays.int())):
        assert torch.equal(column[:used].cpu(), wanted[kept])
        assert len(column) == -(-capacity // 4) * 4  # in groups of four, which are read at once
        assert not bool(column[used:].any())
    rows = torch.randn(len(t) + TAIL, 5, generator=torch.Generator().manual_seed(0))
    chosen = visible_rows(rows.to(kernel_device), samples, found).cpu()
    assert len(chosen) == len(found.t)
    assert torch.equal(chosen[:used], rows[kept])
    assert not bool(chosen[used:].any())


def literal_heaviest(weights: Tensor, t: Tensor, count: int) -> tuple[list[float], list[float]]:
    order = sorted(range(len(weights)), key=lambda s: -float(weights[s]))[:count]  # stable: nearer ones first
    kept = sorted(s for s in order if float(weights[s]) > NEGLIGIBLE)
    scale = float(weights.sum()) / max(float(weights[kept].sum()), 1e-12)
    rest = [0.0] * (count - len(kept))
    return [float(t[s]) for s in kept] + rest, [float(weights[s]) * scale for s in kept] + rest


@pytest.mark.parametrize("count", [1, 4, 16])
@pytest.mark.parametrize("counts", COUNTS)
def test_the_heaviest_samples_in_a_table(kernel_device, counts, count):
    sigma, delta, t, offsets = random_runs(counts)
    weights = render_weights(sigma, delta, offsets)
    weights = (weights * 50).round() / 50  # with many of the same weight, and many of none
    found = select_heaviest(
        with_tail(weights, kernel_device), with_tail(t, kernel_device), offsets.to(kernel_device), count
    )
    assert [tuple(table.shape) for table in found] == [(len(counts), count)] * 2
    for ray, (a, b) in enumerate(itertools.pairwise(offsets.tolist())):
        distances, heaviest = literal_heaviest(weights[a:b], t[a:b], count)
        assert found[0][ray].tolist() == pytest.approx(distances, rel=1e-6)
        assert found[1][ray].tolist() == pytest.approx(heaviest, rel=1e-5)


@pytest.mark.parametrize("tail", TAILS)
@pytest.mark.parametrize("counts", [*COUNTS, LONG])
def test_median_distance_and_opacity(kernel_device, counts, tail):
    sigma, delta, t, offsets = random_runs(counts)
    sigma /= 1 + 0.02 * max(counts, default=0)  # far into a long run
    weights = render_weights(sigma * (torch.arange(len(sigma)) % 2), delta, offsets)
    wanted = median_distance(Traced(Samples(offsets, t, delta), sigma, weights))
    columns = [with_tail(values, kernel_device, tail) for values in (t, delta, weights)]
    distance, opacity = median_distance_gpu(*columns, offsets.to(kernel_device))
    # The sums are float32 here and float64 there; their difference is divided by the weight at the crossing.
    torch.testing.assert_close(distance.cpu(), wanted[0], rtol=1e-5, atol=1e-5)
    torch.testing.assert_close(opacity.cpu(), wanted[1], rtol=1e-6, atol=1e-6)


def test_runs_are_appended_behind_what_is_there(kernel_device):
    generator = torch.Generator().manual_seed(0)
    first, second = (torch.rand(3, 9, generator=generator).to(kernel_device) for _ in range(2))
    rows = [torch.rand(9, 5, generator=generator).to(kernel_device) for _ in range(2)]
    target = tuple(torch.full((8,), torch.nan, device=kernel_device) for _ in range(3))
    vectors = torch.full((8, 5), torch.nan, device=kernel_device)
    filled = torch.tensor([0, 3, 7], device=kernel_device)
    on_device = lambda *values: torch.tensor(values, device=kernel_device)  # noqa: E731
    append_runs(
        tuple(first),
        on_device(0, 2, 8, 9),
        on_device(2, 3, 1).int(),
        on_device(0, 1, 2),
        filled,
        target,
        vectors=(rows[0], vectors),
    )
    append_runs(
        tuple(second),
        on_device(0, 5, 9),
        on_device(1, 1).int(),
        on_device(1, 0),
        filled,
        target,
        vectors=(rows[1], vectors),
    )
    assert filled.tolist() == [3, 7, 8]
    picks = [(0, 0), (0, 1), (1, 5), (0, 2), (0, 3), (0, 4), (1, 0), (0, 8)]
    for column, found in enumerate(target):
        assert found.tolist() == [(first, second)[source][column, s].item() for source, s in picks]
    assert torch.equal(vectors, torch.stack([rows[source][s] for source, s in picks]))
