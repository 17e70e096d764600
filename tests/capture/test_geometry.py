"""Pairs, "up", undistorted pictures and transforms files."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from scipy.spatial.transform import Rotation

from ultrafield.cameras import Cameras, Lens, Similarity, pixel_directions, project
from ultrafield.capture.pairs import all_pairs, likely_pairs
from ultrafield.capture.transforms import Shot, box_scale, transforms
from ultrafield.capture.undistort import straighten, straightened
from ultrafield.capture.upright import upright
from ultrafield.io import write_image
from ultrafield.scene import load_scene
from ultrafield.scene.optics import Optics, distortions, with_lens

LENSES = {
    "pinhole": (Lens.PINHOLE, []),
    "opencv": (Lens.OPENCV, [-0.12, 0.03, 0.002, -0.001]),
    "with k3": (Lens.OPENCV, [-0.12, 0.03, 0.002, -0.001, 0.004]),
    "rational": (Lens.OPENCV, [0.3, 0.1, 0.001, 0.002, 0.01, 0.35, 0.12, 0.02]),
    "brown": (Lens.BROWN, [-0.12, 0.03, 0.002, -0.001, 0.004, 0.05]),
    "sheared": (Lens.BROWN, [-0.12, 0.03, 0.002, -0.001, 0.0, 0.0, 0.003]),
    "fisheye": (Lens.FISHEYE, [0.05, -0.01, 0.003, -0.0005]),
    "fov": (Lens.FOV, [0.9]),
    "division": (Lens.DIVISION, [-0.2]),
    "eucm": (Lens.EUCM, [0.6, 1.1]),
    "prism": (Lens.THIN_PRISM_FISHEYE, [0.02, -0.01, 0.001, -0.002, 0.003, -0.001, 0.002, -0.001, 0.003]),
    "aria": (Lens.FISHEYE624, [0.03, -0.02, 0.01, -0.005, 0.002, -0.0005, 0.001, -0.002, 0.001, -5e-4, -2e-3, 4e-4]),
}
SIZE = (64, 48)


def optics(lens: str) -> Optics:
    return with_lens(Optics(SIZE, (50.0, 52.0), centre=(33.0, 23.5)), *LENSES[lens])


def camera_of(item: Optics, size: tuple[int, int] = SIZE) -> Cameras:
    intrinsics = item.intrinsics(*size)
    return Cameras(np.eye(3, 4)[None], [intrinsics], [size], [item.lens], distortions([item]))


# Pairs


def test_all_pairs() -> None:
    assert all_pairs(0) == all_pairs(1) == []
    assert all_pairs(3) == [(0, 1), (0, 2), (1, 2)]


def test_pairs_of_a_long_walk_close_its_loop() -> None:
    """Places along a circle have descriptors of their own; the end of the walk sees its beginning again."""
    rng = np.random.default_rng(0)
    places = rng.integers(0, 256, (100, 30, 128), dtype=np.uint8)
    descriptors = [places[[index % 100, (index + 1) % 100, (index + 2) % 100]].reshape(-1, 128) for index in range(110)]
    pairs = likely_pairs(descriptors, seed=0)
    assert pairs == sorted(set(pairs))
    assert all(0 <= first < second < 110 for first, second in pairs)
    assert {(0, 1), (5, 9), (0, 16), (3, 67)} <= set(pairs)
    assert sum((index, index + 100) in pairs for index in range(10)) == 10
    assert len(pairs) < 0.6 * len(all_pairs(110))


def test_pictures_without_features_have_their_neighbours() -> None:
    pairs = likely_pairs([np.zeros((0, 128), np.uint8)] * 20, seed=0)
    assert {(0, 1), (0, 8), (0, 16)} <= set(pairs)


# Up


@pytest.mark.parametrize("tilt", [0.0, 30.0, 60.0])
def test_level_cameras_tell_up_however_far_they_look_down(tilt: float) -> None:
    poses = np.stack([_level(azimuth, tilt) for azimuth in np.linspace(0, 200, 12)])
    turn = Similarity(3.0, Rotation.from_euler("xyz", [40, 50, 60], degrees=True).as_matrix(), [5.0, 6.0, 7.0])
    found = upright(turn.apply_poses(poses), "cameras")
    there = found.apply_poses(turn.apply_poses(poses))
    np.testing.assert_allclose(there[:, 2, 0], 0, atol=1e-9)  # what is right in pictures is level
    np.testing.assert_allclose(there[:, 2, 2], -np.sin(np.radians(tilt)), atol=1e-9)
    np.testing.assert_allclose(np.linalg.norm(there[:, :, 3], axis=1).mean(), 1)


def test_cameras_side_by_side_take_their_mean_up() -> None:
    poses = np.stack([_level(90 + 0.01 * index, 20.0) for index in range(6)])
    poses[:, :, 3] += np.arange(6)[:, None] * [0.3, 0, 0]
    there = upright(poses, "cameras").apply_poses(poses)
    np.testing.assert_allclose(-there[:, :, 1].mean(axis=0)[:2], 0, atol=1e-9)


def _level(azimuth: float, tilt: float) -> np.ndarray:
    """A camera around the z axis that looks inwards and down, not turned about its own axis."""
    angle, down = np.radians([azimuth, tilt])
    forward = np.array([-np.cos(angle) * np.cos(down), -np.sin(angle) * np.cos(down), -np.sin(down)])
    right = np.cross(forward, [0, 0, 1]) / np.cos(down)
    return np.stack([right, np.cross(forward, right), forward, -3 * forward], axis=1)


# Undistorted pictures


@pytest.mark.parametrize("lens", [lens for lens in LENSES if lens != "pinhole"])
def test_straight_pictures_show_what_a_pinhole_sees(lens: str) -> None:
    """The colour of a ray depends on its direction alone."""
    original = camera_of(optics(lens))
    picture = _sky(pixel_directions(original, 0))
    straight = straighten(optics(lens), SIZE)
    rays = pixel_directions(camera_of(straight.optics, straight.size), 0)
    pixels, _ = project(original, 0, rays.reshape(-1, 3))
    assert np.isfinite(pixels).all()
    assert (pixels >= 0.4).all()
    assert (pixels <= np.array(SIZE) - 0.4).all()
    error = np.abs(straightened(picture, straight).astype(float) - _sky(rays))
    assert error[2:-2, 2:-2].max() < 4
    assert straight.size[0] > 40


def _sky(directions: np.ndarray) -> np.ndarray:
    x, y = directions[..., 0], directions[..., 1]
    channels = [127 + 100 * np.sin(4 * x + 1), 127 + 100 * np.cos(3 * y), 127 + 100 * np.sin(3 * (x + y))]
    return np.clip(np.stack(channels, axis=-1), 0, 255).astype(np.uint8)


def test_a_circular_picture_is_cut_to_what_it_shows() -> None:
    fisheye = with_lens(Optics((80, 80), (22.0, 22.0)), Lens.FISHEYE, [])
    straight = straighten(fisheye, (80, 80))
    assert straight.size == (77, 77)  # 60 degrees to each side
    assert np.isfinite(straight.x).all()


# transforms.json


@pytest.mark.parametrize("lens", LENSES)
def test_what_is_written_is_read_again(tmp_path: Path, lens: str) -> None:
    poses = np.stack([_level(azimuth, 20.0) for azimuth in (0, 40, 80)])
    shots = [Shot(f"images/{index}.png", SIZE, pose, optics(lens)) for index, pose in enumerate(poses)]
    write_all(tmp_path, shots, transforms(shots, moved=None, box=4.0))
    cameras = load_scene(tmp_path, hold_out=None).train.cameras
    np.testing.assert_allclose(cameras.c2w, poses, atol=1e-12)
    rays = pixel_directions(camera_of(optics(lens)), 0)
    for index in range(3):
        np.testing.assert_allclose(pixel_directions(cameras, index), rays, atol=1e-9)
    content = json.loads((tmp_path / "transforms.json").read_text())
    assert all(set(frame) == {"file_path", "transform_matrix"} for frame in content["frames"])


def test_lenses_of_their_own_stand_in_their_frames(tmp_path: Path) -> None:
    sizes, names = [(64, 48), (32, 24), (64, 48)], ["opencv", "fisheye", "pinhole"]
    shots = [
        Shot(f"images/{index}.png", size, _level(40.0 * index, 20.0), optics(name))
        for index, (size, name) in enumerate(zip(sizes, names, strict=True))
    ]
    write_all(tmp_path, shots, transforms(shots, moved=None, box=None))
    cameras = load_scene(tmp_path, hold_out=None).train.cameras
    assert cameras.sizes.tolist() == [list(size) for size in sizes]
    for index, (size, name) in enumerate(zip(sizes, names, strict=True)):
        np.testing.assert_allclose(
            pixel_directions(cameras, index), pixel_directions(camera_of(optics(name), size), 0), atol=1e-9
        )


def test_the_way_back_is_noted() -> None:
    moved = Similarity(2.0, Rotation.from_euler("z", 90, degrees=True).as_matrix(), [1.0, 2.0, 3.0])
    content = transforms([Shot("a.png", SIZE, np.eye(3, 4), optics("pinhole"))], moved=moved, box=None)
    point = np.array([0.3, 0.4, 0.5])
    applied = np.array(content["applied_transform"]) @ [*point, 1.0] * content["applied_scale"]
    np.testing.assert_allclose(applied, moved.apply(point))


def test_the_box_holds_what_is_seen_and_not_much_more() -> None:
    rng = np.random.default_rng(0)
    points = rng.uniform(-2.5, 2.5, (500, 3))
    assert box_scale(points, np.full(500, 5)) == 2.0  # 2.5 * 0.66 = 1.65
    far = np.concatenate([points, rng.uniform(300, 400, (50, 3))])
    assert box_scale(far, np.array([5] * 500 + [2] * 50)) == 128.0
    assert box_scale(far, np.array([50] * 500 + [1] * 50)) == 2.0
    assert box_scale(np.zeros((0, 3)), np.zeros(0, int)) is None


def write_all(root: Path, shots: list[Shot], content: dict) -> None:
    for shot in shots:
        write_image(root / shot.path, np.zeros((shot.size[1], shot.size[0], 3), np.uint8))
    (root / "transforms.json").write_text(json.dumps(content))
