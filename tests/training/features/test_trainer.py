"""Training of the feature field: pixels of one mask come together, of different masks apart."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch

from ultrafield.errors import SceneError
from ultrafield.field import point_features
from ultrafield.scene import Split
from ultrafield.training import fit_features, fit_geometry
from ultrafield.training.contrast import euclidean_loss, sample_pairs
from ultrafield.training.features import losses
from ultrafield.training.features import trainer as module


@pytest.fixture(scope="module")
def geometry(balls, config):
    return fit_geometry(balls, replace(config, geometry=replace(config.geometry, steps=200)), progress=False)


def test_features_tell_the_masks_apart(balls, config, geometry):
    config = replace(config, features=replace(config.features, steps=200))
    field = fit_features(geometry, balls, config, progress=False)
    generator = np.random.default_rng(0)
    shell = generator.normal(size=(200, 3))
    shell /= np.linalg.norm(shell, axis=1, keepdims=True)
    red = point_features(field, (np.array([0.2, 0, 0]) + 0.18 * shell)[shell[:, 2] > 0.2])
    blue = point_features(field, (np.array([-0.2, 0, 0.05]) + 0.15 * shell)[shell[:, 2] > 0.2])
    np.testing.assert_allclose(np.linalg.norm(red, axis=1), 1, rtol=1e-5)
    within = np.mean(red @ red.T), np.mean(blue @ blue.T)
    assert min(within) > np.mean(red @ blue.T) + 0.15


def test_the_same_seed_gives_the_same_features(balls, config, geometry):
    short = replace(config, features=replace(config.features, steps=10))
    one, other = (fit_features(geometry, balls, short, progress=False).state_dict() for _ in range(2))
    assert all(torch.equal(one[name], other[name]) for name in one)


def test_an_interrupted_training_goes_on(balls, config, geometry, tmp_path, monkeypatch, states_every):
    states_every(8)
    short = replace(config, features=replace(config.features, steps=20))
    whole = fit_features(geometry, balls, short, progress=False).state_dict()
    real_step = module.HostFeatureTrainer.step

    def interrupted(self, step):
        if step == 18:
            raise KeyboardInterrupt
        return real_step(self, step)

    monkeypatch.setattr(module.HostFeatureTrainer, "step", interrupted)
    with pytest.raises(KeyboardInterrupt):
        fit_features(geometry, balls, short, out=tmp_path, progress=False)
    monkeypatch.setattr(module.HostFeatureTrainer, "step", real_step)
    resumed = fit_features(geometry, balls, short, out=tmp_path, progress=False).state_dict()
    assert all(torch.equal(whole[name], resumed[name]) for name in whole)


@pytest.mark.parametrize("weights", [(1.0, 0.0), (0.0, 1.0)])
def test_each_loss_can_be_left_out(balls, config, geometry, weights):
    settings = replace(config.features, euclidean_weight=weights[0], ultrametric_weight=weights[1], steps=2)
    field = fit_features(geometry, balls, replace(config, features=settings), progress=False)
    assert all(bool(value.isfinite().all()) for value in field.state_dict().values())


@pytest.mark.parametrize(("borders", "voxel"), [(True, 0.05), (False, 0.05), (True, 0.0)])
def test_comparisons_are_drawn_along_borders_and_weighed(balls, config, geometry, monkeypatch, borders, voxel):
    near, weights = [], []

    def drawn(*arguments, **options):
        near.append(options["near"])
        return sample_pairs(*arguments, **options)

    def weighed(features, pairs, **options):
        weights.append(pairs.weight)
        return euclidean_loss(features, pairs, **options)

    monkeypatch.setattr(module, "sample_pairs", drawn)
    monkeypatch.setattr(losses, "euclidean_loss", weighed)
    settings = replace(config.features, steps=1, border_negatives=borders, vote_voxel=voxel)
    fit_features(geometry, balls, replace(config, features=settings), progress=False)
    assert (near[0] is not None) == borders
    assert (weights[0] is not None) == (voxel > 0)
    if voxel > 0:
        assert 0 < float(weights[0].mean()) < 1


def test_a_view_without_masks_is_named(balls, config, geometry):
    views = (balls.train.views[0], replace(balls.train.views[1], masks=None), *balls.train.views[2:])
    scene = replace(balls, splits={"train": Split(views, balls.train.normalised_cameras)})
    with pytest.raises(SceneError, match="training view 'r_1' has no masks"):
        fit_features(geometry, scene, config, progress=False)
