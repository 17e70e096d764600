"""Every lens there and back, and the cases where there is no way back."""

from __future__ import annotations

import tracemalloc
from dataclasses import replace

import cv2
import numpy as np
import pytest

from ultrafield.cameras import Cameras, Lens
from ultrafield.cameras.projection import (
    _lens_slopes,
    back_project,
    pixel_directions,
    pixel_indices,
    pixel_slopes,
    project,
)

LENSES = {
    "pinhole": (Lens.PINHOLE, [0.0] * 8),
    "opencv": (Lens.OPENCV, [-0.12, 0.03, 0.002, -0.001, 0.004, 0.0, 0.0, 0.0]),
    "rational": (Lens.OPENCV, [0.3, 0.1, 0.001, 0.002, 0.01, 0.35, 0.12, 0.02]),
    "fisheye": (Lens.FISHEYE, [0.05, -0.01, 0.003, -0.0005, 0.0, 0.0, 0.0, 0.0]),
    "brown": (Lens.BROWN, [-0.12, 0.03, 0.002, -0.001, 0.004, 0.05, 0.0, 0.0]),
    "sheared": (Lens.BROWN, [-0.12, 0.03, 0.002, -0.001, 0.004, 0.05, 0.003, 0.0]),
    "fov": (Lens.FOV, [0.9, *[0.0] * 7]),
    "division": (Lens.DIVISION, [-0.2, *[0.0] * 7]),
    "eucm": (Lens.EUCM, [0.6, 1.1, *[0.0] * 6]),
    "thin prism": (Lens.THIN_PRISM_FISHEYE, [0.02, -0.01, 0.001, -0.002, 0.003, -0.001, 0.002, -0.001]),
    "sheared fisheye": (Lens.THIN_PRISM_FISHEYE, [0.02, -0.01, 0.001, -0.002, 0.003, *[0.0] * 3, 0.003, 0.0, 0.0, 0.0]),
    "fisheye624": (
        Lens.FISHEYE624,
        [0.03, -0.02, 0.01, -0.005, 0.002, -0.0005, 0.001, -0.002, 0.001, -0.0005, -0.002, 0.0004],
    ),
}
# Names of the same lenses in COLMAP, whose parameters after focal lengths and principal point are ours.
COLMAP = {
    "opencv": ("FULL_OPENCV", 8),
    "rational": ("FULL_OPENCV", 8),
    "fisheye": ("OPENCV_FISHEYE", 4),
    "fov": ("FOV", 1),
    "division": ("DIVISION", 1),
    "eucm": ("EUCM", 2),
    "thin prism": ("THIN_PRISM_FISHEYE", 8),
    "fisheye624": ("RAD_TAN_THIN_PRISM_FISHEYE", 12),
}
POSE = np.array([[0.0, 0.6, -0.8, 1.0], [-1.0, 0.0, 0.0, -2.0], [0.0, 0.8, 0.6, 0.5]])


def camera(lens: str = "pinhole", *, focal: float = 30.0, size: tuple[int, int] = (32, 24)) -> Cameras:
    model, distortion = LENSES[lens]
    width, height = size
    intrinsics = np.array([[focal, 1.1 * focal, width / 2 + 0.7, height / 2 - 1.3]])
    return Cameras(POSE[None], intrinsics, np.array([size]), np.array([model]), np.array([distortion]))


@pytest.mark.parametrize("lens", LENSES)
def test_project_undoes_back_project(lens: str) -> None:
    cameras = camera(lens)
    depth = np.random.default_rng(0).uniform(1.0, 5.0, (24, 32))
    points = back_project(cameras, 0, depth)
    pixels, z = project(cameras, 0, points.reshape(-1, 3))
    columns, rows = np.meshgrid(np.arange(32) + 0.5, np.arange(24) + 0.5)
    np.testing.assert_allclose(pixels, np.stack([columns, rows], -1).reshape(-1, 2), atol=2e-3)  # float32 points
    np.testing.assert_allclose(z, depth.ravel(), rtol=1e-5)


@pytest.mark.parametrize("lens", LENSES)
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_points_are_those_of_directions_depth_and_pose(lens: str, dtype: type) -> None:
    cameras, depth = camera(lens), np.random.default_rng(0).uniform(-1.0, 5.0, (24, 32)).astype(dtype)
    depth[3, :4] = np.nan, np.inf, -np.inf, 0.0
    pose = cameras.c2w[0]
    local = pixel_directions(cameras, 0) * np.where(np.isfinite(depth) & (depth > 0), depth, np.nan)[..., None]
    expected = local @ pose[:, :3].T + pose[:, 3]
    points = back_project(cameras, 0, depth)
    np.testing.assert_allclose(points, expected, rtol=1e-6, atol=1e-6)
    assert np.isnan(points[3, :4]).all()
    assert np.isfinite(points).all(axis=2).sum() > 200


