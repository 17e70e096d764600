"""Tracing and rendering of a field that is known exactly."""

from __future__ import annotations

import dataclasses
import math

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from ultrafield.cameras import Cameras, Lens
from ultrafield.config import GeometryConfig
from ultrafield.field.march import step_edges
from ultrafield.field.occupancy import OccupancyGrid
from ultrafield.field.rays import ray_table
from ultrafield.field.render import _render_group, median_distance, render_view, render_views
from ultrafield.field.tracing import Batches, trace, traced_parts

RADIUS = 0.3


class Ball(nn.Module):
    """An opaque red ball of radius 0.3 on white, with the interface of a radiance field."""

    def __init__(self, density: float = 400.0) -> None:
        super().__init__()
        self.occupancy = OccupancyGrid(cascades=1, resolution=16)
        self.config = GeometryConfig()
        self.level_set = None
        self.background, self.device, self._density = torch.ones(3), torch.device("cpu"), density
        self.edges = step_edges(0.01, 3.0, 0.004, 0.0)

    def density(self, positions: Tensor) -> Tensor:
        return self._density * (positions.norm(dim=1) < RADIUS)

    def geometry(self, positions: Tensor) -> tuple[Tensor, Tensor]:
        return self.density(positions), positions.new_zeros(len(positions), 16)

    def color(self, geometry: Tensor, harmonics: Tensor) -> Tensor:
        return torch.tensor([1.0, 0.0, 0.0]).expand(len(geometry), 3)

    def harmonics(self, rays_d: Tensor) -> Tensor:
        return rays_d


def camera(size: int = 31) -> Cameras:
    pose = np.array([[1.0, 0, 0, 0], [0, -1, 0, 0], [0, 0, -1, 1.5]])  # at z = 1.5, looking down
    return Cameras.pinhole(pose[None], np.array([40.0, 40.0, size / 2, size / 2]), np.array([size, size]))


def joined(*parts: Cameras) -> Cameras:
    fields = dataclasses.fields(Cameras)
    return Cameras(*(np.concatenate([getattr(part, field.name) for part in parts]) for field in fields))


def exact_depth(size: int = 31) -> np.ndarray:
    table = ray_table(camera(size))
    origins, directions, cosine = table.rays(torch.zeros(size * size, dtype=torch.int64), torch.arange(size * size))
    along = -(origins * directions).sum(1)
    miss = origins.square().sum(1) - along**2
    hit = along - (RADIUS**2 - miss).clamp(min=0).sqrt()
    return torch.where(miss < RADIUS**2, hit * cosine, 0.0).view(size, size).numpy()


def test_a_ball_is_seen_where_and_as_far_as_it_is():
    view, truth = render_view(Ball(), camera(), 0), exact_depth()
    inner = truth > 0
    rim = inner ^ (view.opacity > 0.5)
    assert rim.mean() < 0.02
    both = inner & (view.depth > 0)
    assert np.abs(view.depth - truth)[both].max() < 0.006  # a step and a half
    assert np.median(np.abs(view.depth - truth)[both]) < 0.003
    np.testing.assert_allclose(view.color[15, 15], [1, 0, 0], atol=1e-3)
    np.testing.assert_allclose(view.color[0, 0], [1, 1, 1], atol=1e-6)
    assert view.opacity[0, 0] == 0


@pytest.mark.parametrize(("rays", "most_rays", "visible"), [(7, 7, 0), (50, 400, 1 << 30), (64, 1000, 500)])
def test_rays_of_any_number_show_the_same(monkeypatch: pytest.MonkeyPatch, rays: int, most_rays: int, visible: int):
    """Views of one lens, of another and of the first again, in groups of two and all at once."""
    one, other = camera(9), camera(12)
    cameras = joined(one, one, other, other, one)
    expected = [render_view(Ball(), item, 0) for item in (one, one, other, other, one)]
    sizes = Batches(rays=rays, positions=1 << 16, pixels=170, stage=12, most_rays=most_rays, visible=visible)
    for pixels in (170, 1 << 20):
        monkeypatch.setattr("ultrafield.field.tracing._ON_CPU", dataclasses.replace(sizes, pixels=pixels))
        for view, same in zip(render_views(Ball(), cameras, range(5)), expected, strict=True):
            np.testing.assert_allclose(view.color, same.color, atol=1e-6)
            np.testing.assert_allclose(view.depth, same.depth, atol=1e-6)
            np.testing.assert_allclose(view.opacity, same.opacity, atol=1e-6)


