"""Training of the geometry: it learns, repeats itself, goes on where it stopped, and fails in words."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch

from ultrafield.errors import SceneError, TrainingError
from ultrafield.field import render_view
from ultrafield.metrics import psnr
from ultrafield.scene import Split
from ultrafield.training import fit_geometry
from ultrafield.training.checkpoint import STATE_FILE, load_state
from ultrafield.training.geometry import losses
from ultrafield.training.geometry.trainer import HostGeometryTrainer


def same_parameters(one: torch.nn.Module, other: torch.nn.Module) -> bool:
    pairs = zip(one.state_dict().values(), other.state_dict().values(), strict=True)
    return all(torch.equal(a, b) for a, b in pairs)


def test_pictures_are_learned(balls, config):
    config = replace(config, geometry=replace(config.geometry, steps=150))
    field = fit_geometry(balls, config, progress=False)
    view = render_view(field, balls.train.normalised_cameras, 0)
    assert psnr(view.color, balls.train.views[0].image) > 22
    assert 0.02 < float(field.occupancy.occupied.float().mean()) < 0.6


def test_the_same_seed_gives_the_same_field_bit_for_bit(balls, config):
    config = replace(config, geometry=replace(config.geometry, steps=24))
    one, other = (fit_geometry(balls, config, progress=False) for _ in range(2))
    assert same_parameters(one, other)
    third = fit_geometry(balls, replace(config, seed=4), progress=False)
    assert not same_parameters(one, third)


def test_an_interrupted_training_goes_on_as_if_nothing_had_happened(balls, config, tmp_path, monkeypatch, states_every):
    states_every(20)
    whole = fit_geometry(balls, config, progress=False)
    real_step = HostGeometryTrainer.step

    def interrupted(self, step):
        if step == 45:
            raise KeyboardInterrupt
        return real_step(self, step)

    monkeypatch.setattr(HostGeometryTrainer, "step", interrupted)
    with pytest.raises(KeyboardInterrupt):
        fit_geometry(balls, config, out=tmp_path, progress=False)
    assert (tmp_path / STATE_FILE).is_file()
    seen = []
    monkeypatch.setattr(HostGeometryTrainer, "step", lambda self, step: seen.append(step) or real_step(self, step))
    resumed = fit_geometry(balls, config, out=tmp_path, progress=False)
    assert seen == list(range(40, 60))
    assert same_parameters(whole, resumed)


def test_a_state_of_other_settings_is_not_gone_on_with(balls, config, tmp_path, monkeypatch, states_every):
    states_every(10)
    config = replace(config, geometry=replace(config.geometry, steps=24))
    fit_geometry(balls, config, out=tmp_path, progress=False)
    other = replace(config, geometry=replace(config.geometry, lr=5e-3))
    assert same_parameters(
        fit_geometry(balls, other, out=tmp_path, progress=False), fit_geometry(balls, other, progress=False)
    )


def test_a_loss_that_is_not_finite_names_itself_and_the_step(balls, config, monkeypatch):
    monkeypatch.setattr(losses, "smoothness_loss", lambda depth, *rest, **options: depth.sum() * torch.nan)
    config = replace(config, geometry=replace(config.geometry, depth_smooth=True, depth_smooth_from=0.0))
    with pytest.raises(TrainingError, match=r"geometry: the smoothness loss is nan at step 0; .*geometry\.lr"):
        fit_geometry(balls, config, progress=False)


def test_a_field_that_becomes_empty_is_an_error(balls, config, monkeypatch):
    def emptied(self, step):
        self.field.occupancy.occupied.zero_()
        return {}

    monkeypatch.setattr(HostGeometryTrainer, "step", emptied)
    with pytest.raises(TrainingError, match="the density field is empty"):
        fit_geometry(balls, config, progress=False)


@pytest.mark.parametrize(
    "changes",
    [
        {"depth_smooth": True, "depth_smooth_from": 0.0},
        {"alpha_evidence": False},
        {"ray_sampling": "same_image"},
        {"refine_poses": True},
        {"exposure": True},
        {"samples": 0},
    ],
)
def test_every_option_changes_the_result(balls, config, changes):
    short = replace(config, geometry=replace(config.geometry, steps=3))
    alpha = tuple(
        replace(view, alpha=np.where(view.image.min(-1) == 255, 0, 255).astype(np.uint8)) for view in balls.train
    )
    scene = replace(balls, splits={"train": Split(alpha, balls.train.normalised_cameras)})
    plain = fit_geometry(scene, short, progress=False)
    changed = fit_geometry(scene, replace(short, geometry=replace(short.geometry, **changes)), progress=False)
    assert not same_parameters(plain, changed)


def test_a_capture_without_known_background_is_modelled_in_cascades(balls, config):
    capture = replace(balls, background=None, half_extent=2.0)
    field = fit_geometry(capture, replace(config, geometry=replace(config.geometry, steps=20)), progress=False)
    assert field.occupancy.cascades == 3
    assert not field.bounded
    assert float(field.edges[-1] - field.edges[-2]) > 1.3 * float(field.edges[1] - field.edges[0])


def test_without_transparency_there_is_no_evidence_of_it(balls, config):
    short = replace(config, geometry=replace(config.geometry, steps=3))
    without = replace(short, geometry=replace(short.geometry, alpha_evidence=False))
    assert same_parameters(fit_geometry(balls, short, progress=False), fit_geometry(balls, without, progress=False))


def test_pictures_without_transparency_count_as_opaque(balls, config):
    short = replace(config, geometry=replace(config.geometry, steps=3))
    drawn = replace(short, geometry=replace(short.geometry, random_background=True))
    assert not same_parameters(fit_geometry(balls, short, progress=False), fit_geometry(balls, drawn, progress=False))
    first = replace(balls.train.views[0], alpha=np.full(balls.train.views[0].image.shape[:2], 255, np.uint8))
    scene = replace(balls, splits={"train": Split((first, *balls.train.views[1:]), balls.train.normalised_cameras)})
    assert same_parameters(fit_geometry(scene, drawn, progress=False), fit_geometry(balls, drawn, progress=False))


@pytest.mark.parametrize("step", [5, 59])
def test_parameters_that_are_not_finite_never_pass(balls, config, monkeypatch, tmp_path, states_every, step):
    states_every(10)
    real_step = HostGeometryTrainer.step

    def poisoned(self, index):
        values = real_step(self, index)
        if index == step:
            with torch.no_grad():
                self.field.grid.table.fill_(torch.nan)
        return values

    monkeypatch.setattr(HostGeometryTrainer, "step", poisoned)
    with pytest.raises(TrainingError, match=r"geometry: .*(not finite|is nan).*geometry\.lr"):
        fit_geometry(balls, config, out=tmp_path, progress=False)
    state = load_state(tmp_path)
    assert state is None or all(bool(value.isfinite().all()) for value in state["field"].values())


def test_depth_smoothness_without_masks_is_an_error(balls, config):
    views = (replace(balls.train.views[0], masks=None), *balls.train.views[1:])
    scene = replace(balls, splits={"train": Split(views, balls.train.normalised_cameras)})
    with pytest.raises(SceneError, match="training view 'r_0' has no masks"):
        fit_geometry(scene, replace(config, geometry=replace(config.geometry, depth_smooth=True)), progress=False)
