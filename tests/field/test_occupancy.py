"""Marching against looking at every step, and the upkeep of the grid."""

from __future__ import annotations

import itertools

import pytest
import torch
from torch import Tensor

from ultrafield.field.kernels.march_torch import march_torch
from ultrafield.field.march import march, step_edges
from ultrafield.field.occupancy import OccupancyGrid
from ultrafield.field.samples import Samples


def random_grid(cascades: int, resolution: int = 8, share: float = 0.2, seed: int = 0) -> OccupancyGrid:
    grid = OccupancyGrid(cascades=cascades, resolution=resolution)
    generator = torch.Generator().manual_seed(seed)
    grid.occupied.copy_(torch.rand(grid.occupied.shape, generator=generator) < share)
    return grid


def random_rays(count: int, seed: int = 1) -> tuple[Tensor, Tensor, Tensor]:
    generator = torch.Generator().manual_seed(seed)
    origins = torch.randn(count, 3, generator=generator)
    directions = torch.nn.functional.normalize(-origins + 0.5 * torch.randn(count, 3, generator=generator), dim=1)
    return origins, directions, torch.rand(count, generator=generator)


def literal_march(origin: Tensor, direction: Tensor, grid: OccupancyGrid, edges: Tensor, jitter: float) -> list[float]:
    """Distances of all samples of one ray in occupied cells, one step at a time, in float64."""
    kept = []
    half = grid.half_extent
    for a, b in zip(edges[:-1].double(), edges[1:].double(), strict=True):
        t = a + jitter * (b - a)
        position = origin.double() + t * direction.double()
        reach = float(position.abs().max())
        if reach > half:
            continue
        cascade = next(k for k in range(grid.cascades) if reach <= 0.5 * 2**k)
        box = 0.5 * 2**cascade
        cell = ((position + box) / (2 * box) * grid.resolution).long().clamp(0, grid.resolution - 1)
        index = int(cell[0] + grid.resolution * (cell[1] + grid.resolution * cell[2]))
        if bool(grid.occupied[cascade, index]):
            kept.append(float(t))
    return kept


def per_ray(samples: Samples) -> list[list[float]]:
    bounds = samples.offsets.tolist()
    return [samples.t[a:b].tolist() for a, b in itertools.pairwise(bounds)]


@pytest.mark.parametrize("backend", ["cpu", "torch"])
@pytest.mark.parametrize(("cascades", "cone"), [(1, 0.0), (3, 1 / 32)])
def test_marching_keeps_what_a_look_at_every_step_keeps(backend, cascades, cone):
    grid = random_grid(cascades)
    origins, directions, jitter = random_rays(60)
    edges = step_edges(0.05, 6.0, 0.02, cone)
    if backend == "cpu":
        samples, after = march(origins, directions, grid, edges, jitter=jitter)
    else:
        first = torch.zeros(60, dtype=torch.int64)
        samples, after = march_torch(origins, directions, grid, edges, jitter, first, len(edges))
    assert int(samples.offsets[-1]) == len(samples) > 100
    assert bool((after == len(edges) - 1).all())
    mismatches = 0
    for ray, found in enumerate(per_ray(samples)):
        expected = literal_march(origins[ray], directions[ray], grid, edges, float(jitter[ray]))
        mismatches += len(
            set(torch.tensor(found).mul(1e4).round().tolist()) ^ set(torch.tensor(expected).mul(1e4).round().tolist())
        )
    # A sample within rounding of a cell border may fall on either side of it in float32.
    assert mismatches <= 0.01 * len(samples)


@pytest.mark.parametrize("cascades", [1, 3])
def test_marching_in_stages_gives_the_same_samples(cascades):
    grid = random_grid(cascades, share=0.5)
    origins, directions, jitter = random_rays(40)
    edges = step_edges(0.05, 6.0, 0.02, 1 / 64 if cascades > 1 else 0.0)
    whole, _ = march(origins, directions, grid, edges, jitter=jitter)
    stages: list[list[float]] = [[] for _ in range(40)]
    first = torch.zeros(40, dtype=torch.int64)
    while bool((first < len(edges) - 1).any()):
        samples, first = march(origins, directions, grid, edges, jitter=jitter, first=first, limit=7)
        for ray, found in enumerate(per_ray(samples)):
            assert len(found) <= 7
            stages[ray] += found
    assert stages == per_ray(whole)


