"""Scenes that do not fit their box, and poses far beyond the others."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from ultrafield.errors import SceneError
from ultrafield.io import write_image
from ultrafield.scene import load_scene
from ultrafield.scene.fit import measure_fit
from ultrafield.scene.outliers import outlying

Make = Callable[..., Path]
Edit = Callable[[Path, Callable[[dict], None]], None]


def warnings_of(root: Path, **options: object) -> list[str]:
    warnings: list[str] = []
    load_scene(root, warn=warnings.append, **options)
    return warnings


def shift(values: dict, by: tuple[float, float, float]) -> None:
    for frame in values["frames"]:
        for row, distance in zip(frame["transform_matrix"], by, strict=False):
            row[3] += distance


def turn_outwards(values: dict) -> None:
    for frame in values["frames"]:
        frame["transform_matrix"] = (np.array(frame["transform_matrix"]) * [1, -1, -1, 1]).tolist()


def move_camera(index: int, x: float) -> Callable[[dict], None]:
    def change(values: dict) -> None:
        values["frames"][index]["transform_matrix"][0][3] = x

    return change


@pytest.mark.parametrize("count", [2, 3, 8, 100])
def test_ordinary_scenes_cause_no_warning(make_blender: Make, make_capture: Make, count: int) -> None:
    assert warnings_of(make_blender(splits={"train": count})) == []
    assert warnings_of(make_capture(count)) == []


@pytest.mark.parametrize("by", [(10.0, 20.0, 0.0), (3.0, 0.0, 0.0), (0.0, 0.0, -1e5), (4e5, 5e6, 0.0)])
def test_an_object_away_from_the_origin(make_blender: Make, edit: Edit, by: tuple[float, float, float]) -> None:
    root = make_blender(splits={"train": 12})
    expected = load_scene(root, recentre=True).train
    edit(root / "transforms_train.json", lambda values: shift(values, by))
    (warning,) = warnings_of(root)
    assert warning.startswith(f"{root}: the cameras do not look at the box that is modelled: ")
    assert warning.endswith("; --recentre (in Python recentre=True) puts it where they look")
    assert warnings_of(root, recentre=True) == []
    scene = load_scene(root, recentre=True)
    np.testing.assert_allclose(scene.train.normalised_cameras.c2w, expected.normalised_cameras.c2w, atol=1e-6)
    np.testing.assert_allclose(scene.train.cameras.c2w[:, :, 3] - by, expected.cameras.c2w[:, :, 3], atol=1e-6)


def test_recentring_a_centred_scene_changes_its_scale_at_most(make_blender: Make) -> None:
    root = make_blender(splits={"train": 8})
    moved, plain = (load_scene(root, recentre=choice).to_user for choice in (True, False))
    np.testing.assert_allclose(moved.translation, plain.translation, atol=2e-3)  # the focus has a weak prior


def test_an_object_larger_than_the_box(make_blender: Make) -> None:
    root = make_blender(splits={"train": 8}, size=(32, 32))
    for file in (root / "train").iterdir():
        picture = np.full((32, 32, 4), 255, np.uint8)
        picture[0, 0] = 0
        write_image(file, picture)
    assert warnings_of(root) == []
    edit_angle = json.loads((root / "transforms_train.json").read_text()) | {"camera_angle_x": 1.2}
    (root / "transforms_train.json").write_text(json.dumps(edit_angle))
    (warning,) = warnings_of(root)
    assert "of the object's pixels lie outside; --recentre" in warning
    assert warnings_of(root, recentre=True) == []
    (warning,) = warnings_of(root, half_extent=0.3)
    assert warning.endswith("a larger --half-extent makes it larger")


def test_poses_in_the_axes_of_opencv(make_blender: Make, edit: Edit) -> None:
    root = make_blender(splits={"train": 8})

    edit(root / "transforms_train.json", turn_outwards)
    (warning,) = warnings_of(root)
    assert "the cameras look away from the scene's middle; transforms files have OpenGL's axes" in warning


def test_cameras_that_see_nothing_in_common(make_capture: Make, edit: Edit) -> None:
    root = make_capture(6, camera_angle_x=0.02, fl_x=None)

    edit(root / "transforms.json", turn_outwards)
    (warning,) = warnings_of(root, hold_out=None)
    assert warning.startswith(f"{root}: 6 of 6 training views see no point that another one sees")


def test_a_capture_that_looks_outwards_is_fine(make_capture: Make, edit: Edit) -> None:
    root = make_capture(24, camera_angle_x=1.0, fl_x=None)

    edit(root / "transforms.json", turn_outwards)
    assert warnings_of(root, hold_out=None) == []


def test_what_is_measured(make_blender: Make) -> None:
    fit = measure_fit(load_scene(make_blender(splits={"train": 60})))
    assert (fit.views, fit.blind, fit.alone, fit.away, fit.focus) == (48, 0, 0, False, True)


# Poses far beyond the others


@pytest.mark.parametrize("layout", ["blender", "capture"])
@pytest.mark.parametrize("x", [1e3, -1e8, 1e11])
def test_one_pose_far_beyond_the_others(
    make_blender: Make, make_capture: Make, edit: Edit, layout: str, x: float
) -> None:
    root = make_blender(splits={"train": 8}) if layout == "blender" else make_capture(8)
    file = root / ("transforms_train.json" if layout == "blender" else "transforms.json")
    edit(file, lambda values: values["frames"].__delitem__(slice(3, 4)))
    expected = load_scene(root, hold_out=None)
    edit(file, lambda values: values["frames"].insert(3, values["frames"][2] | {"file_path": _picture(layout, 3)}))
    edit(file, move_camera(3, x))
    warnings: list[str] = []
    scene = load_scene(root, hold_out=None, warn=warnings.append)
    name = scene.train.views[3].name
    assert warnings[0].startswith(
        f"{file}: 1 camera stands more than 10 times as far out as the others ({name}), which"
    )
    assert scene.to_user.scale == pytest.approx(expected.to_user.scale)
    assert scene.half_extent == expected.half_extent
    others = [0, 1, 2, 4, 5, 6, 7]
    np.testing.assert_allclose(scene.train.normalised_cameras.c2w[others], expected.train.normalised_cameras.c2w)


def _picture(layout: str, index: int) -> str:
    return f"train/r_{index}" if layout == "blender" else f"images/{index:04d}.png"


def test_which_centres_lie_far_beyond() -> None:
    angles = 2 * np.pi * np.arange(20) / 20
    circle = np.stack([np.cos(angles), np.sin(angles), np.ones(20)], axis=1)
    assert not outlying(circle).any()
    assert not outlying(np.linspace(0, 1, 30)[:, None] * np.ones(3)).any()  # a walk
    assert not outlying(np.concatenate([circle, 9 * circle[:6]])).any()  # close and from afar
    assert outlying(np.concatenate([circle, 50 * circle[:2]])).tolist() == [False] * 20 + [True] * 2
    assert not outlying(np.array([[0.0, 0, 0], [1, 0, 0], [1e6, 0, 0]])).any()  # which is wrong?
    assert not outlying(np.array([[0.0, 0, 0]] * 9 + [[1, 0, 0]])).any()  # a tripod
    assert not outlying(np.zeros((0, 3))).any()


def test_a_box_far_larger_than_the_scene(make_capture: Make) -> None:
    with pytest.raises(SceneError, match=r"'aabb_scale' makes a box \d+ times as large as the cameras' distance"):
        load_scene(make_capture(aabb_scale=1e6))


@pytest.mark.parametrize(
    ("key", "value", "message"),
    [
        ("aabb_scale", 0, "'aabb_scale' must be positive, got 0"),
        ("aabb_scale", -1, "'aabb_scale' must be positive, got -1"),
        ("aabb_scale", 1e300, "'aabb_scale' must lie between 0.001 and 1e+06, got 1e+300"),
        ("aabb_scale", float("nan"), "'aabb_scale' must be a finite number, got nan"),
        ("aabb_scale", [4], "'aabb_scale' must be a finite number, got [4]"),
        ("scale", 0, "'scale' must be positive, got 0"),
        ("scale", 1e-300, "'scale' must lie between 1e-06 and 1e+06, got 1e-300"),
    ],
)
def test_boxes_that_cannot_be_meant(make_capture: Make, key: str, value: object, message: str) -> None:
    root = make_capture(**{key: value})
    with pytest.raises(SceneError) as error:
        load_scene(root)
    assert str(error.value) == f"{root}/transforms.json: {message}"
