"""Blender-HS and NeRF-synthetic."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from ultrafield.cameras.projection import back_project, project
from ultrafield.errors import SceneError
from ultrafield.scene import load_ground_truth, load_scene

Make = Callable[..., Path]
Edit = Callable[[Path, Callable[[dict], None]], None]
OPENGL = np.array([1.0, -1.0, -1.0, 1.0])


def listed_poses(file: Path) -> np.ndarray:
    return np.array([frame["transform_matrix"] for frame in json.loads(file.read_text())["frames"]])[:, :3]


def test_axes_radius_and_users_frame(make_blender: Make) -> None:
    root = make_blender(splits={"train": 3, "val": 2})
    scene = load_scene(root)
    assert (scene.half_extent, scene.near, scene.bounded) == (0.5, 0.01, True)
    np.testing.assert_allclose(np.linalg.norm(scene.train.normalised_cameras.c2w[:, :, 3], axis=1), 1.5)
    for name, split in scene.splits.items():
        listed = listed_poses(root / f"transforms_{name}.json")
        np.testing.assert_allclose(split.normalised_cameras.moved(scene.to_user).c2w * OPENGL, listed, atol=1e-12)
        forward = split.normalised_cameras.c2w[:, :, 2]
        np.testing.assert_allclose(split.normalised_cameras.c2w[:, :, 3], -1.5 * forward, atol=1e-12)


def test_one_scale_for_cameras_of_different_radii(make_blender: Make, edit: Edit) -> None:
    root = make_blender(splits={"train": 2})

    def move(values: dict) -> None:
        for row in values["frames"][0]["transform_matrix"][:3]:
            row[3] *= 2

    edit(root / "transforms_train.json", move)
    radii = np.linalg.norm(load_scene(root).train.normalised_cameras.c2w[:, :, 3], axis=1)
    np.testing.assert_allclose(radii, [2.0, 1.0])


def test_half_extent_may_be_overridden(make_blender: Make) -> None:
    assert load_scene(make_blender(), half_extent=1.0).half_extent == 1.0


def test_splits_names_and_order(make_blender: Make) -> None:
    scene = load_scene(make_blender(splits={"train": 12, "val": 2, "test": 3, "val_rotate_90": 2}))
    assert {name: len(split) for name, split in scene.splits.items()} == {"train": 12, "val": 2, "val_rotate": 2}
    assert [view.name for view in scene.train] == [f"r_{index}" for index in range(12)]


def test_test_views_validate_where_nothing_else_does(make_blender: Make) -> None:
    root = make_blender(splits={"train": 2, "test": 3})
    assert load_scene(root).splits["val"].views[2].file == root / "test/r_2.png"


def test_validation_pictures_may_all_be_missing_with_consent(make_blender: Make) -> None:
    root = make_blender(splits={"train": 2, "val": 2})
    for file in (root / "val").iterdir():
        file.unlink()
    with pytest.raises(SceneError, match=r"2 of 2 images listed in transforms_val\.json are missing"):
        load_scene(root)
    assert set(load_scene(root, allow_missing=True, warn=lambda _: None).splits) == {"train"}


def test_a_test_file_without_any_picture_is_ignored(make_blender: Make) -> None:
    root, warnings = make_blender(splits={"train": 2, "test": 3}), []
    for file in (root / "test").iterdir():
        file.unlink()
    assert set(load_scene(root, warn=warnings.append).splits) == {"train"}
    file = root / "transforms_test.json"
    assert warnings == [f"{file}: none of the 3 images that it lists exists; it is ignored"]
    assert load_ground_truth(load_scene(root, warn=lambda _: None), "val") is None


def test_rotated_views_need_no_pictures(make_blender: Make) -> None:
    root = make_blender(size=(6, 10), splits={"train": 2, "val_rotate": 2})
    for file in (root / "val_rotate").iterdir():
        file.unlink()
    split = load_scene(root, downsample=0.5).splits["val_rotate"]
    assert [view.image for view in split] == [None, None]
    assert split.normalised_cameras.sizes.tolist() == [[5, 3], [5, 3]]
    np.testing.assert_allclose(split.normalised_cameras.intrinsics[0], np.array([5 / np.tan(0.35)] * 2 + [5, 3]) / 2)


def set_matrix(matrix: object) -> Callable[[dict], None]:
    def change(values: dict) -> None:
        values["frames"][1]["transform_matrix"] = matrix

    return change


EYE = np.eye(4)
MIRRORED = np.diag([1.0, 1.0, -1.0, 1.0])
STRETCHED = np.diag([2.0, 1.0, 1.0, 1.0])
TRANSPOSED = EYE + np.outer([0, 0, 0, 1], [3, 0, 0, 0])


@pytest.mark.parametrize(
    ("matrix", "message"),
    [
        (np.eye(3).tolist(), "'transform_matrix' must be 4x4, got (3, 3)"),
        (np.eye(4)[:3].tolist(), "'transform_matrix' must be 4x4, got (3, 4)"),
        ([1.0] * 16, "'transform_matrix' must be 4x4 numbers, got [1.0, 1.0, "),
        ([[1, 2], [3]], "'transform_matrix' must be 4x4 numbers"),
        ([["a"] * 4] * 4, "'transform_matrix' must be 4x4 numbers"),
        ((EYE * np.nan).tolist(), "'transform_matrix' holds a value that is not finite"),
        ((EYE + np.diag([0, 0, 0, np.inf], 0)).tolist(), "'transform_matrix' holds a value that is not finite"),
        (TRANSPOSED.tolist(), "the last row of 'transform_matrix' must be 0 0 0 1, got [3.0, 0.0, 0.0, 1.0]"),
        (MIRRORED.tolist(), "must hold a rotation, but its axes deviate from orthonormal by 0 (determinant -1)"),
        (STRETCHED.tolist(), "must hold a rotation, but its axes deviate from orthonormal by 3 (determinant 2)"),
        ("identity", "'transform_matrix' must be 4x4 numbers"),
        (None, "'transform_matrix' must be 4x4 numbers"),
    ],
)
def test_bad_pose(make_blender: Make, edit: Edit, matrix: object, message: str) -> None:
    file = make_blender() / "transforms_train.json"
    edit(file, set_matrix(matrix))
    with pytest.raises(SceneError, match=re.escape(f"{file}: frame 1: ") + ".*" + re.escape(message)):
        load_scene(file.parent)


def test_slightly_bent_axes_are_repaired_with_a_warning(make_blender: Make, edit: Edit) -> None:
    root, warnings = make_blender(), []
    before = load_scene(root).train.normalised_cameras.c2w

    def bend(values: dict) -> None:
        for row in values["frames"][2]["transform_matrix"][:3]:
            row[0] *= 1.01

    edit(root / "transforms_train.json", bend)
    after = load_scene(root, warn=warnings.append).train.normalised_cameras.c2w
    np.testing.assert_allclose(after, before, atol=1e-12)
    assert len(warnings) == 1
    assert "the axes of 1 of 3 poses are not orthonormal (worst: frame 2, by 0.02)" in warnings[0]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("{", "not valid JSON"),
        ("[]", "expected an object with a list 'frames'"),
        ('{"frames": {}}', "expected an object with a list 'frames'"),
        ('{"frames": []}', "lists no frames"),
        ('{"frames": [{"transform_matrix": [[1]]}]}', "frame 0: 'file_path' must be a file name"),
        ('{"frames": ["r_0"]}', "frame 0: 'file_path' must be a file name"),
    ],
)
def test_bad_transforms_file(make_blender: Make, text: str, message: str) -> None:
    file = make_blender() / "transforms_train.json"
    file.write_text(text)
    with pytest.raises(SceneError, match=re.escape(f"{file}: {message}")):
        load_scene(file.parent)


def test_picture_listed_twice(make_blender: Make, edit: Edit) -> None:
    file = make_blender() / "transforms_train.json"
    edit(file, lambda values: values["frames"][2].update(file_path="train/r_0.png"))
    message = f"{file}: frames 0 and 2 both list the picture train/r_0.png"
    with pytest.raises(SceneError, match=re.escape(message)):
        load_scene(file.parent)


def test_cameras_at_the_origin(make_blender: Make) -> None:
    file = make_blender(radius=1.0) / "transforms_train.json"
    values = json.loads(file.read_text())
    for frame in values["frames"]:
        frame["transform_matrix"] = np.eye(4).tolist()
    file.write_text(json.dumps(values))
    with pytest.raises(SceneError, match=re.escape(f"{file}: all cameras stand at the origin")):
        load_scene(file.parent)


def test_pickplace_agrees_with_its_exact_depth(pickplace: Path) -> None:
    scene = load_scene(pickplace)
    assert {name: len(split) for name, split in scene.splits.items()} == {"train": 60, "val": 16, "val_rotate": 16}
    assert scene.has_masks
    truths = {}
    for name, split in scene.splits.items():
        truths[name] = load_ground_truth(scene, name)
        with np.load(pickplace / f"exact/{name}.npz") as exact:
            np.testing.assert_allclose(
                split.normalised_cameras.moved(scene.to_user).c2w * OPENGL, exact["c2w"][:, :3], atol=1e-12
            )
        for index in range(0, len(split), 8):
            points = back_project(split.normalised_cameras, index, truths[name].depth[index])
            assert np.nanmax(np.abs(points)) < 0.5
    for index in range(0, 16, 5):
        _check_rotated_view(scene.splits, truths, index)


def _check_rotated_view(splits: dict, truths: dict, index: int) -> None:
    """Points that both views see have the rotated view's depth there."""
    truth, rotated = truths["val"], truths["val_rotate"]
    points = back_project(splits["val"].normalised_cameras, index, truth.depth[index])[truth.visible[index]]
    pixels, depth = project(splits["val_rotate"].normalised_cameras, index, points)
    columns, rows = np.floor(pixels).astype(int).T
    found = rotated.depth[index, rows, columns]
    assert rotated.visible[index, rows, columns].mean() > 0.98  # all but pixels along outlines
    assert (np.abs(found - depth) < 0.02).mean() > 0.95  # all but steep surfaces, half a pixel beside the point
    assert np.median(np.abs(found - depth)) < 0.003
