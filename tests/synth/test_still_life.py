from __future__ import annotations

from collections import Counter

import numpy as np
import pytest

from ultrafield.synth.raycast import Raycaster
from ultrafield.synth.scene_graph import Model, build_model
from ultrafield.synth.shading import make_lights
from ultrafield.synth.shots import look_at_origin, take_shot
from ultrafield.synth.still_life import still_life


@pytest.fixture(scope="module")
def model() -> Model:
    return build_model(still_life(), name="still_life")


def test_it_is_nested_and_rich(model: Model) -> None:
    levels = Counter(node.level for node in model.nodes)
    assert levels["part"] >= 25
    assert levels["object"] >= 10
    assert levels["group"] >= 3
    assert levels["sub"] >= 1
    names = {node.name for node in model.nodes}
    assert {"tea", "tea/pot", "tea/pot/lid", "tea/pot/lid/knob"} <= names
    assert len(names) == len(model.nodes)


def test_every_part_stands_on_the_tray_or_higher(model: Model) -> None:
    (board,) = (node.parts[0] for node in model.nodes if node.name == "tray/tray/board")
    top = model.triangles[model.face_part == board][..., 2].max()
    for node in model.nodes:
        if node.level == "object" and not node.name.startswith("tray"):
            lowest = model.triangles[np.isin(model.face_part, node.parts)][..., 2].min()
            assert lowest > top - 0.02, node.name


def test_every_part_shows_and_the_tray_does_not_dominate(model: Model) -> None:
    caster, lights = Raycaster(model), make_lights(1, 1)
    poses = look_at_origin(np.radians([-70, 20, 110, 200]), np.radians([45, 30, 60, 40]))
    parts = np.stack([take_shot(caster, lights, pose, 128, 1).parts for pose in poses])
    assert set(np.unique(parts)) >= set(range(1, len(model.part_object))) - _hidden(model)
    tray = np.isin(parts, next(node.parts for node in model.nodes if node.name == "tray"))
    assert 0.1 < tray.sum() / (parts > 0).sum() < 0.5


def _hidden(model: Model) -> set[int]:
    """Parts that only low cameras see: what is below the tray and the bowl."""
    return {node.parts[0] for node in model.nodes if node.name in ("tray/tray/feet", "fruit/bowl/foot")}


def test_surfaces_carry_patterns(model: Model) -> None:
    for name in ("tray/tray/board", "tea/pot/body", "fruit/bowl/dish", "reading/atlas/cover"):
        (part,) = (node.parts[0] for node in model.nodes if node.name == name)
        assert model.colors[model.face_part == part].reshape(-1, 3).std(0).max() > 0.02, name