def test_a_table_takes_the_directions_of_one_with_the_same_lenses():
    first, other = ray_table(camera(9)), ray_table(camera(12))
    assert ray_table(camera(9), like=first).directions is first.directions
    assert torch.equal(ray_table(camera(9), like=other).directions, first.directions)


def test_batches_grow_where_little_is_visible():
    sizes = Batches(rays=100, positions=1, pixels=1, stage=1, most_rays=1000, visible=2000)
    assert [sizes.fitting(500, visible) for visible in (0, 500, 2000, 20000)] == [1000, 1000, 500, 100]
    assert sizes.fitting(100, 0) == 200


def test_stages_of_any_length_trace_the_same_light():
    table = ray_table(camera())
    rays_o, rays_d, _ = table.rays(torch.zeros(961, dtype=torch.int64), torch.arange(961))
    field = Ball(density=30.0)
    few, many = trace(field, rays_o, rays_d, stage=5), trace(field, rays_o, rays_d, stage=10_000)
    torch.testing.assert_close(few.samples.t, many.samples.t)
    torch.testing.assert_close(few.weights, many.weights)
    assert torch.equal(few.samples.offsets, many.samples.offsets)


def test_rays_in_fog_are_traced_some_at_a_time(monkeypatch: pytest.MonkeyPatch):
    table = ray_table(camera())
    rays_o, rays_d, _ = table.rays(torch.zeros(961, dtype=torch.int64), torch.arange(961))
    field = Ball(density=1.0)
    whole = trace(field, rays_o, rays_d, vectors=True)
    ((rays, traced),) = traced_parts(field, rays_o, rays_d, vectors=True)
    assert rays == slice(0, 961)
    assert torch.equal(traced.weights, whole.weights)

    monkeypatch.setattr("ultrafield.field.tracing._FEW_RAYS", 30)
    monkeypatch.setattr("ultrafield.field.tracing._SAMPLES_PER_RAY", 8)
    parts = list(traced_parts(field, rays_o, rays_d, vectors=True))
    assert [rays.start for rays, _ in parts] == [0, *(rays.stop for rays, _ in parts[:-1])]
    assert parts[-1][0].stop == 961
    assert len(parts) > 4
    assert max(len(traced.weights) for _, traced in parts) <= 8 * 961 < len(whole.weights)
    torch.testing.assert_close(torch.cat([traced.samples.t for _, traced in parts]), whole.samples.t)
    torch.testing.assert_close(torch.cat([traced.weights for _, traced in parts]), whole.weights)
    assert torch.equal(torch.cat([traced.samples.offsets.diff() for _, traced in parts]), whole.samples.offsets.diff())


def test_nothing_is_kept_behind_an_opaque_surface():
    table = ray_table(camera())
    rays_o, rays_d, _ = table.rays(torch.zeros(1, dtype=torch.int64), torch.tensor([480]))
    field = Ball()
    traced = trace(field, rays_o, rays_d)
    distance, opacity = median_distance(traced)
    assert float(traced.samples.t.max()) < float(distance) + 0.04
    assert float(opacity) > 1 - field.config.min_transmittance


def test_median_interpolates_within_a_sample():
    from ultrafield.field.samples import Samples
    from ultrafield.field.tracing import Traced

    samples = Samples(torch.tensor([0, 2, 3]), torch.tensor([1.0, 2.0, 1.0]), torch.tensor([1.0, 1.0, 1.0]))
    traced = Traced(samples, torch.zeros(3), torch.tensor([0.25, 0.75, 0.4]))
    distance, opacity = median_distance(traced)
    # The second sample spans 1.5 … 2.5 and passes one half after a third of its weight; the second ray never does.
    torch.testing.assert_close(distance, torch.tensor([1.5 + 1 / 3, 0.0]))
    torch.testing.assert_close(opacity, torch.tensor([1.0, 0.4]))


