"""Trainings that two processes share, against what one does."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import shared_work
import torch

from ultrafield.config import Config
from ultrafield.errors import ConfigError
from ultrafield.scene import Scene, Split
from ultrafield.scene.share import own_views, without_others
from ultrafield.sharing import Group, Team
from ultrafield.training.checkpoint import STATE_FILE
from ultrafield.training.features.base import feature_part
from ultrafield.training.fitting import fit
from ultrafield.training.geometry.base import geometry_part
from ultrafield.training.geometry.trainer import HostGeometryTrainer
from ultrafield.training.members import check_shared, checksum, prepare_geometry, start_steps
from ultrafield.training.trainers import geometry_trainer

CPU = torch.device("cpu")


@pytest.fixture(scope="module")
def short(config: Config) -> Config:
    # After so few steps a density shows something, a surface does not.
    few = replace(config.geometry, steps=24, samples=4096, rays=128, max_samples_per_ray=32)
    geometry = replace(few, representation="density")
    return replace(config, geometry=geometry, features=replace(config.features, steps=5, pixels=256))


def test_views_are_shared_out(balls: Scene) -> None:
    parts = [own_views(balls, rank, 3) for rank in range(3)]
    assert [[view.name for view in part.train] for part in parts] == [
        ["r_0", "r_3", "r_6"],
        ["r_1", "r_4", "r_7"],
        ["r_2", "r_5"],
    ]
    np.testing.assert_array_equal(parts[2].train.normalised_cameras.c2w, balls.train.normalised_cameras.c2w[[2, 5]])
    bare = without_others(balls, 1, 3)
    assert [view.masks is not None and view.image is not None for view in bare.train] == [
        index % 3 == 1 for index in range(8)
    ]
    assert [view.name for view in bare.train] == [view.name for view in balls.train]
    assert own_views(balls, 0, 1) is without_others(balls, 0, 1) is balls


def test_a_step_is_shared_out(config: Config) -> None:
    geometry = replace(config.geometry, rays=33, samples=1000, depth_smooth_pixels=3)
    part = geometry_part(geometry, Group(1, 4))
    assert (part.rays, part.samples, part.depth_smooth_pixels) == (9, 250, 1)
    assert geometry_part(replace(geometry, samples=None), Group(0, 2)).samples is None
    features = replace(config.features, images=5, pixels=500)
    parts = [feature_part(features, Group(rank, 3)) for rank in range(3)]
    assert [(part.images, part.pixels) for part in parts] == [(2, 200), (2, 200), (1, 100)]
    few = feature_part(replace(features, images=1, pixels=101), Group(1, 2))
    assert (few.images, few.pixels) == (1, 50)


def test_the_gradient_is_that_of_all_processes(pair: Team, balls: Scene, short: Config) -> None:
    config = replace(short, geometry=replace(short.geometry, density_weight=0.0, representation="surface"))
    prepare_geometry(pair, balls, config)
    trainer = geometry_trainer(balls, config, CPU, pair.group)
    pair.finish()
    start_steps(pair, trainer, 0, 1, fresh=True)
    trainer.step(0)
    assert pair.finish() == [checksum(trainer.field)]

    parts = []
    for rank in range(2):
        part = replace(config, geometry=geometry_part(config.geometry, Group(rank, 2)))
        alone = HostGeometryTrainer(own_views(balls, rank, 2), part, CPU)
        alone.draw_apart(Group(rank, 2), 0)
        alone._refresh_occupancy(0)  # draws what the step drew
        alone.field.occupancy.occupied.copy_(trainer.field.occupancy.occupied)
        alone.set_progress(0)
        alone.set_progress = lambda step: None  # a step without another refresh, but of the same progress
        alone.step(1)
        parts.append([value.grad for value in alone.field.parameters()])
    for value, one, other in zip(trainer.field.parameters(), *parts, strict=True):
        torch.testing.assert_close(value.grad, (one + other) / 2, rtol=1e-4, atol=1e-8)
        assert not torch.allclose(one, other)


def test_processes_share_the_gains_of_their_views(pair: Team, balls: Scene, short: Config) -> None:
    config = replace(short, geometry=replace(short.geometry, density_weight=0.0, exposure=True))
    prepare_geometry(pair, balls, config)
    trainer = geometry_trainer(balls, config, CPU, pair.group)
    pair.finish()
    trainer.draw_apart(pair.group, 1)
    start_steps(pair, trainer, 1, 2, fresh=True)  # a step without a refresh
    trainer.step(1)
    assert pair.finish() == [checksum(trainer.field)]
    assert trainer.exposure is not None
    gradient = trainer.exposure.log_gains.grad
    assert gradient is not None
    for rank in range(2):
        part = replace(config, geometry=geometry_part(config.geometry, Group(rank, 2)))
        alone = HostGeometryTrainer(own_views(balls, rank, 2), part, CPU)
        alone.draw_apart(Group(rank, 2), 1)
        alone.step(1)
        mine, expected = gradient[rank::2], alone.exposure.log_gains.grad
        assert bool((expected.abs() > 0).all())
        torch.testing.assert_close(mine - mine.mean(0), expected / 2, rtol=1e-3, atol=1e-8)  # up to a common factor


def test_two_processes_train_as_well_as_one(pair: Team, balls: Scene, short: Config, tmp_path: Path) -> None:
    said: list[str] = []
    out = tmp_path / "run"
    shared = fit(balls, short, device="cpu", out=out, team=pair, progress=False, note=said.append)
    assert said == []
    assert not (out / STATE_FILE).exists()
    single = fit(balls, short, device="cpu", progress=False)
    for one, other in ((shared.geometry, single.geometry), (shared.features, single.features)):
        assert one is not None
        assert other is not None
        for mine, theirs in zip(one.parameters(), other.parameters(), strict=True):
            assert mine.shape == theirs.shape
            assert float(mine.detach().std()) == pytest.approx(float(theirs.detach().std()), rel=0.2)
    kept = fit(balls, short, device="cpu", out=out, progress=False)  # what two have trained serves one
    assert checksum(kept.geometry) == checksum(shared.geometry)


def test_a_training_goes_on_with_another_number_of_processes(
    pair: Team, balls: Scene, short: Config, tmp_path: Path, states_every, monkeypatch: pytest.MonkeyPatch
) -> None:
    from ultrafield.training import loop

    class Stop(Exception):
        pass

    def stop(self, step, losses):
        if step == 17:
            raise Stop

    config = replace(short, engine="lift")
    states_every(8)
    with monkeypatch.context() as patched:
        patched.setattr(loop.TrainingLog, "log", stop)
        with pytest.raises(Stop):
            fit(balls, config, device="cpu", out=tmp_path, progress=False)
    said: list[str] = []
    fit(balls, config, device="cpu", out=tmp_path, team=pair, progress=False, note=said.append)
    assert said == ["geometry: goes on from step 16 of 24"]


def test_votes_on_comparisons_are_those_of_one_process(pair: Team, balls: Scene) -> None:
    pair.start(shared_work.table_of, balls)
    mine = shared_work.table_of(shared_work.here(pair), balls)
    (theirs,) = pair.finish()
    whole = shared_work.table_of(replace(shared_work.here(pair), group=Group()), balls)
    pixels = len(whole.voxel) // len(balls.train)
    for rank, table in enumerate((mine, theirs)):
        own = whole.voxel.view(len(balls.train), pixels)[rank::2].reshape(-1)
        assert torch.equal(table.voxel, own)
        assert torch.equal(table.sums, whole.sums)
        assert torch.equal(table.weights, whole.weights)
        assert torch.equal(table.rows[table.codes.long()], whole.rows[whole.codes.long()])


def test_updates_on_the_device_are_those_of_the_sum(pair: Team, config: Config, kernel_device: str) -> None:
    from ultrafield.training.cuda.adam import FusedAdam

    if kernel_device != "cpu":
        pytest.skip("two processes on the CPU, with Triton's interpreter")
    pair.start(shared_work.updates, config)
    mine = shared_work.updates(shared_work.here(pair), config)
    (theirs,) = pair.finish()
    field = shared_work.small_field(config)
    optimizer = FusedAdam(field, lr=1e-2, beta2=0.99, sparse=True)
    for step in range(3):
        (one, loss), (other, more) = (shared_work.pulls(field, rank, step) for rank in range(2))
        optimizer.zero_grad()
        (0.25 * loss + 0.75 * more).backward()
        field.grid.table.grad = 0.25 * one + 0.75 * other
        optimizer.step()
    for here, there, expected in zip(mine, theirs, field.parameters(), strict=True):
        np.testing.assert_array_equal(here, there)
        np.testing.assert_allclose(here, expected.detach().numpy(), rtol=1e-5, atol=1e-7)


def test_what_cannot_be_shared_is_refused(pair: Team, balls: Scene, config: Config) -> None:
    single = replace(balls, splits={"train": Split(balls.train.views[:1], balls.train.normalised_cameras[:1])})
    with pytest.raises(ConfigError, match="2 GPUs share out the training views, of which balls has 1"):
        check_shared(single, config, pair)
    poses = replace(config, geometry=replace(config.geometry, refine_poses=True))
    with pytest.raises(ConfigError, match="2 GPUs cannot refine poses together"):
        fit(balls, poses, device="cpu", team=pair, progress=False)
    check_shared(single, poses, None)
