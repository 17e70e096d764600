"""Gains of photographs: known ones come back, they are 1 on average, and nothing else changes."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch

from ultrafield.cameras import Cameras
from ultrafield.cameras.projection import pixel_directions
from ultrafield.config import GeometryConfig
from ultrafield.field import render_view
from ultrafield.scene import Split, View
from ultrafield.sharing import Group
from ultrafield.training import fit, fit_geometry, loop
from ultrafield.training.checkpoint import load_state
from ultrafield.training.geometry.exposure import Exposure
from ultrafield.training.geometry.losses import ray_losses
from ultrafield.training.geometry.trainer import HostGeometryTrainer
from ultrafield.training.pixels import pixel_pool

CPU = torch.device("cpu")


@pytest.fixture(scope="module")
def wall(balls):
    """Eight pictures of a painted plane that all of them see from nearly the same distance, [V, H, W, 3] in [0, 1]."""
    generator, size, height = np.random.default_rng(1), 16, 0.9
    c2w = np.zeros((8, 3, 4))
    c2w[:, :, :3] = np.diag([1.0, -1.0, -1.0])
    c2w[:, :, 3] = np.append(generator.uniform(-0.15, 0.15, (8, 2)), np.full((8, 1), height), axis=1)
    cameras = Cameras.pinhole(c2w, np.array([24.0, 24.0, size / 2, size / 2]), np.array([size, size]))
    directions = pixel_directions(cameras, 0) @ c2w[0, :, :3].T
    places = c2w[:, None, None, :, 3] + height * directions / -directions[..., 2:]
    phase = places[..., :1] * np.array([4.0, 6.0, 8.0]) + places[..., 1:2] * np.array([7.0, -5.0, 4.0])
    views = tuple(View(f"r_{index}", np.zeros((size, size, 3), np.uint8), None) for index in range(8))
    return replace(balls, splits={"train": Split(views, cameras)}), 0.45 + 0.3 * np.sin(phase)


def exposed(wall, factors):
    """The scene with photographs as bright as factors [V, 3] say, clipped."""
    scene, pictures = wall
    photographs = np.rint(255 * pictures * factors[:, None, None]).clip(0, 255).astype(np.uint8)
    views = tuple(replace(view, image=image) for view, image in zip(scene.train.views, photographs, strict=True))
    return replace(scene, splits={"train": Split(views, scene.train.normalised_cameras)})


@pytest.fixture(scope="module")
def factors():
    generator = np.random.default_rng(0)
    return np.exp(generator.uniform(np.log(0.7), np.log(1.4), (8, 1)) + generator.normal(0, 0.05, (8, 3)))


def centred(factors):
    logarithms = np.log(factors)
    return logarithms - logarithms.mean(0)


def trained(scene, config, steps, **changes):
    settings = replace(config.geometry, steps=steps, planar_weight=0.0, **changes)
    trainer = HostGeometryTrainer(scene, replace(config, geometry=settings), CPU)
    for step in range(steps):
        trainer.step(step)
    return trainer


@pytest.mark.parametrize("light", [1.0, 1.3])  # with the latter, most photographs are white somewhere
def test_known_gains_come_back_and_the_field_has_their_mean(wall, config, factors, light):
    capture = exposed(wall, light * factors)
    assert sum(bool((view.image == 255).any()) for view in capture.train) >= (1 if light == 1 else 5)
    trainer, without = (trained(capture, config, 100, exposure=learned) for learned in (True, False))
    assert without.exposure is None
    gains = trainer.exposure.gains().detach().numpy()
    np.testing.assert_allclose(np.log(gains).mean(0), 0, atol=1e-6)
    learned, known = np.log(gains), centred(factors)
    assert np.corrcoef(learned.ravel(), known.ravel())[0, 1] > 0.95
    assert np.abs(learned - known).mean() < 0.35 * np.abs(known).mean()  # the rest looks like gloss
    wanted = (light * np.exp(np.log(factors).mean(0)) * wall[1]).clip(0, 1).mean((1, 2))
    cameras = capture.train.normalised_cameras
    unlike = [
        np.std([np.log(render_view(one.field, cameras, view).color.mean((0, 1)) / wanted[view]) for view in range(8)])
        for one in (trainer, without)
    ]
    assert unlike[0] < 0.8 * unlike[1]


def test_gains_are_learned_for_the_views_that_a_process_has():
    exposure = Exposure(5, Group(1, 2))
    assert bool((exposure.gains() == 1).all())
    with torch.no_grad():
        exposure.log_gains.copy_(torch.arange(15.0).view(5, 3) / 10)
    gains = exposure.gains().detach()
    torch.testing.assert_close(exposure(torch.tensor([1, 0, 1])), gains[[3, 1, 3]])
    torch.testing.assert_close(gains.log().mean(0), torch.zeros(3), atol=1e-6, rtol=0)
    exposure(torch.tensor([0])).sum().backward()
    assert bool((exposure.log_gains.grad[1] > 0).all())
    torch.testing.assert_close(exposure.log_gains.grad.sum(0), torch.zeros(3), atol=1e-6, rtol=0)


def test_what_a_photograph_cannot_show_costs_nothing():
    def error(color, target, gain):
        color, target, gains = (torch.tensor([[value] * 3]) for value in (color, target, gain))
        losses = ray_losses(color, torch.ones(1), target, torch.zeros(3), GeometryConfig(), spread=None, gains=gains)
        return float(losses["color"])

    assert error(0.9, 1.0, 1.4) == 0  # brighter than white
    assert error(0.6, 1.0, 1.4) == pytest.approx((0.6 * 1.4 - 1) ** 2)
    assert error(0.9, 0.95, 1.4) == pytest.approx((0.9 * 1.4 - 0.95) ** 2)  # not white, though clipped by the field


def test_photographs_are_no_brighter_than_a_field_can_show(balls):
    def target(pool, background):
        colors, _ = pool.target(pixels, background, drawn, brightest=torch.tensor([[0.5, 0.7, 1.2]]))
        return [pytest.approx(color) for color in colors.tolist()]

    pool = pixel_pool(balls, CPU)
    pixels = torch.stack([pool.colors.min(1).values.argmax(), pool.colors[:, 0].eq(220).float().argmax()])
    red, drawn = [value / 255 for value in (220, 40, 40)], torch.full((2, 3), 0.25)
    assert target(pool, None) == [[0.5, 0.7, 1.0], [0.5, *red[1:]]]
    assert target(pool, torch.ones(3)) == [[1.0] * 3, red]  # what is white is the background
    clear = replace(pool, alpha=torch.where(pool.colors.min(1).values == 255, 0, 255))
    assert target(clear, torch.ones(3)) == [[0.25] * 3, [0.5, *red[1:]]]


def test_an_interrupted_training_goes_on_with_its_gains(wall, config, factors, tmp_path, monkeypatch, states_every):
    states_every(8)
    capture = exposed(wall, factors)
    settings = replace(config.geometry, steps=24, exposure=True, planar_weight=0.0)
    config = replace(config, engine="lift", geometry=settings)
    kept = []

    class Kept(HostGeometryTrainer):
        def finished(self):
            kept.append(self.exposure.gains().detach().clone())
            return super().finished()

    monkeypatch.setattr("ultrafield.training.trainers.HostGeometryTrainer", Kept)
    whole = fit_geometry(capture, config, progress=False)

    class Stop(Exception):
        pass

    def stop(self, step, losses):
        if step == 19:
            raise Stop

    with monkeypatch.context() as patched:
        patched.setattr(loop.TrainingLog, "log", stop)
        with pytest.raises(Stop):
            fit(capture, config, device="cpu", out=tmp_path, progress=False)
    state = load_state(tmp_path)
    assert state["step"] == 16
    assert float(state["exposure"]["log_gains"].abs().max()) > 0.05
    said = []
    resumed = fit(capture, config, device="cpu", out=tmp_path, progress=False, note=said.append).geometry
    assert torch.equal(kept[0], kept[1])
    low, high = float(kept[0].min()), float(kept[0].max())
    said = [text for text in said if not text.startswith("warning: geometry: training pictures")]  # after 24 steps
    assert said == [
        "geometry: goes on from step 16 of 24",
        f"geometry: gains of the photographs are between {low:.2f} and {high:.2f}",
    ]
    for one, other in zip(whole.state_dict().values(), resumed.state_dict().values(), strict=True):
        assert torch.equal(one, other)