@pytest.mark.parametrize("lens", LENSES)
@pytest.mark.parametrize("stride", [1, 3])
def test_slopes_are_found_some_rows_at_a_time(lens: str, stride: int, monkeypatch: pytest.MonkeyPatch) -> None:
    whole = pixel_slopes(camera(lens), 0, stride=stride)
    _lens_slopes.cache_clear()
    monkeypatch.setattr("ultrafield.cameras.projection._AT_ONCE", 100)
    for found, expected in zip(pixel_slopes(camera(lens), 0, stride=stride), whole, strict=True):
        np.testing.assert_allclose(found, expected, rtol=1e-9, atol=1e-12)
        assert not found.flags.writeable


def test_one_lens_after_the_other_has_its_own_slopes() -> None:
    one, other = camera("opencv"), camera("fisheye")
    first = pixel_slopes(one, 0)
    assert not np.array_equal(pixel_slopes(other, 0)[0], first[0])
    wider = replace(one, intrinsics=one.intrinsics * [1.1, 1, 1, 1])
    assert not np.array_equal(pixel_slopes(wider, 0)[0], first[0])
    np.testing.assert_array_equal(pixel_slopes(one, 0), first)
    assert pixel_slopes(one, 0, stride=5)[0].shape == (5, 7)


def test_a_large_picture_takes_little_more_than_its_points() -> None:
    depth = np.ones((400, 600), np.float32)
    cameras = camera(size=(600, 400))
    back_project(cameras, 0, depth)  # compiled
    tracemalloc.start()
    points = back_project(cameras, 0, depth)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 1.1 * points.nbytes


@pytest.mark.parametrize("lens", ["opencv", "rational", "fisheye"])
def test_project_agrees_with_opencv_including_the_pose(lens: str) -> None:
    cameras = camera(lens)
    points = back_project(cameras, 0, np.full((24, 32), 2.0))[::5, ::5].reshape(-1, 1, 3).astype(np.float64)
    rotation = POSE[:, :3].T
    turn, shift = cv2.Rodrigues(rotation)[0], -rotation @ POSE[:, 3:]
    fx, fy, cx, cy = cameras.intrinsics[0]
    matrix, distortion = np.array([[fx, 0, cx], [0, fy, cy], [0, 0, 1]]), cameras.distortion[0]
    if cameras.lenses[0] == Lens.FISHEYE:
        expected, _ = cv2.fisheye.projectPoints(points, turn, shift, matrix, distortion[:4])
    else:
        expected, _ = cv2.projectPoints(points, turn, shift, matrix, distortion)
    np.testing.assert_allclose(project(cameras, 0, points[:, 0])[0], expected[:, 0], atol=1e-9)


@pytest.mark.parametrize("lens", COLMAP)
def test_lenses_agree_with_colmap(lens: str) -> None:
    pycolmap = pytest.importorskip("pycolmap")
    model, count = COLMAP[lens]
    cameras = camera(lens, focal=16.0)
    other = pycolmap.Camera(
        model=model, width=32, height=24, params=[*cameras.intrinsics[0], *cameras.distortion[0, :count]]
    )
    angles = np.random.default_rng(0).uniform(-0.8, 0.8, (200, 2))
    local = np.concatenate([np.tan(angles), np.ones((200, 1))], axis=1)
    pixels, _ = project(cameras, 0, local @ POSE[:, :3].T + POSE[:, 3])
    inside = np.isfinite(pixels).all(axis=1)
    assert inside.sum() > 100
    np.testing.assert_allclose(pixels[inside], other.img_from_cam(local[inside]), atol=1e-9)
    directions = pixel_directions(cameras, 0).reshape(-1, 3)
    np.testing.assert_allclose(
        other.img_from_cam(directions),
        np.stack(np.meshgrid(np.arange(32) + 0.5, np.arange(24) + 0.5), -1).reshape(-1, 2),
        atol=1e-6,
    )


