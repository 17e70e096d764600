"""Surfaces with surroundings: the farther from the scene's box, the farther apart points lie."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from merge_trees import binary_tree
from scipy.spatial import cKDTree

import ultrafield as uf
from ultrafield.cameras import Cameras, Similarity
from ultrafield.labels import ViewLabeller
from ultrafield.pipeline.folder import RunFolder
from ultrafield.surface import Surface
from ultrafield.surface.fusion import fuse_depth_maps
from ultrafield.surface.kernels.patches_cpu import COLUMNS
from ultrafield.surface.shells import doublings
from ultrafield.surface.voxels import thin, voxel_keys

SIZE, FOCAL = (120, 90), 80.0


def plane_cameras() -> Cameras:
    """Four cameras around the origin that look at it, and beyond it at a plane, from above."""
    poses = []
    for angle in np.pi * np.arange(4) / 2 + 0.3:
        eye = np.array([1.2 * np.cos(angle), 1.2 * np.sin(angle), 0.5])
        ahead = -eye / np.linalg.norm(eye)
        right = np.cross(ahead, [0, 0, 1.0])
        right /= np.linalg.norm(right)
        poses.append(np.column_stack([right, np.cross(ahead, right), ahead, eye]))
    intrinsics = np.tile([FOCAL, FOCAL, SIZE[0] / 2, SIZE[1] / 2], (4, 1))
    return Cameras(np.stack(poses), intrinsics, np.tile(SIZE, (4, 1)), np.zeros(4, np.int64), np.zeros((4, 8)))


def plane_maps(cameras: Cameras, reach: float = 6.0) -> tuple[list[np.ndarray], list[np.ndarray]]:
    """Exact depth, and a colour, of the plane z = 0, up to a distance from the origin."""
    columns, rows = np.meshgrid(np.arange(SIZE[0]) + 0.5, np.arange(SIZE[1]) + 0.5)
    local = np.stack([(columns - SIZE[0] / 2) / FOCAL, (rows - SIZE[1] / 2) / FOCAL, np.ones(SIZE[::-1])], axis=-1)
    maps = []
    for pose in cameras.c2w:
        rays = local @ pose[:, :3].T
        depth = np.where(rays[..., 2] < 0, -pose[2, 3] / np.minimum(rays[..., 2], -1e-9), 0.0)
        places = pose[:, 3] + depth[..., None] * rays
        depth = np.where(np.abs(places).max(axis=-1) < reach, depth, 0.0).astype(np.float32)
        maps.append(depth)
    return maps, [np.zeros((1, 1, 3), np.uint8)] * len(maps)


@pytest.fixture(scope="module")
def plane() -> Surface:
    cameras = plane_cameras()
    return fuse_depth_maps(*plane_maps(cameras), cameras, Similarity(), 0.01, inner=0.5)


@given(st.floats(0.0, 60.0), st.integers(0, 2))
def test_boxes_are_doubled_until_they_hold_a_point(far: float, axis: int) -> None:
    point = np.zeros((1, 3))
    point[0, axis] = -far
    (times,) = doublings(point, 0.5)
    assert far <= 0.5 * 2.0**times
    assert times == 0 or far > 0.5 * 2.0 ** (times - 1)
    assert doublings(point, np.inf)[0] == 0


def test_voxels_within_the_box_are_what_they_were_and_others_are_larger() -> None:
    points = np.random.default_rng(0).uniform(-2, 2, (40_000, 3)) * [1, 1, 0]
    inside = np.abs(points).max(axis=1) <= 0.5
    rows = np.concatenate([points, np.ones((len(points), COLUMNS - 3))], axis=1)
    plain, keys = voxel_keys(rows, 0.03), voxel_keys(rows, 0.03, 0.5)
    assert np.array_equal(plain[inside], keys[inside])
    outer = np.abs(points).max(axis=1) > 1.0
    for key in np.unique(keys[outer])[:200]:
        assert (np.ptp(points[outer][keys[outer] == key], axis=0) < 4 * 0.03).all()
    assert len(np.unique(keys[outer])) < 0.6 * len(np.unique(plain[outer]))


def test_sums_do_not_depend_on_the_number_of_threads() -> None:
    generator = np.random.default_rng(1)
    rows = np.concatenate([generator.uniform(-3, 3, (5000, 3)), np.ones((5000, COLUMNS - 3))], axis=1)
    one, three = thin([rows], 0.1, 0.5), thin([rows], 0.1, 0.5, workers=3)
    assert np.array_equal(one.table, three.table)
    assert one.inner == three.inner == 0.5
    assert one.table[:, -1].sum() == 5000


def test_points_lie_farther_apart_the_farther_they_are_out(plane: Surface) -> None:
    cameras = plane_cameras()
    plain = fuse_depth_maps(*plane_maps(cameras), cameras, Similarity(), 0.01)
    assert np.isinf(plain.inner)
    shells, before = doublings(plane.points, 0.5), doublings(plain.points, 0.5)
    well_inside = np.abs(plane.points).max(axis=1) < 0.48
    assert np.array_equal(plane.points[well_inside], plain.points[np.abs(plain.points).max(axis=1) < 0.48])
    assert (shells > 0).sum() < 0.7 * (before > 0).sum()
    apart = cKDTree(plane.points).query(plane.points, 2)[0][:, 1]
    medians = [np.median(apart[shells == shell]) for shell in range(3)]
    assert medians[1] > 1.35 * medians[0]
    assert medians[2] > 1.35 * medians[1]
    assert np.allclose(plane.spacings, 0.01 * 2.0**shells)
    assert plane.visible.any()


def test_automatic_voxels_are_those_of_what_is_inside() -> None:
    cameras = plane_cameras()
    maps = plane_maps(cameras)
    plain, grown = (fuse_depth_maps(*maps, cameras, Similarity(), None, inner=inner) for inner in (np.inf, 0.5))
    assert grown.voxel < 0.8 * plain.voxel
    inside = [int((np.abs(surface.points).max(axis=1) < 0.5).sum()) for surface in (grown, plain)]
    assert inside[0] > inside[1]


def test_pixels_far_away_are_labelled_too(plane: Surface) -> None:
    count = 1 << int(np.log2(len(plane)))
    some = Surface(
        *(getattr(plane, name)[:: len(plane) // count][:count] for name in ("points", "normals", "colors")),
        np.zeros((0, count // 8), np.uint8),
        plane.voxel,
        inner=plane.inner,
    )
    asked = (some.points[:: count // 64][:60] + np.float32(0.004)).reshape(6, 10, 3)
    voters = ViewLabeller(some, binary_tree(int(np.log2(count))), np.array([0.5])).nearest(asked)
    distances = np.linalg.norm(asked[:, :, None] - some.points[voters], axis=-1)
    reach = 4.0 * some.spacings
    assert (voters[..., 0] >= 0).all()
    assert (distances[voters >= 0] <= reach[voters[voters >= 0]]).all()
    assert (np.diff((voters < 0).astype(int), axis=-1) >= 0).all()  # −1 only at the end
    every = np.linalg.norm(asked[:, :, None] - some.points, axis=-1)
    allowed = np.where(every <= reach, every, np.inf)
    assert np.allclose(distances[..., 0], allowed.min(axis=-1), atol=1e-6)


def test_run_folders_keep_it_and_hold_nothing_new_without(plane: Surface, tmp_path: Path) -> None:
    run = RunFolder(tmp_path)
    run.write_surface(plane)
    assert run.read_surface().inner == 0.5
    assert np.array_equal(run.read_surface().spacings, plane.spacings)
    plain = uf.Surface(plane.points, plane.normals, plane.colors, plane.visible, plane.voxel)
    run.write_surface(plain)
    assert np.isinf(run.read_surface().inner)
    with np.load(tmp_path / "surface.npz") as stored:
        assert "inner" not in stored


@pytest.mark.parametrize("inner", [0.0, -1.0, float("nan")])
def test_a_box_without_size_is_refused(plane: Surface, inner: float) -> None:
    with pytest.raises(ValueError, match="inner: expected a positive number"):
        Surface(plane.points, plane.normals, plane.colors, plane.visible, plane.voxel, inner=inner)
