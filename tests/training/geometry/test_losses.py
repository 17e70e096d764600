"""Losses of rays that count, against those of the same rays alone."""

from __future__ import annotations

import pytest
import torch

from ultrafield.config import GeometryConfig
from ultrafield.training.geometry.losses import depth_smoothness, ray_losses, spread_axis

SETTINGS = GeometryConfig(
    opacity_weight=0.5,
    distortion_weight=2.0,
    depth_smooth_weight=3.0,
    depth_smooth_opacity=0.1,
    depth_smooth_tolerance=0.0,
)


def rendered(rays: int) -> list[torch.Tensor]:
    """Colour, opacity, target, background and distortion of some rays."""
    generator = torch.Generator().manual_seed(rays)
    return [torch.rand(shape, generator=generator) for shape in ((rays, 3), (rays,), (rays, 3), (rays, 3), (rays,))]


@pytest.mark.parametrize("rays", [1, 5, 64])
def test_losses_are_those_of_a_loop_over_rays(rays):
    color, opacity, target, background, spread = rendered(rays)
    losses = ray_losses(color, opacity, target, background, SETTINGS, spread=spread)
    squares, entropies = 0.0, 0.0
    for ray in range(rays):
        for channel in range(3):
            shown = color[ray, channel] + (1 - opacity[ray]) * background[ray, channel]
            squares += float(shown - target[ray, channel]) ** 2
        entropies -= float(opacity[ray] * opacity[ray].log())
    expected = {
        "color": squares / (3 * rays),
        "opacity": 0.5 * entropies / rays,
        "distortion": 2.0 * float(spread.mean()),
    }
    assert {name: float(value) for name, value in losses.items()} == pytest.approx(expected, rel=1e-5)  # float32 sums


def test_rays_that_do_not_count_change_nothing():
    tensors = rendered(9)
    counted = torch.arange(9) % 2 == 0
    for tensor in tensors:
        tensor[~counted] = 1e3
    color, opacity, target, background, spread = tensors
    losses = ray_losses(color, opacity, target, background, SETTINGS, spread=spread, counted=counted)
    color, opacity, target, background, spread = (tensor[counted] for tensor in tensors)
    alone = ray_losses(color, opacity, target, background, SETTINGS, spread=spread)
    torch.testing.assert_close(losses, alone)


def test_no_ray_counts():
    color, opacity, target, background, spread = rendered(4)
    none = torch.zeros(4, dtype=torch.bool)
    losses = ray_losses(color, opacity, target, background, SETTINGS, spread=spread, counted=none)
    assert all(float(value) == 0 for value in losses.values())


def test_distortion_can_be_left_out():
    color, opacity, target, background, _ = rendered(4)
    assert set(ray_losses(color, opacity, target, background, SETTINGS, spread=None)) == {"color", "opacity"}


def test_quadruples_with_a_ray_that_does_not_count_are_left_out():
    generator = torch.Generator().manual_seed(0)
    depth, opacity = torch.rand(12, generator=generator) + 0.5, torch.rand(12, generator=generator) * 0.5 + 0.5
    counted = torch.ones(12, dtype=torch.bool)
    counted[6] = False
    loss = depth_smoothness(depth, opacity, SETTINGS, counted=counted)
    kept = torch.tensor([0, 1, 2, 3, 8, 9, 10, 11])
    torch.testing.assert_close(loss, depth_smoothness(depth[kept], opacity[kept], SETTINGS))
    assert float(loss) != pytest.approx(float(depth_smoothness(depth, opacity, SETTINGS)))


def test_far_samples_count_by_disparity():
    t, delta = torch.tensor([1.0, 3.0]), torch.tensor([0.5, 0.5])
    assert [part.tolist() for part in spread_axis(t, delta, bounded=True)] == [[1.0, 3.0], [0.5, 0.5]]
    assert [part.tolist() for part in spread_axis(t, delta, bounded=False)] == [[0.5, 0.75], [0.125, 0.03125]]
