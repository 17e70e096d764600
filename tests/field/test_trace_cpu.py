"""Tracing on the CPU against all samples of every ray, evaluated at once and cut where no light is left."""

from __future__ import annotations

import math
from dataclasses import replace

import pytest
import torch
from torch import Tensor

from ultrafield.config import GeometryConfig, HashGridConfig
from ultrafield.config.settings import Representation
from ultrafield.field.march import march
from ultrafield.field.model import RadianceField
from ultrafield.field.samples import Samples
from ultrafield.field.trace_cpu import TooManySamples, trace_cpu
from ultrafield.field.tracing import Traced, sample_positions, trace
from ultrafield.field.volrend import render_weights


def random_field(representation: Representation, *, cascades: int = 1, empty: float = 0.3) -> RadianceField:
    """A field of random parameters large enough that rays end, and of random occupied cells."""
    generator = torch.Generator().manual_seed(3)
    config = GeometryConfig(
        grid=HashGridConfig(levels=4, features=4, log2_entries=10, base_resolution=4, max_resolution=32),
        representation=representation,
        hidden=16,
        occupancy_resolution=16,
        max_samples_per_ray=200,
        min_transmittance=1e-2,
    )
    field = RadianceField(config, cascades=cascades, near=0.05, far=4.0, background=None, generator=generator)
    with torch.no_grad():
        field.grid.table.uniform_(-6.0, 6.0, generator=generator)
    occupied = field.occupancy.occupied
    occupied.copy_(torch.rand(occupied.shape, generator=generator) > empty)
    if field.level_set is not None:
        field.level_set.set_progress(0.3)
    return field


def random_rays(count: int) -> tuple[Tensor, Tensor, Tensor]:
    """Origins around the box, directions into it, and positions within steps."""
    generator = torch.Generator().manual_seed(5)
    origins = torch.nn.functional.normalize(torch.randn(count, 3, generator=generator), dim=1)
    targets = torch.rand(count, 3, generator=generator) - 0.5
    return origins, torch.nn.functional.normalize(targets - origins, dim=1), torch.rand(count, generator=generator)


def literal(field: RadianceField, origins: Tensor, directions: Tensor, jitter: Tensor | None) -> list[Tensor]:
    """Offsets, distances, lengths, densities and vectors of visible samples, ray by ray."""
    samples, _ = march(origins, directions, field.occupancy, field.edges, jitter=jitter)
    positions, rays = sample_positions(origins, directions, samples)
    density, vectors = field.geometry(positions)
    sigma = field.ray_density(density, vectors, samples, rays)
    counts, kept, limit = [0], [], -math.log(field.config.min_transmittance)
    for first, last in zip(samples.offsets[:-1].tolist(), samples.offsets[1:].tolist(), strict=True):
        reached, count = 0.0, 0
        for sample in range(first, last):
            if reached >= limit:
                break
            kept.append(sample)
            reached += float(sigma[sample] * samples.delta[sample])
            count += 1
        counts.append(count)
    columns = (samples.t, samples.delta, sigma, vectors, field.encode(positions))
    return [torch.tensor(counts).cumsum(0), *(column[kept] for column in columns)]


def columns_of(traced: Traced) -> list[Tensor]:
    assert traced.vectors is not None
    assert traced.encoded is not None
    samples = traced.samples
    return [samples.offsets, samples.t, samples.delta, traced.sigma, traced.vectors, traced.encoded]


