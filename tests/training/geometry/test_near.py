"""Gradients near cameras, and density that is pressed down there."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch

from ultrafield.training.geometry.near import weaken_near, weakens_near
from ultrafield.training.geometry.trainer import HostGeometryTrainer


@pytest.fixture
def trainer_of(balls, config):
    """A function that makes a trainer of the balls, with or without surroundings."""

    def make(*, surroundings: bool, **changes):
        scene = replace(balls, background=None, half_extent=2.0) if surroundings else balls
        changed = replace(config, geometry=replace(config.geometry, **changes))
        return HostGeometryTrainer(scene, changed, torch.device("cpu"))

    return make


def test_gradients_fall_off_with_the_square_of_the_distance(trainer_of):
    field = trainer_of(surroundings=True, near_reach=2.0).field
    distance = torch.tensor([0.1, 1.0, 1.9, 2.0, 5.0])
    shares = torch.tensor([0.0025, 0.25, 0.9025, 1.0, 1.0])
    for values in (torch.arange(5.0), torch.arange(15.0).view(5, 3)):
        values.requires_grad_()
        weakened = weaken_near(values, distance, field)
        torch.testing.assert_close(weakened, values)
        (7 * weakened).sum().backward()
        expected = 7 * shares.view(-1, *[1] * (values.ndim - 1)).expand_as(values)
        torch.testing.assert_close(values.grad, expected)


@pytest.mark.parametrize(("surroundings", "reach"), [(False, 2.0), (True, 0.0)])
def test_bounded_scenes_and_a_reach_of_nothing_leave_gradients_alone(trainer_of, surroundings, reach):
    trainer = trainer_of(surroundings=surroundings, near_reach=reach)
    values = torch.ones(3, requires_grad=True)
    assert weaken_near(values, torch.full((3,), 0.1), trainer.field) is values
    assert not weakens_near(trainer.field)
    assert len(trainer.probes()) == 4096


def test_half_of_the_probes_lie_around_cameras(trainer_of):
    trainer = trainer_of(surroundings=True)
    anywhere, around = trainer.probes().split(4096)
    centers = trainer.pool.rays.c2w[:, :, 3]
    apart = (around[:, None] - centers).abs().amax(-1).min(1).values
    assert apart.max() <= 0.25
    assert apart.mean() > 0.15  # the mean of the largest of three uniform offsets is 0.19
    assert (around[:, None] - centers).norm(dim=-1).argmin(1).unique().tolist() == list(range(len(centers)))
    assert anywhere.abs().max() <= 2.0
    assert anywhere.abs().max() > 1.9