def test_views_rendered_together_are_those_rendered_alone():
    higher = Cameras.pinhole(camera().c2w + np.array([0, 0, 0, 0.1]), np.array([20.0, 20, 9, 9]), np.array([18, 18]))
    cameras = joined(camera(), higher)
    ball = Ball(density=30.0)
    together = _render_group(ball, cameras, ray_table(cameras))
    assert [view.depth.shape for view in together] == [(31, 31), (18, 18)]
    for index, view in enumerate(render_views(ball, cameras, [0, 1])):
        alone = render_view(ball, cameras, index)
        for one, two, three in zip(*(dataclasses.astuple(v) for v in (alone, view, together[index])), strict=True):
            np.testing.assert_array_equal(one, two)
            np.testing.assert_allclose(one, three, atol=1e-6)  # vectorised float32 rounds by the length of the batch
        assert 0.05 < float((view.depth > 0).mean()) < 0.9


def test_no_views_and_views_without_a_ray():
    assert list(render_views(Ball(), camera(), [])) == []
    # A fisheye lens shows nothing so far from its axis.
    aside = dataclasses.replace(
        camera(5), intrinsics=np.array([[1.0, 1.0, 90.0, 90.0]]), lenses=np.array([int(Lens.FISHEYE)])
    )
    view = render_view(Ball(), aside, 0)
    np.testing.assert_array_equal(view.color, 1.0)
    assert not view.opacity.any()
    assert not view.depth.any()


@pytest.mark.parametrize("density", [8.0, 400.0])
def test_the_gpu_traces_what_the_cpu_traces(kernel_device, density):
    from ultrafield.field.trace_gpu import trace_gpu

    field = Ball(density)
    field.edges = step_edges(0.7, 2.0, 0.03, 0.0)
    field.geometry = lambda positions: (field.density(positions), positions.repeat(1, 2))
    field.occupancy.occupied[0] = torch.rand(16**3, generator=torch.Generator().manual_seed(0)) < 0.8
    table = ray_table(camera(7))
    rays_o, rays_d, _ = table.rays(torch.zeros(49, dtype=torch.int64), torch.arange(49))
    jitter = torch.rand(49, generator=torch.Generator().manual_seed(1))
    wanted = trace(field, rays_o, rays_d, jitter=jitter, vectors=True)
    field.occupancy.to(kernel_device)
    field.edges = field.edges.to(kernel_device)
    o, d, j = (tensor.to(kernel_device) for tensor in (rays_o, rays_d, jitter))
    limit = -math.log(field.config.min_transmittance)
    # Stages of 4, 8, 16 … samples, and batches that end within a ray.
    samples, sigma, weights, vectors = trace_gpu(field, o, d, jitter=j, limit=limit, stage=4, vectors=True, at_once=50)
    assert len(wanted.weights) > 200
    assert torch.equal(samples.offsets.cpu(), wanted.samples.offsets)
    for found, column in (
        (samples.t, wanted.samples.t),
        (samples.delta, wanted.samples.delta),
        (sigma, wanted.sigma),
        (weights, wanted.weights),
        (vectors, wanted.vectors),
    ):
        # float32 sums in another order, and a fused multiply-add in the positions.
        torch.testing.assert_close(found.cpu(), column, rtol=1e-5, atol=1e-6)


def test_the_gpu_traces_no_rays(kernel_device):
    from ultrafield.field.trace_gpu import trace_gpu

    field, none = Ball(), torch.zeros(0, 3, device=kernel_device)
    field.occupancy.to(kernel_device)
    samples, *columns = trace_gpu(field, none, none, jitter=None, limit=9.0, stage=4, vectors=False, at_once=50)
    assert samples.offsets.tolist() == [0]
    assert [column if column is None else len(column) for column in columns] == [0, 0, None]
