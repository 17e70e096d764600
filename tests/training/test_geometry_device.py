"""Steps of fixed shape against the steps that the CPU takes: same rays, same losses, same gradients."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch

from ultrafield.training.geometry import RayBatch, _GeometryTrainer, render_rays


@pytest.fixture
def trainer(balls, config, kernel_device):
    from ultrafield.training.geometry_device import DeviceGeometryTrainer

    small = replace(config.geometry, rays=32, samples=768, max_samples_per_ray=32, occupancy_resolution=8)
    return DeviceGeometryTrainer(balls, replace(config, geometry=small), torch.device(kernel_device))


def test_losses_and_gradients_are_those_of_the_cpu(trainer, balls, config):
    rays = trainer.draw()
    jitter = torch.rand(len(rays.pixels), device=rays.pixels.device)
    live = int(trainer.live_rays)
    samples = trainer.visible_samples(rays, jitter)
    assert samples.complete[:live].all()
    assert not samples.complete[live:].any()
    target, background = trainer._target(rays.pixels)
    losses = trainer.losses(rays, samples, target, background)
    torch.stack(list(losses.values())).sum().backward()

    other = _GeometryTrainer(balls, replace(config, geometry=trainer.settings), torch.device("cpu"))
    other.field.load_state_dict(trainer.field.state_dict())
    origins, directions = rays.origins[:live].cpu(), rays.directions[:live].cpu()
    rendered = render_rays(other.field, RayBatch(origins, directions, torch.ones(live)), jitter[:live].cpu())
    assert len(rendered.samples) == int(samples.offsets[-1])
    shown = rendered.color + (1 - rendered.opacity)[:, None] * background.cpu()
    expected = {"color": (shown - target[:live].cpu()).square().mean(), **other._regularisers(rendered, 1)}
    torch.stack(list(expected.values())).sum().backward()
    assert losses.keys() == expected.keys()
    for name, value in expected.items():
        # float32 and, on CUDA, tf32 products.
        torch.testing.assert_close(losses[name].cpu(), value, rtol=3e-3, atol=1e-6)
    tolerance = 2e-2 if rays.pixels.is_cuda else 1e-4
    gradient = other.field.grid.table.grad
    assert (trainer.table_grad.cpu() - gradient).norm() < tolerance * gradient.norm()
    pairs = zip(trainer.field.named_parameters(), other.field.named_parameters(), strict=True)
    for (name, one), (_, two) in pairs:
        if name != "grid.table":
            assert (one.grad.cpu() - two.grad).norm() < tolerance * two.grad.norm(), name


def test_steps_train_and_a_state_goes_on(trainer, balls, config):
    from ultrafield.training.geometry_device import DeviceGeometryTrainer

    first = {name: float(value) for name, value in trainer.step(0).items()}
    assert set(first) == {"color", "opacity", "distortion", "density"}
    assert (trainer.table_grad == 0).all()  # spent by the optimiser
    state = trainer.state(1)
    again = DeviceGeometryTrainer(balls, replace(config, geometry=trainer.settings), trainer.device)
    assert again.restore(state) == 1
    one, other = ({name: float(value) for name, value in this.step(1).items()} for this in (trainer, again))
    # Atomic additions come in any order on a GPU.
    assert one == pytest.approx(other, rel=1e-3, abs=1e-7)


def test_rays_of_one_picture(trainer):
    trainer.settings = replace(trainer.settings, ray_sampling="same_image")
    views, _ = trainer.pool.locate(trainer.draw().pixels)
    assert len(views.unique()) == 1


def test_refreshed_cells_hold_the_denser_of_old_and_new(trainer):
    trainer._refresh(everywhere=True)
    density = trainer.field.occupancy.density
    assert (density > 0.5).all()  # fog of density one at the start
    before = density.clone()
    trainer._refresh(everywhere=False)
    kept = trainer.settings.occupancy_decay
    assert (trainer.field.occupancy.density >= kept * before).all()