def test_both_backends_stop_and_go_on_at_the_same_step():
    grid = random_grid(2, share=0.5)
    origins, directions, jitter = random_rays(50)
    edges, first = (
        step_edges(0.05, 6.0, 0.02, 1 / 64),
        torch.randint(0, 60, (50,), generator=torch.Generator().manual_seed(5)),
    )
    one, after_one = march(origins, directions, grid, edges, jitter=jitter, first=first, limit=5)
    other, after_other = march_torch(origins, directions, grid, edges, jitter, first, 5)
    assert torch.equal(one.offsets, other.offsets)
    torch.testing.assert_close(one.t, other.t)
    full = one.offsets.diff() == 5
    assert torch.equal(after_one[full], after_other[full])
    assert bool(full.any())


def test_rays_that_miss_the_box_have_no_samples():
    grid = OccupancyGrid(cascades=1, resolution=4)
    origins = torch.tensor([[2.0, 2.0, 2.0], [0.0, 0.0, 2.0]])
    directions = torch.tensor([[0.0, 0.0, 1.0], [0.0, 1.0, 0.0]])
    samples, after = march(origins, directions, grid, step_edges(0.0, 5.0, 0.1, 0.0))
    assert samples.offsets.tolist() == [0, 0, 0]
    assert after.tolist() == [50, 50]


def test_no_rays():
    grid = OccupancyGrid(cascades=1, resolution=4)
    samples, after = march(torch.zeros(0, 3), torch.zeros(0, 3), grid, step_edges(0.0, 5.0, 0.1, 0.0))
    assert samples.offsets.tolist() == [0]
    assert len(samples) == len(after) == 0


def test_steps_grow_with_distance_only_when_asked():
    constant, growing = step_edges(0.1, 2.0, 0.05, 0.0), step_edges(0.1, 10.0, 0.05, 0.1)
    torch.testing.assert_close(constant.diff(), torch.full((38,), 0.05), rtol=1e-3, atol=1e-5)
    assert float(growing[-1]) >= 10.0
    torch.testing.assert_close(growing.diff()[-1] / growing[-2], torch.tensor(0.1), rtol=1e-3, atol=1e-3)


def test_update_marks_the_cells_of_a_ball():
    grid = OccupancyGrid(cascades=2, resolution=16)
    generator = torch.Generator().manual_seed(0)

    def ball(positions: Tensor) -> Tensor:
        return 50.0 * (positions.norm(dim=1) < 0.3)

    for _ in range(4):
        grid.update(ball, everywhere=True, threshold=5.0, generator=generator)
    centres = (
        torch.stack(torch.meshgrid(*[torch.arange(16)] * 3, indexing="ij"), -1).flip(-1).reshape(-1, 3) + 0.5
    ) / 16 - 0.5
    radius = centres.norm(dim=1)
    occupied = grid.occupied[0]
    assert bool(occupied[radius < 0.2].all())
    assert not bool(occupied[radius > 0.4].any())


def test_update_forgets_what_has_vanished():
    grid = OccupancyGrid(cascades=1, resolution=8)
    generator = torch.Generator().manual_seed(0)
    grid.update(lambda x: torch.full((len(x),), 100.0), everywhere=True, threshold=5.0, generator=generator)
    left = float(grid.density.mean())
    for _ in range(100):
        grid.update(lambda x: torch.zeros(len(x)), everywhere=False, threshold=5.0, generator=generator)
    assert float(grid.density.mean()) < 0.01 * left


@pytest.mark.parametrize("resolution", [5, 6, 7, 8, 10])
@pytest.mark.parametrize("cascades", [1, 2, 3, 5])
def test_cells_that_straddle_the_next_finer_box_are_not_left_in_one_stride(cascades, resolution):
    grid, (origins, directions, jitter) = random_grid(cascades, resolution, share=0.3), random_rays(200)
    edges = step_edges(0.01, 1.5 * 2.0**cascades, 0.02, 0.0 if cascades == 1 else 1 / 64)
    found, _ = march(origins, directions, grid, edges, jitter=jitter)
    wanted, _ = march_torch(origins, directions, grid, edges, jitter, torch.zeros(200, dtype=torch.int64), 10_000)
    # A sample within rounding of a cell border may fall on either side of it.
    assert int((found.offsets.diff() - wanted.offsets.diff()).abs().sum()) <= 0.001 * len(wanted)
