"""Camera paths of others."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from toy_scene import ring

from ultrafield.cameras import Cameras, Similarity
from ultrafield.cameras.model import OPENGL_AXES
from ultrafield.errors import SceneError
from ultrafield.scene.camera_path import read_camera_path, read_path_frame

POSES = ring(5).c2w


def opengl(pose: np.ndarray) -> np.ndarray:
    """A pose as files have it, 4x4."""
    return np.concatenate([pose * OPENGL_AXES, [[0, 0, 0, 1]]])


def write(folder: Path, values: Any) -> Path:
    (folder / "path.json").write_text(json.dumps(values))
    return folder / "path.json"


def nerfstudio() -> dict[str, Any]:
    cameras = [{"camera_to_world": opengl(pose).ravel().tolist(), "fov": 50.0, "aspect": 1.5} for pose in POSES]
    shape = {"render_width": 96, "render_height": 64, "fps": 24, "seconds": 2.0}
    return shape | {"camera_type": "perspective", "camera_path": cameras}


def listed() -> dict[str, Any]:
    frames = [{"transform_matrix": opengl(pose).tolist()} for pose in POSES]
    return {"w": 96, "h": 64, "fl_x": 80.0, "fl_y": 81.0, "cx": 40.0, "cy": 30.0, "k1": 0.05, "frames": frames}


def test_a_path_of_nerfstudio(tmp_path: Path) -> None:
    path = read_camera_path(write(tmp_path, nerfstudio()), None)
    assert path.fps == 24
    np.testing.assert_allclose(path.cameras.c2w, POSES, atol=1e-12)
    assert path.cameras.sizes.tolist() == [[96, 64]] * 5
    focal = 32 / math.tan(math.radians(25))  # the angle is that from top to bottom
    np.testing.assert_allclose(path.cameras.intrinsics, [[focal, focal, 48, 32]] * 5)


def test_poses_of_four_rows_are_read_too(tmp_path: Path) -> None:
    values = nerfstudio()
    for item in values["camera_path"]:
        item["camera_to_world"] = np.reshape(item["camera_to_world"], (4, 4)).tolist()
    np.testing.assert_allclose(read_camera_path(write(tmp_path, values), None).cameras.c2w, POSES, atol=1e-12)


def test_cameras_as_in_transforms_json(tmp_path: Path) -> None:
    path = read_camera_path(write(tmp_path, listed()), None)
    assert path.fps is None
    np.testing.assert_allclose(path.cameras.c2w, POSES, atol=1e-12)
    np.testing.assert_allclose(path.cameras.intrinsics, [[80.0, 81.0, 40.0, 30.0]] * 5)
    assert path.cameras.distortion[:, 0].tolist() == [0.05] * 5


def test_cameras_without_size_or_lens_have_those_of_the_scene(tmp_path: Path) -> None:
    bare = listed()["frames"]
    path = read_camera_path(write(tmp_path, bare), ring(2))
    np.testing.assert_allclose(path.cameras.intrinsics, ring(5).intrinsics)
    assert path.cameras.sizes.tolist() == [[48, 48]] * 5
    wide = read_camera_path(write(tmp_path, {"w": 96, "h": 48, "frames": bare}), ring(2))
    np.testing.assert_allclose(wide.cameras.intrinsics, [[120.0, 120.0, 48.0, 24.0]] * 5)  # as much from side to side


def changed(values: dict[str, Any], where: tuple[Any, ...], value: Any) -> dict[str, Any]:
    place = values
    for key in where[:-1]:
        place = place[key]
    if value is None:
        del place[where[-1]]
    else:
        place[where[-1]] = value
    return values


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        ({"poses": []}, "no camera path; expected nerfstudio's (an object with 'camera_path'), or cameras as in"),
        ("text", "no camera path"),
        ([], "lists no cameras"),
        ([3], "camera 0: expected an object, got 3"),
        ([{}], "camera 0: needs 'transform_matrix', 4x4 numbers"),
        (changed(nerfstudio(), ("camera_path",), []), "lists no cameras"),
        (changed(nerfstudio(), ("camera_path",), {}), "lists no cameras"),
        (changed(nerfstudio(), ("camera_type",), "equirectangular"), "must be perspective, got 'equirectangular'"),
        (changed(nerfstudio(), ("render_width",), None), "needs 'render_width' and 'render_height'"),
        (changed(nerfstudio(), ("render_width",), 1e6), "'render_width' must lie between 8 and 16384"),
        (changed(nerfstudio(), ("camera_path", 2, "fov"), None), "camera 2: needs 'fov'"),
        (changed(nerfstudio(), ("camera_path", 2, "fov"), 180), "camera 2: 'fov' must lie between 0.05 and 178"),
        (
            changed(nerfstudio(), ("camera_path", 1, "camera_to_world"), [0] * 15),
            "'camera_to_world' must be 16 numbers",
        ),
        (
            changed(nerfstudio(), ("camera_path", 1, "camera_to_world"), [0] * 15 + [1]),
            "camera 1: 'camera_to_world' must hold a rotation",
        ),
        (changed(nerfstudio(), ("fps",), -1), "'fps' must be positive"),
        (changed(listed(), ("fl_x",), "wide"), "camera 0: 'fl_x' must be a finite number"),
        (changed(listed(), ("frames", 3, "transform_matrix"), [[1]]), "camera 3: 'transform_matrix' must be 4x4"),
        (changed(listed(), ("frames", 3, "w"), 80), "camera 3: a film has one size, 96x64 pixels, got 80x64"),
        (changed(listed(), ("w",), None), "camera 0: needs 'w' and 'h'"),
        (changed(changed(listed(), ("fl_x",), None), ("fl_y",), None), "camera 0: needs 'fl_x' or 'camera_angle_x'"),
    ],
)
def test_what_is_no_path_is_refused(tmp_path: Path, values: Any, expected: str) -> None:
    with pytest.raises(SceneError, match=r"path\.json: ") as failure:
        read_camera_path(write(tmp_path, values), None)
    assert expected in str(failure.value)
    assert "\n" not in str(failure.value)


def test_too_many_cameras_are_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from ultrafield.scene import camera_path

    monkeypatch.setattr(camera_path, "_MOST", 4)
    with pytest.raises(SceneError, match="lists 5 cameras, more than 4"):
        read_camera_path(write(tmp_path, listed()), None)


def rotation(*columns: list[float]) -> np.ndarray:
    return np.array(columns, np.float64)


def test_the_frame_of_nerfstudios_viewer(tmp_path: Path) -> None:
    """nerfstudio turns, shifts, then scales the poses of transforms.json; what was applied to these is in its file."""
    turn = rotation([0, 1, 0], [-1, 0, 0], [0, 0, 1])
    shift, scale = np.array([0.5, -1.0, 2.0]), 0.25
    points = np.random.default_rng(0).normal(size=(6, 3))
    expected = scale * (points @ turn.T + shift)
    whole = np.eye(4)
    whole[:3] = np.concatenate([turn, shift[:, None]], axis=1)
    (tmp_path / "frame.json").write_text(json.dumps({"transform": whole[:3].tolist(), "scale": scale}))
    np.testing.assert_allclose(read_path_frame(tmp_path / "frame.json").apply(points), expected)
    applied = np.array([[1, 0, 0, 0.0], [0, 0, 1, 0], [0, -1, 0, 0], [0, 0, 0, 1]])
    stored = {"transform": (whole @ applied)[:3].tolist(), "scale": scale * 2.0}
    (tmp_path / "frame.json").write_text(json.dumps(stored))
    scene = {"applied_transform": applied[:3].tolist(), "applied_scale": 2.0, "frames": []}
    (tmp_path / "transforms.json").write_text(json.dumps(scene))
    found = read_path_frame(tmp_path / "frame.json", tmp_path / "transforms.json")
    np.testing.assert_allclose(found.apply(points), expected, atol=1e-12)
    (tmp_path / "transforms.json").write_text("{}")
    assert isinstance(read_path_frame(tmp_path / "frame.json", tmp_path / "transforms.json"), Similarity)


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        ([], "expected 'transform', 3x4 numbers, and 'scale', as nerfstudio writes them"),
        ({"transform": np.eye(3).tolist(), "scale": 1}, "expected 'transform', 3x4 numbers"),
        ({"transform": np.eye(3, 4).tolist()}, "expected 'transform', 3x4 numbers, and 'scale'"),
        ({"transform": np.eye(3, 4).tolist(), "scale": 0}, "'scale' must be positive"),
        ({"transform": np.zeros((3, 4)).tolist(), "scale": 1}, "'transform' cannot be used (it cannot be undone)"),
        ({"transform": (2 * np.eye(3, 4)).tolist(), "scale": 1}, "'transform' cannot be used (rotation: expected a"),
    ],
)
def test_a_frame_that_cannot_be_used(tmp_path: Path, values: Any, expected: str) -> None:
    (tmp_path / "frame.json").write_text(json.dumps(values))
    with pytest.raises(SceneError, match=r"frame\.json: ") as failure:
        read_path_frame(tmp_path / "frame.json")
    assert expected in str(failure.value)


def test_lenses_differ_from_camera_to_camera(tmp_path: Path) -> None:
    values = listed()
    values["frames"][1]["fl_x"] = 70.0
    cameras = read_camera_path(write(tmp_path, values), None).cameras
    assert isinstance(cameras, Cameras)
    assert cameras.intrinsics[:, 0].tolist() == [80.0, 70.0, 80.0, 80.0, 80.0]
