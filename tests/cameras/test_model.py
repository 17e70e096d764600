"""Cameras: what they accept, what they refuse, and their parts."""

from __future__ import annotations

import re
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from ultrafield.cameras import Cameras, Lens, Similarity


def three() -> Cameras:
    poses = np.tile(np.eye(3, 4), (3, 1, 1))
    poses[:, 0, 3] = [0.0, 1.0, 2.0]
    return Cameras.pinhole(poses, [10.0, 12.0, 4.0, 3.0], [8, 6])


def test_lists_are_accepted() -> None:
    cameras = Cameras([np.eye(4).tolist()], [[10, 12, 4, 3]], [[8, 6]], [0], [[0] * 8])
    assert [cameras.c2w.dtype, cameras.intrinsics.dtype, cameras.distortion.dtype] == [np.float64] * 3
    assert [cameras.sizes.dtype, cameras.lenses.dtype] == [np.int64] * 2
    assert cameras.c2w.shape == (1, 3, 4)


def test_arrays_may_be_written_to_afterwards() -> None:
    pose, intrinsics, sizes = np.eye(4), np.array([[10.0, 12.0, 4.0, 3.0]]), np.array([[8, 6]])
    lenses, distortion = np.zeros(1, np.int64), np.zeros((1, 8))
    cameras = []
    for place in range(3):
        pose[0, 3] = place
        cameras.append(Cameras.pinhole(pose, intrinsics, sizes))
        cameras.append(Cameras(pose[None, :3], intrinsics, sizes, lenses, distortion))
    for array in (pose, intrinsics, sizes, lenses, distortion):
        array[:] = 99
    assert [camera.c2w[0, 0, 3] for camera in cameras] == [0, 0, 1, 1, 2, 2]
    assert all(camera.c2w[0, 0, 0] == 1 and camera.intrinsics[0, 0] == 10 for camera in cameras)
    assert all((camera.sizes == [8, 6]).all() and not camera.lenses.any() for camera in cameras)
    assert not any(camera.distortion.any() for camera in cameras)


def test_an_index_and_iteration_give_one_camera() -> None:
    cameras = three()
    for index, camera in enumerate(cameras):
        assert isinstance(camera, Cameras)
        assert len(camera) == len(cameras[index]) == len(cameras[np.int64(index - 3)]) == 1
        for part in (camera, cameras[index], cameras[index - 3], cameras[[index]]):
            np.testing.assert_array_equal(part.c2w, cameras.c2w[index : index + 1])
    assert cameras[1:].c2w[:, 0, 3].tolist() == [1, 2]
    assert cameras[[2, 0]].c2w[:, 0, 3].tolist() == [2, 0]
    assert cameras[np.array([True, False, True])].c2w[:, 0, 3].tolist() == [0, 2]
    assert cameras[[True, False, True]].c2w[:, 0, 3].tolist() == [0, 2]
    assert len(cameras[[]]) == 0
    with pytest.raises(IndexError, match="index 3 is out of range for 3 cameras"):
        cameras[3]


def test_groups_are_joined_whatever_their_lenses_need() -> None:
    plain, wide = three(), replace(three(), distortion=np.ones((3, 12)))
    joined = Cameras.joined([plain, wide])
    assert len(joined) == 6
    np.testing.assert_array_equal(joined.c2w, np.concatenate([plain.c2w, wide.c2w]))
    np.testing.assert_array_equal(joined.distortion[:3], 0)
    np.testing.assert_array_equal(joined.distortion[3:], 1)
    assert Cameras.joined([plain, plain]).distortion.shape == (6, 8)


def test_one_line() -> None:
    assert repr(three()) == "Cameras(3 of 8×6 pixels, pinhole)"
    assert repr(three()[:0]) == "Cameras(0)"
    mixed = replace(three(), lenses=[0, 1, 2], sizes=[[8, 6], [8, 6], [4, 3]])
    assert repr(mixed) == "Cameras(3 of 2 sizes, pinhole and opencv and fisheye)"


@pytest.mark.parametrize(
    "intrinsics",
    [
        [10.0, 12.0, 4.0, 3.0],
        [[10.0, 12.0, 4.0, 3.0]] * 3,
        np.array([[10.0, 0, 4], [0, 12, 3], [0, 0, 1]]),
        np.tile([[10.0, 0, 4], [0, 12, 3], [0, 0, 1]], (3, 1, 1)),
    ],
)
def test_forms_of_intrinsics(intrinsics: Any) -> None:
    cameras = Cameras.pinhole(three().c2w, intrinsics, [8, 6])
    np.testing.assert_array_equal(cameras.intrinsics, [[10.0, 12.0, 4.0, 3.0]] * 3)


def test_a_focal_length_alone_puts_the_principal_point_in_the_middle() -> None:
    cameras = Cameras.pinhole(np.eye(4), 10, (8, 6))
    assert cameras.intrinsics.tolist() == [[10.0, 10.0, 4.0, 3.0]]


