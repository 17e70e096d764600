"""Fields on disk, and what `fit` keeps of a run folder."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest
import torch
from safetensors import safe_open
from safetensors.torch import save_file

from ultrafield.config import preset
from ultrafield.errors import RunError, SceneError
from ultrafield.scene import Split
from ultrafield.training import FIELD_FILE, STATE_FILE, fit, fitting, load_fields, loop, posed
from ultrafield.training.checkpoint import load_state, stored_settings


@pytest.fixture
def short(config):
    return replace(config, geometry=replace(config.geometry, steps=5), features=replace(config.features, steps=3))


def states(fields):
    return {**fields.geometry.state_dict(), **{f"f.{k}": v for k, v in fields.features.state_dict().items()}}


def test_saved_fields_come_back_exactly(balls, short, tmp_path):
    fields = fit(balls, short, device="cpu", out=tmp_path, progress=False)
    again = load_fields(tmp_path)
    one, other = states(fields), states(again)
    assert one.keys() == other.keys()
    assert all(torch.equal(one[name], other[name]) for name in one)
    assert again.geometry.config == short.geometry
    assert again.features.config == short.features
    assert again.geometry.bounded
    assert not (tmp_path / STATE_FILE).exists()
    assert (tmp_path / "log.jsonl").read_text().count("\n") >= 4


def test_geometry_is_kept_when_features_are_added(balls, short, tmp_path, monkeypatch):
    lift = fit(balls, replace(short, engine="lift"), device="cpu", out=tmp_path, progress=False)
    assert lift.features is None
    assert stored_settings(tmp_path / FIELD_FILE).features is None
    monkeypatch.setattr(fitting, "_fit_geometry", lambda *a, **k: pytest.fail("trained geometry again"))
    both = fit(balls, short, device="cpu", out=tmp_path, progress=False)
    assert both.features is not None
    with pytest.raises(pytest.fail.Exception):
        fit(balls, replace(short, seed=9), device="cpu", out=tmp_path, progress=False)
    with pytest.raises(pytest.fail.Exception):
        fit(balls, short, device="cpu", out=tmp_path, resume=False, progress=False)


@pytest.mark.parametrize("resume", [True, False])
@pytest.mark.parametrize("name", [FIELD_FILE, STATE_FILE])
def test_files_of_the_user_are_not_replaced(balls, short, tmp_path, name, resume):
    (tmp_path / name).write_text("mine")
    with pytest.raises(RunError, match=rf"{name}: .*it is not replaced: give the training a folder of its own"):
        fit(balls, short, device="cpu", out=str(tmp_path), resume=resume, progress=False)
    with pytest.raises(RunError, match=rf"{name}: .*it is not replaced"):
        fitting.fit_geometry(balls, short, out=tmp_path, progress=False)
    assert [(file.name, file.read_text()) for file in tmp_path.iterdir()] == [(name, "mine")]


@pytest.mark.parametrize("name", ["log.jsonl", "config.json"])
def test_a_log_or_settings_of_others_make_no_run_of_a_folder(balls, short, tmp_path, name):
    files = {name: '{"loss": 1}\n', STATE_FILE: "mine"}
    for file, content in files.items():
        (tmp_path / file).write_text(content)
    with pytest.raises(RunError, match=r"(log\.jsonl|state\.pt): .*it is not replaced: give the training a folder"):
        fit(balls, short, device="cpu", out=tmp_path, progress=False)
    assert {file.name: file.read_text() for file in tmp_path.iterdir()} == files


@pytest.mark.parametrize("new", ["seed", "scene"])
def test_the_state_of_another_training_is_named(balls, short, tmp_path, monkeypatch, states_every, new):
    states_every(2)
    monkeypatch.setattr(loop.TrainingLog, "log", lambda self, step, losses: 1 / (3 - step))
    with pytest.raises(ZeroDivisionError):
        fit(balls, short, device="cpu", out=tmp_path, progress=False)
    monkeypatch.undo()
    assert load_state(tmp_path) is not None
    said = []
    settings = replace(short, engine="lift", seed=short.seed + (new == "seed"))
    scene = replace(balls, half_extent=2 * balls.half_extent) if new == "scene" else balls
    fit(scene, settings, device="cpu", out=tmp_path, progress=False, note=said.append)
    file = tmp_path / STATE_FILE
    assert f"{file}: of another training; geometry is trained from the start" in said
    assert not file.exists()


def test_the_state_of_finished_geometry_is_none_of_another_training(balls, short, tmp_path, states_every):
    states_every(2)
    said = []
    fit(balls, short, device="cpu", out=tmp_path, progress=False, note=said.append)
    assert not [line for line in said if STATE_FILE in line]


def test_finished_features_are_kept_too(balls, short, tmp_path, monkeypatch):
    first = fit(balls, short, device="cpu", out=tmp_path, progress=False)
    monkeypatch.setattr(fitting, "fit_features", lambda *a, **k: pytest.fail("trained features again"))
    second = fit(balls, short, device="cpu", out=tmp_path, progress=False)
    assert all(torch.equal(a, b) for a, b in zip(states(first).values(), states(second).values(), strict=True))


def test_a_field_whose_settings_do_not_say_was_a_density_with_whole_gradients_near_cameras(balls, short, tmp_path):
    lift = replace(short, engine="lift", geometry=replace(short.geometry, representation="density", near_reach=0.0))
    fit(balls, lift, device="cpu", out=tmp_path, progress=False)
    file = tmp_path / FIELD_FILE
    with safe_open(file, framework="pt") as archive:
        meta = json.loads(archive.metadata()["ultrafield"])
        tensors = {name: archive.get_tensor(name) for name in archive.keys()}  # noqa: SIM118, no dictionary
    for later in ("representation", "near_reach", "exposure"):
        del meta["geometry"][later]
    save_file(tensors, file, metadata={"ultrafield": json.dumps(meta)})
    assert stored_settings(file).geometry == lift.geometry


def test_a_folder_without_field_says_what_to_do(tmp_path):
    with pytest.raises(RunError, match=r"field.safetensors: no trained field; run `ultrafield train SCENE"):
        load_fields(tmp_path)


def test_a_broken_field_is_named(tmp_path):
    (tmp_path / FIELD_FILE).write_bytes(b"not a field")
    with pytest.raises(RunError, match=r"field.safetensors: not a field of this version"):
        load_fields(tmp_path)


def test_a_broken_state_is_named(tmp_path):
    (tmp_path / STATE_FILE).write_bytes(b"not a state")
    with pytest.raises(RunError, match=r"state.pt: damaged, or not a training state"):
        load_state(tmp_path)


def test_a_folder_in_place_of_the_state_is_refused_before_training(balls, short, tmp_path):
    (tmp_path / STATE_FILE).mkdir()
    with pytest.raises(RunError, match=r"state\.pt: expected a file, but it is a folder"):
        fit(balls, short, device="cpu", out=tmp_path, progress=False)
    assert (tmp_path / STATE_FILE).is_dir()


def test_features_survive_a_training_that_needs_none(balls, short, tmp_path):
    both = fit(balls, short, device="cpu", out=tmp_path, progress=False)
    fit(balls, replace(short, engine="lift"), device="cpu", out=tmp_path, progress=False)
    again = load_fields(tmp_path)
    assert all(torch.equal(a, b) for a, b in zip(states(both).values(), states(again).values(), strict=True))


def test_refined_poses_are_kept_and_used(balls, short, tmp_path):
    refined = replace(short, geometry=replace(short.geometry, refine_poses=True))
    fit(balls, refined, device="cpu", out=tmp_path, progress=False)
    moved = posed(balls, load_fields(tmp_path).geometry)
    assert 0 < abs(moved.train.normalised_cameras.c2w - balls.train.normalised_cameras.c2w).max() < 1e-2
    assert posed(balls, fit(balls, short, device="cpu", progress=False).geometry) is balls


def test_missing_masks_are_noticed_before_geometry_is_trained(balls, short, monkeypatch):
    monkeypatch.setattr(fitting, "_fit_geometry", lambda *a, **k: pytest.fail("trained geometry first"))
    views = (replace(balls.train.views[0], masks=None), *balls.train.views[1:])
    scene = replace(balls, splits={"train": Split(views, balls.train.normalised_cameras)})
    with pytest.raises(SceneError, match="training view 'r_0' has no masks"):
        fit(scene, short, device="cpu", progress=False)


def test_without_settings_the_preset_is_the_draft_on_the_cpu(balls, monkeypatch):
    chosen = []

    def stop(scene, config, *options):
        chosen.append(config)
        raise KeyboardInterrupt

    monkeypatch.setattr(fitting, "_fit_geometry", stop)
    with pytest.raises(KeyboardInterrupt):
        fit(balls, device="cpu", progress=False)
    assert chosen == [preset("draft")]