def test_a_shear_moves_columns_by_what_rows_are_off_the_middle() -> None:
    straight, skew = camera("brown"), camera("sheared")
    points = back_project(straight, 0, np.full((24, 32), 2.0)).reshape(-1, 3)
    (before, _), (after, _) = project(straight, 0, points), project(skew, 0, points)
    fx, fy, _, cy = straight.intrinsics[0]
    np.testing.assert_allclose(after[:, 0] - before[:, 0], 0.003 * fx * (before[:, 1] - cy) / fy, atol=1e-9)
    np.testing.assert_array_equal(after[:, 1], before[:, 1])


@pytest.mark.parametrize("lens", [Lens.FOV, Lens.DIVISION, Lens.EUCM])
def test_round_lenses_without_distortion_are_pinholes(lens: Lens) -> None:
    distortion = [[0.0] * 8]
    plain, other = camera(), replace(camera(), lenses=[lens], distortion=distortion)
    np.testing.assert_allclose(pixel_directions(other, 0), pixel_directions(plain, 0), atol=1e-12)


@pytest.mark.parametrize("lens", ["fov", "eucm", "thin prism", "fisheye624"])
def test_wide_lenses_have_no_rays_behind_the_camera(lens: str) -> None:
    cameras = camera(lens, focal=6.0, size=(40, 40))
    directions = pixel_directions(cameras, 0)
    assert np.isfinite(directions[20, 20]).all()
    assert np.isnan(directions[0, 0, :2]).all()


def test_brown_by_hand() -> None:
    k1, k2, p1, p2, k3, k4 = -0.2, 0.05, 0.002, -0.001, 0.3, 0.5
    lens = np.array([[k1, k2, p1, p2, k3, k4, 0.0, 0.0]])
    cameras = Cameras(np.eye(3, 4), [[50.0, 60.0, 16.0, 12.0]], [[32, 24]], [Lens.BROWN], lens)
    x, y = 0.3, -0.2
    r = x * x + y * y
    d = 1 + k1 * r + k2 * r**2 + k3 * r**3 + k4 * r**4
    expected = [50 * (x * d + 2 * p1 * x * y + p2 * (r + 2 * x * x)) + 16]
    expected += [60 * (y * d + 2 * p2 * x * y + p1 * (r + 2 * y * y)) + 12]
    np.testing.assert_allclose(project(cameras, 0, np.array([[x, y, 1.0]]))[0], [expected], rtol=1e-12)


def test_brown_without_its_last_term_is_opencvs_polynomial() -> None:
    brown, opencv = (replace(camera("opencv"), lenses=[lens]) for lens in (Lens.BROWN, Lens.OPENCV))
    np.testing.assert_allclose(pixel_directions(brown, 0), pixel_directions(opencv, 0), atol=1e-7)
    points = back_project(brown, 0, np.full((24, 32), 2.0)).reshape(-1, 3)
    np.testing.assert_allclose(project(brown, 0, points)[0], project(opencv, 0, points)[0], atol=1e-9)


def test_a_folding_polynomial_has_no_rays_beyond_the_fold() -> None:
    cameras = replace(camera("brown", focal=8.0), distortion=[[-0.3] + [0.0] * 7])
    directions = pixel_directions(cameras, 0)[..., :2]
    radius = np.hypot(*np.moveaxis(directions, -1, 0))
    assert np.isnan(radius[0, 0])
    assert np.nanmax(radius) <= np.sqrt(1 / 0.9)  # where r (1 − 0.3 r²) is largest


@pytest.mark.parametrize("lens", [lens for lens in Lens if lens is not Lens.PINHOLE])
@pytest.mark.parametrize("parameter", [9e8, -9e8, 1e-320, 1e-12])
def test_lenses_beyond_all_measure_give_exact_rays_or_none(lens: Lens, parameter: float) -> None:
    cameras = replace(camera(), lenses=[lens], distortion=[[parameter] * 12])
    directions = pixel_directions(cameras, 0).reshape(-1, 3)
    pixels, _ = project(cameras, 0, directions @ POSE[:, :3].T + POSE[:, 3])
    columns, rows = np.meshgrid(np.arange(32) + 0.5, np.arange(24) + 0.5)
    error = np.abs(pixels - np.stack([columns, rows], -1).reshape(-1, 2)).max(axis=1)
    assert (np.isnan(error) | (error < 0.5)).all()


@pytest.mark.parametrize("lens", LENSES)
def test_slopes_are_the_directions_without_their_last_column(lens: str) -> None:
    slopes = pixel_slopes(camera(lens), 0)
    np.testing.assert_array_equal(np.stack(slopes, axis=-1), pixel_directions(camera(lens), 0)[..., :2])
    assert not any(part.flags.writeable for part in slopes)