def test_opengl_poses_are_turned() -> None:
    pose = np.array([[0.0, 0, 1, 5], [1, 0, 0, 6], [0, 1, 0, 7], [0, 0, 0, 1]])  # right y, up z, looking along -x
    cameras = Cameras.from_opengl(pose[None], 10, (8, 6))
    np.testing.assert_array_equal(cameras.c2w[0, :, 0], [0, 1, 0])
    np.testing.assert_array_equal(cameras.c2w[0, :, 1], [0, 0, -1])  # down
    np.testing.assert_array_equal(cameras.c2w[0, :, 2], [-1, 0, 0])  # forward
    np.testing.assert_array_equal(cameras.c2w[0, :, 3], [5, 6, 7])


def test_moving_there_and_back() -> None:
    similarity = Similarity(2.0, [[0.0, -1, 0], [1, 0, 0], [0, 0, 1]], [1.0, 2, 3])
    there = three().moved(similarity)
    assert there.c2w[1].tolist() == [[0, -1, 0, 1], [1, 0, 0, 4], [0, 0, 1, 3]]
    np.testing.assert_allclose(there.moved(similarity.inverse()).c2w, three().c2w, atol=1e-15)


def test_resized() -> None:
    cameras = three().resized([4, 3])
    assert cameras.sizes.tolist() == [[4, 3]] * 3
    assert cameras.intrinsics[2].tolist() == [5, 6, 2, 1.5]
    assert cameras.resized((4, 3)) is cameras


def test_bad_cameras_are_named() -> None:
    mirrored, sheared, endless, far = (three().c2w.copy() for _ in range(4))
    mirrored[1, 0, 0], sheared[2, 0, 1], endless[1, 2, 3], far[2, 0, 3] = -1, 0.1, np.nan, 1e155
    for changes, error in (
        ({"c2w": mirrored}, "c2w: camera 1: expected a rotation in the first three columns"),
        ({"c2w": sheared}, "c2w: camera 2: expected a rotation in the first three columns"),
        ({"c2w": endless}, "c2w: camera 1: expected finite numbers"),
        ({"c2w": np.zeros((3, 2, 4))}, "c2w: expected shape [*, 3, 4], got [3, 2, 4]"),
        ({"intrinsics": [[10, 12, 4, 3], [0, 12, 4, 3], [1, 1, 1, 1]]}, "camera 1: expected positive focal lengths"),
        ({"intrinsics": np.ones((2, 4))}, "intrinsics: expected shape [3, 4], got [2, 4]"),
        ({"sizes": [[8, 6], [8, 6], [8, 0]]}, "sizes: camera 2: expected a positive width and height, got [8, 0]"),
        ({"sizes": [[8, 6], [8, 6], [8, 6.5]]}, "sizes: expected whole numbers"),
        ({"lenses": [0, 9, Lens.FISHEYE]}, "lenses: camera 1: expected one of 0, 1, 2, 3, 4, 5, 6, 7, 8, got 9"),
        ({"lenses": [0, 0, Lens.FISHEYE624]}, "distortion: expected shape [3, 12], got [3, 8]"),
        ({"distortion": np.zeros((3, 10))}, "distortion: expected shape [3, 8], got [3, 10]"),
        ({"distortion": np.full((3, 8), np.inf)}, "distortion: camera 0: expected finite numbers"),
        ({"distortion": np.full((3, 8), -1e300)}, "distortion: camera 0: expected numbers below 1e+12, got [-1.e+300"),
        ({"c2w": far}, "c2w: camera 2: expected a position within 1e+12 of the origin"),
        ({"intrinsics": [[10, 12, 4, 1e300]] * 3}, "intrinsics: camera 0: expected numbers below 1e+12"),
        ({"intrinsics": [[1e-300, 12, 4, 3]] * 3}, "intrinsics: camera 0: expected numbers above 1e-12"),
        ({"sizes": [[8, 6], [1e9, 6], [8, 6]]}, "sizes: camera 1: expected at most 1048576 pixels, got [1000000000,"),
        ({"sizes": [[8, 6], [8, 6], [8, 1e300]]}, "sizes: expected whole numbers"),
        ({"sizes": [["8", "6"]] * 3}, "sizes: expected an array of numbers, got <U1"),
        ({"intrinsics": [[10, 12, 4, 10**400]] * 3}, "intrinsics: expected an array of numbers (int too large"),
        ({"c2w": [[[1, 0], [0]]]}, "c2w: expected an array of numbers"),
        ({"distortion": None}, "distortion: expected shape [3, 8], got []"),
    ):
        with pytest.raises(ValueError, match=re.escape(error)):
            replace(three(), **changes)
    pose = np.eye(4)
    pose[3, 0] = 1
    with pytest.raises(ValueError, match=re.escape("c2w: camera 0: expected 0 0 0 1 in the last row")):
        Cameras.pinhole(pose, 10, (8, 6))
    with pytest.raises(ValueError, match=re.escape("intrinsics: expected a focal length, fx, fy, cx, cy")):
        Cameras.pinhole(np.eye(4), [1.0, 2.0, 3.0], (8, 6))