@pytest.mark.parametrize("representation", ["surface", "density"])
@pytest.mark.parametrize("cascades", [1, 3])
@pytest.mark.parametrize("stage", [1, 7, 500])
@pytest.mark.parametrize("jittered", [True, False])
@torch.no_grad()
def test_visible_samples_are_those_of_whole_rays(
    representation: Representation, cascades: int, stage: int, jittered: bool
) -> None:
    field = random_field(representation, cascades=cascades)
    origins, directions, places = random_rays(60)
    jitter = places if jittered else None
    wanted = literal(field, origins, directions, jitter)
    whole, _ = march(origins, directions, field.occupancy, field.edges, jitter=jitter)
    assert 60 < len(wanted[1]) < 0.8 * len(whole)  # rays end early
    found = trace(field, origins, directions, jitter=jitter, stage=stage, vectors=True, encoded=True)
    for column, expected in zip(columns_of(found), wanted, strict=True):
        torch.testing.assert_close(column, expected, rtol=2e-4, atol=1e-5)  # products of other shapes round otherwise
    weights = render_weights(found.sigma, found.samples.delta, found.samples.offsets)
    assert torch.equal(found.weights, weights)


def test_what_is_not_asked_for_is_not_returned() -> None:
    field = random_field("surface")
    origins, directions, _ = random_rays(9)
    for vectors in (False, True):
        for encoded in (False, True):
            found = trace(field, origins, directions, vectors=vectors, encoded=encoded)
            assert (found.vectors is not None, found.encoded is not None) == (vectors, encoded)


def test_rays_that_meet_nothing_and_no_rays_at_all_have_no_samples() -> None:
    field = random_field("surface")
    origins, directions, _ = random_rays(4)
    for count, towards in ((4, -directions), (0, directions[:0])):
        found = trace(field, origins[:count], towards, vectors=True, encoded=True)
        assert found.samples.offsets.tolist() == [0] * (count + 1)
        assert [len(column) for column in columns_of(found)[1:]] == [0] * 5
        assert len(found.weights) == 0


def test_more_visible_samples_than_asked_for_are_given_up() -> None:
    field = random_field("density")
    origins, directions, _ = random_rays(30)
    visible = len(trace(field, origins, directions).weights)
    how = {"jitter": None, "limit": -math.log(1e-2), "stage": 4, "vectors": False, "encoded": False, "at_once": 100}
    assert len(trace_cpu(field, origins, directions, **how, most=visible)[2]) == visible
    with pytest.raises(TooManySamples):
        trace_cpu(field, origins, directions, **how, most=visible - 1)


def test_the_end_of_a_ray_does_not_depend_on_other_rays() -> None:
    field = random_field("surface")
    origins, directions, jitter = random_rays(40)
    together = trace(field, origins, directions, jitter=jitter)
    for ray in range(0, 40, 7):
        one = slice(ray, ray + 1)
        alone = trace(field, origins[one], directions[one], jitter=jitter[one])
        first, last = together.samples.offsets[ray : ray + 2].tolist()
        assert len(alone.weights) == last - first
        torch.testing.assert_close(alone.weights, together.weights[first:last], rtol=1e-4, atol=1e-6)
        assert torch.equal(alone.samples.t, together.samples.t[first:last])


def test_positions_evaluated_some_at_a_time_are_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    from ultrafield.field import tracing

    field = random_field("surface")
    origins, directions, _ = random_rays(50)
    whole = columns_of(trace(field, origins, directions, vectors=True, encoded=True))
    monkeypatch.setattr(tracing, "_ON_CPU", replace(tracing.batches(torch.device("cpu")), positions=64))
    pieces = columns_of(trace(field, origins, directions, vectors=True, encoded=True))
    for one, other in zip(whole, pieces, strict=True):
        torch.testing.assert_close(one, other, rtol=1e-4, atol=1e-5)


def test_samples_are_those_that_march_gives() -> None:
    """A field without light: every occupied step is visible."""
    field = random_field("density")
    with torch.no_grad():
        field.grid.table.zero_()
    origins, directions, jitter = random_rays(20)
    field.config = replace(field.config, min_transmittance=1e-30)
    samples, _ = march(origins, directions, field.occupancy, field.edges, jitter=jitter)
    found = trace(field, origins, directions, jitter=jitter).samples
    assert isinstance(found, Samples)
    assert torch.equal(found.offsets, samples.offsets)
    assert torch.equal(found.t, samples.t)
    assert torch.equal(found.delta, samples.delta)