def test_pinhole_by_hand() -> None:
    cameras = Cameras.pinhole(np.eye(4)[None, :3], [10.0, 20.0, 1.0, 1.0], [2, 2])
    points = back_project(cameras, 0, np.array([[2.0, 0.0], [np.nan, -1.0]]))
    np.testing.assert_allclose(points[0, 0], [-0.1, -0.05, 2.0], rtol=1e-6)
    assert np.isnan(points.reshape(-1, 3)[1:]).all()
    assert points.dtype == np.float32


def test_points_behind_the_camera_have_no_projection() -> None:
    for lens in LENSES:
        behind = POSE[:, 3] - 2.0 * POSE[:, 2]
        pixels, z = project(camera(lens), 0, behind[None])
        assert np.isnan(pixels).all()
        assert z[0] == pytest.approx(-2.0)


def test_a_folding_polynomial_does_not_bring_outside_points_back() -> None:
    cameras = Cameras(
        np.eye(4)[None, :3],
        np.array([[30.0, 30.0, 16.0, 12.0]]),
        np.array([[32, 24]]),
        np.array([Lens.OPENCV]),
        np.array([[-0.3] + [0.0] * 7]),
    )
    r = np.sqrt(1 / 0.3)  # here r (1 − 0.3 r²) is zero again: the formula alone would answer with the picture's centre
    assert np.isnan(project(cameras, 0, np.array([[r, 0.0, 1.0]]))[0]).all()
    assert np.isfinite(project(cameras, 0, np.array([[0.4, 0.1, 1.0]]))[0]).all()


def test_a_fisheye_sees_nothing_it_can_place_beyond_90_degrees() -> None:
    cameras = camera("fisheye", focal=9.0, size=(40, 40))
    directions = pixel_directions(cameras, 0)
    assert np.isfinite(directions[20, 20]).all()
    assert np.isnan(directions[0, 0, :2]).all()
    wide = POSE[:, 3] + POSE[:, :3] @ np.array([20.0, 0.0, 1.0])  # 87° to the side
    assert np.isfinite(project(cameras, 0, wide[None])[0]).all()


def test_pixel_indices_are_row_major_and_half_open() -> None:
    pixels = np.array([[0.0, 0.0], [3.999, 0.0], [4.0, 0.0], [1.5, 2.5], [1.5, 3.0], [-1e-9, 1.0], [np.nan, np.nan]])
    assert pixel_indices(pixels, 4, 3).tolist() == [0, 3, -1, 9, -1, -1, -1]
    assert pixel_indices(np.zeros((0, 2)), 4, 3).tolist() == []


def test_depth_of_another_size_is_refused() -> None:
    with pytest.raises(ValueError, match=r"depth: expected shape \[24, 32\], got \[32, 24\]"):
        back_project(camera(), 0, np.ones((32, 24)))


@pytest.mark.parametrize("stride", [1, 3, 50])
def test_a_stride_picks_the_same_pixels(stride: int) -> None:
    depth = np.random.default_rng(0).random((24, 32)).astype(np.float32)
    points = back_project(camera(), 0, depth, stride=stride)
    np.testing.assert_array_equal(points, back_project(camera(), 0, depth)[::stride, ::stride])


def test_points_through_an_undistorted_lens_are_where_the_matrices_put_them() -> None:
    rng = np.random.default_rng(0)
    pose = np.concatenate([np.linalg.qr(rng.normal(size=(3, 3)))[0], rng.normal(size=(3, 1))], axis=1)
    cameras = Cameras.pinhole(pose[None], [50.0, 60.0, 31.0, 33.0], [64, 64])
    points = rng.normal(size=(200, 3))
    local = (points - pose[:, 3]) @ pose[:, :3]
    for given in (points, points.tolist(), np.asfortranarray(points), points.astype(np.float32)):
        pixels, depth = project(cameras, 0, np.asarray(given))
        np.testing.assert_allclose(depth, local[:, 2], atol=1e-6)
        before = local[:, 2] > 1e-3
        expected = local[before, :2] / local[before, 2:] * (50.0, 60.0) + (31.0, 33.0)
        np.testing.assert_allclose(pixels[before], expected, rtol=1e-3)
        assert np.isnan(pixels[local[:, 2] < -1e-6]).all()
    with pytest.raises(ValueError, match=r"points: expected shape"):
        project(cameras, 0, points[:, :2])
