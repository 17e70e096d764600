"""Light stopped by the level set of a function that is known exactly: a ball's distance."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from ultrafield.config import GeometryConfig
from ultrafield.field.level_set import LevelSet
from ultrafield.field.march import step_edges
from ultrafield.field.occupancy import OccupancyGrid
from ultrafield.field.render import median_distance
from ultrafield.field.samples import Samples
from ultrafield.field.tracing import trace
from ultrafield.field.volrend import ray_indices

RADIUS, STEP, WIDTH = 0.3, 0.002, 0.003


class Ball(nn.Module):
    """A ball of radius 0.3, given by its signed distance, with the interface of a radiance field."""

    def __init__(self, *, device: str = "cpu", sections: float = 1.0) -> None:
        super().__init__()
        self.occupancy = OccupancyGrid(cascades=1, resolution=16).to(device)
        self.config = GeometryConfig()
        self.level_set = level_set(sections).to(device)
        self.edges = step_edges(0.01, 3.0, STEP, 0.0).to(device)

    def geometry(self, positions: Tensor) -> tuple[Tensor, Tensor]:
        distance = positions.norm(dim=1) - RADIUS
        raw = torch.cat([((distance - 0.1) / 0.1)[:, None], positions.new_zeros(len(positions), 15)], dim=1)
        return self.level_set.density(raw[:, 0]), raw


def level_set(sections: float) -> LevelSet:
    made = LevelSet(GeometryConfig(surface_width_last=WIDTH))
    made.set_progress(1.0)
    made.sections.fill_(sections)
    return made


def rays(misses: list[float], device: str = "cpu") -> tuple[Tensor, Tensor]:
    """Parallel rays that pass the ball's centre at so many units."""
    origins = torch.tensor([[miss, 0.0, 1.0] for miss in misses], device=device)
    return origins, torch.tensor([0.0, 0.0, -1.0], device=device).expand(len(misses), 3).contiguous()


def test_half_of_the_light_ends_at_the_surface_and_outlines_are_where_they_are():
    misses = [0.0, 0.1, 0.2, 0.28, 0.297, 0.299, 0.301, 0.303, 0.32]
    distance, opacity = median_distance(trace(Ball(), *rays(misses)))
    for miss, found, covered in zip(misses, distance.tolist(), opacity.tolist(), strict=True):
        # A ray loses as much light as its nearest place, or the ball's middle, says: no more for passing by for long.
        share = 1 / (1 + math.exp((miss - RADIUS) / WIDTH))
        assert covered == pytest.approx(share, abs=0.01)
        if miss < 0.29:
            assert found == pytest.approx(1 - math.sqrt(RADIUS**2 - miss**2), abs=0.0007)  # a third of a step
    # The density of places stops rays that pass by at twice its width, and others before they arrive.
    distance, opacity = median_distance(trace(Ball(sections=0.0), *rays([0.28, 0.306])))
    assert float(opacity[1]) > 0.8
    assert float(distance[0]) < 1 - math.sqrt(RADIUS**2 - 0.28**2) - 0.002


@pytest.mark.parametrize("device", ["cpu", pytest.param("cuda", marks=pytest.mark.gpu)])
def test_stages_of_any_length_trace_the_same_light(device):
    field, asked = Ball(device=device), rays(np.linspace(0, 0.35, 40).tolist(), device)
    few, many = trace(field, *asked, stage=3), trace(field, *asked, stage=10_000)
    torch.testing.assert_close(few.samples.t, many.samples.t)
    torch.testing.assert_close(few.weights, many.weights, atol=1e-6, rtol=1e-5)
    assert torch.equal(few.samples.offsets, many.samples.offsets)
    assert 0 < float(few.weights.max()) < 1


@pytest.mark.gpu
def test_the_gpu_traces_what_the_cpu_traces():
    misses = np.linspace(0, 0.35, 100).tolist()
    one, other = trace(Ball(), *rays(misses)), trace(Ball(device="cuda"), *rays(misses, "cuda"))
    for cpu, cuda in zip(median_distance(one), median_distance(other), strict=True):
        torch.testing.assert_close(cuda.cpu(), cpu, atol=1e-4, rtol=1e-3)


def random_samples() -> tuple[Tensor, Samples]:
    generator = torch.Generator().manual_seed(0)
    counts = torch.tensor([5, 0, 1, 30])
    offsets = torch.cat([torch.zeros(1, dtype=torch.int64), counts.cumsum(0)])
    number = int(offsets[-1])
    delta = torch.full((number,), 0.02)
    skipped = torch.rand(number, generator=generator) < 0.2  # steps in empty cells, behind which a section begins anew
    t = (delta * (1 + skipped)).cumsum(0)
    return torch.randn(number, generator=generator) * 0.4 - 1, Samples(offsets, t, delta)


def test_densities_of_sections_are_those_of_the_formula():
    raw, samples = random_samples()
    made, owner = level_set(1.0), ray_indices(samples.offsets, len(samples))
    got = made.ray_density(made.density(raw), raw, samples, owner)
    function = (raw.double() * 0.1 + 0.1).numpy()
    share = 1 / (1 + np.exp(-function / WIDTH))  # Φ, eq. 10
    for index in range(len(samples)):
        same = index > 0 and owner[index] == owner[index - 1] and samples.t[index] - samples.t[index - 1] < 0.021
        before = share[index - 1] if same else 1.0
        opacity = max(0.0, 1 - share[index] / before)  # eq. 13
        assert 1 - math.exp(-float(got[index]) * 0.02) == pytest.approx(opacity, abs=2e-5)


def test_leaving_out_what_is_behind_changes_nothing_in_front():
    raw, samples = random_samples()
    made, owner = level_set(0.6), ray_indices(samples.offsets, len(samples))
    whole = made.ray_density(made.density(raw), raw, samples, owner)
    kept = torch.tensor([0, 1, 2, 5, *range(6, 20)])
    offsets = torch.tensor([0, 3, 3, 4, 18])
    fewer = Samples(offsets, samples.t[kept], samples.delta[kept])
    part = made.ray_density(made.density(raw[kept]), raw[kept], fewer, owner[kept])
    torch.testing.assert_close(part, whole[kept])


def test_gradients_are_those_of_differences():
    raw, samples = random_samples()
    made, owner = level_set(0.7).double(), ray_indices(samples.offsets, len(samples))
    exact = Samples(samples.offsets, samples.t.double(), samples.delta.double())
    weight = torch.randn(len(raw), generator=torch.Generator().manual_seed(1), dtype=torch.float64)

    def total(values: Tensor) -> Tensor:
        return (made.ray_density(made.density(values), values, exact, owner) * weight).sum()

    assert torch.autograd.gradcheck(total, (raw.double().requires_grad_(),), eps=1e-7, atol=1e-3)


def test_the_schedule_ends_with_sections_of_the_last_width():
    made = LevelSet(GeometryConfig())
    seen = []
    for done in (0.0, 0.1, 0.25, 0.4, 0.7, 1.0):
        made.set_progress(done)
        seen.append((float(made.width), float(made.sections)))
    widths, sections = zip(*seen, strict=True)
    assert widths[0] == pytest.approx(0.05)
    assert widths[-2:] == pytest.approx((0.008, 0.008))
    assert list(widths) == sorted(widths, reverse=True)
    assert sections == pytest.approx((0, 0, 0.5, 1, 1, 1))
