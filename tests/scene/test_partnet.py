"""PartNet renderings."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import pytest

from ultrafield.errors import SceneError
from ultrafield.io import write_image
from ultrafield.masks import write_masks
from ultrafield.scene import load_scene
from ultrafield.scene.partnet import orbit_pose


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """Nine views, every second with transparent pixels, masks in the published folder."""
    for index in range(9):
        folder = tmp_path / f"view-{index:02d}"
        picture = np.full((10, 10, 4 if index % 2 else 3), 100, np.uint8)
        write_image(folder / "shape-rgb.png", picture)
        (folder / "meta.txt").write_text(f"{40 * index} {5 * index} 0\n0.75\n")
        masks = np.ones((2, 10, 10), bool)
        masks[1, 5:] = False
        write_masks(tmp_path, "", f"{index:02d}", masks)
    return tmp_path


def test_views_cameras_and_masks(root: Path) -> None:
    scene = load_scene(root)
    assert (scene.layout, scene.half_extent) == ("partnet", 0.5)
    assert scene.background.tolist() == [0, 0, 0]
    assert [view.name for view in scene.splits["val"]] == ["00", "08"]
    assert [view.name for view in scene.train] == [f"{index:02d}" for index in range(1, 8)]
    assert scene.has_masks
    cameras = scene.train.normalised_cameras
    np.testing.assert_allclose(np.linalg.norm(cameras.c2w[:, :, 3], axis=1), 1.5)
    np.testing.assert_allclose(cameras.moved(scene.to_user).c2w[0], orbit_pose(40, 5, 0.75))
    focal = 5 / np.tan(np.radians(25))
    np.testing.assert_allclose(cameras.intrinsics[0], [focal, focal, 5, 5])
    np.testing.assert_array_equal(scene.train.views[0].image, np.full((10, 10, 3), 39))  # 100 · 100 / 255 on black


@pytest.mark.parametrize("azimuth", [0.0, 30.0, 145.0, -90.0])
@pytest.mark.parametrize("elevation", [0.0, 20.0, -35.0])
def test_cameras_look_at_the_origin_with_x_up(azimuth: float, elevation: float) -> None:
    pose = orbit_pose(azimuth, elevation, 2.0)
    np.testing.assert_allclose(pose[:, :3].T @ pose[:, :3], np.eye(3), atol=1e-12)
    assert np.linalg.det(pose[:, :3]) == pytest.approx(1.0)
    np.testing.assert_allclose(pose[:, 3], -2.0 * pose[:, 2], atol=1e-12)
    assert pose[0, 0] == pytest.approx(0.0)  # the picture's rows are level
    assert pose[0, 1] < 0  # y goes down, x goes up
    assert pose[0, 3] == pytest.approx(2.0 * np.sin(np.radians(elevation)))


def test_poses_mirror_the_published_ones() -> None:
    turn, rise = np.radians(40.0), np.radians(10.0)
    eye = 2 * np.array([np.sin(rise), np.cos(rise) * np.sin(turn), np.cos(rise) * np.cos(turn)])
    forward = -eye / 2
    left = np.cross([1.0, 0, 0], forward)
    left /= np.linalg.norm(left)
    published = np.stack([left, -np.cross(forward, left), forward, eye], axis=1)
    np.testing.assert_allclose(np.diag([1.0, -1.0, 1.0]) @ published, orbit_pose(40.0, 10.0, 2.0), atol=1e-12)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("1 2 3", "expected three finite angles and a positive radius, got [1.0, 2.0, 3.0]"),
        ("1 2 3 0", "expected three finite angles and a positive radius, got [1.0, 2.0, 3.0, 0.0]"),
        ("1 nan 3 4", "expected three finite angles and a positive radius, got [1.0, nan, 3.0, 4.0]"),
        ("a b c d", "expected four numbers (three angles in degrees, the radius)"),
    ],
)
def test_bad_meta(root: Path, text: str, message: str) -> None:
    file = root / "view-03/meta.txt"
    file.write_text(text)
    with pytest.raises(SceneError, match=re.escape(f"{file}: {message}")):
        load_scene(root)


def test_missing_meta(root: Path) -> None:
    file = root / "view-03/meta.txt"
    file.unlink()
    with pytest.raises(SceneError, match=re.escape(f"{file}: no such file")):
        load_scene(root)


def test_missing_picture(root: Path) -> None:
    (root / "view-03/shape-rgb.png").unlink()
    message = "1 of 9 images listed in its view-XX folders are missing (first: view-03/shape-rgb.png)"
    with pytest.raises(SceneError, match=re.escape(message)):
        load_scene(root, allow_missing=False)


def test_own_masks_go_before_published_ones(root: Path, tmp_path: Path) -> None:
    write_masks(root, "train", "03", np.ones((1, 10, 10), bool))
    scene = load_scene(root)
    assert [len(view.masks) for view in scene.train] == [2, 2, 1, 2, 2, 2, 2]
