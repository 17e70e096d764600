from __future__ import annotations

import numpy as np
import pytest
import trimesh

from ultrafield.synth.raycast import Raycaster
from ultrafield.synth.scene_graph import build_model
from ultrafield.synth.shading import make_lights
from ultrafield.synth.shots import CAMERA_RADIUS, depth_code, look_at_origin, pixel_rays, take_shot, visible_from


def poses(*azimuth: float, elevation: float = 20.0) -> np.ndarray:
    return look_at_origin(np.radians(azimuth), np.full(len(azimuth), np.radians(elevation)))


def project(points: np.ndarray, c2w: np.ndarray, size: int) -> tuple[np.ndarray, np.ndarray]:
    """Picture positions [K, 2] (column, row) and z-depth [K] of world points."""
    local = (points - c2w[:3, 3]) @ c2w[:3, :3]
    focal = 0.5 * size / np.tan(0.5 * 0.6911112070083618)
    return np.stack([local[:, 0], -local[:, 1]], axis=1) / -local[:, 2:] * focal + size / 2, -local[:, 2]


@pytest.fixture(scope="module")
def caster() -> Raycaster:
    ball = trimesh.creation.icosphere(subdivisions=5, radius=0.5)
    wall = trimesh.creation.box((0.05, 1.6, 1.2), trimesh.transformations.translation_matrix([-0.9, 0, 0]))
    scene = trimesh.Scene()
    scene.add_geometry(ball, node_name="ball")
    scene.add_geometry(wall, node_name="wall")
    return Raycaster(build_model(scene, name="t"))


def test_poses_look_at_the_origin_with_z_up() -> None:
    for pose in poses(0, 70, 200, elevation=35):
        np.testing.assert_allclose(pose[:3, :3] @ pose[:3, :3].T, np.eye(3), atol=1e-12)
        assert np.linalg.det(pose[:3, :3]) == pytest.approx(1)
        np.testing.assert_allclose(pose[:3, 3], CAMERA_RADIUS * pose[:3, 2])
        assert pose[2, 0] == 0
        assert pose[2, 1] > 0


def test_rays_pass_through_their_pixels() -> None:
    pose = poses(30)[0]
    rows, columns = np.array([0.5, 20.25, 63.5]), np.array([63.5, 10.0, 0.5])
    origins, directions = pixel_rays(pose, rows, columns, 64)
    place, depth = project(origins + 2.5 * directions, pose, 64)
    np.testing.assert_allclose(place, np.stack([columns, rows], axis=1), atol=1e-4)
    np.testing.assert_allclose(depth, 2.5, atol=1e-5)


def test_depth_and_alpha_of_a_ball(caster: Raycaster) -> None:
    pose = poses(0)[0]
    shot = take_shot(caster, make_lights(4, 8), pose, 65, 2)
    assert shot.image.shape == (65, 65, 4)
    assert shot.image.dtype == np.uint8
    assert shot.depth[32, 32] == pytest.approx(CAMERA_RADIUS - 0.5, abs=1e-3)
    ball = shot.parts == 1
    rows, columns = np.nonzero(ball)
    origins, directions = pixel_rays(pose, rows + 0.5, columns + 0.5, 65)
    points = origins + shot.depth[ball][:, None] * directions
    np.testing.assert_allclose(np.linalg.norm(points, axis=1), 0.5, atol=2e-3)
    np.testing.assert_array_equal(shot.depth > 0, shot.parts > 0)
    alpha = shot.image[..., 3]
    assert (alpha[shot.parts > 0] > 0).mean() > 0.99
    assert set(np.unique(alpha)) <= {0, 64, 128, 191, 255}
    assert (alpha == 0).mean() > 0.3


def test_supersampling_covers_borders_in_part(caster: Raycaster) -> None:
    pose, lights = poses(0)[0], make_lights(4, 8)
    one, four = (take_shot(caster, lights, pose, 32, count) for count in (1, 4))
    assert set(np.unique(one.image[..., 3])) == {0, 255}
    assert len(np.unique(four.image[..., 3])) > 5
    np.testing.assert_array_equal(one.parts, four.parts)


def test_visibility_against_rays_from_the_other_camera(caster: Raycaster) -> None:
    size = 96
    here, there = poses(60, 120)
    shot = take_shot(caster, make_lights(1, 1), here, size, 1)
    seen = visible_from(caster, shot.parts, here, there)
    rows, columns = np.nonzero(shot.parts)
    origins, directions = pixel_rays(here, rows + 0.5, columns + 0.5, size)
    points = origins + shot.depth[rows, columns][:, None] * directions
    eyes = np.tile(there[:3, 3].astype(np.float32), (len(points), 1))
    hits = caster.first_hits(eyes, (points - eyes).astype(np.float32))
    reached = np.zeros(len(points), np.float32)
    reached[hits.ray] = hits.distance  # 1 where the ray ends at the point itself
    place, _ = project(points, there, size)
    expected = (reached > 0.999) & (place > 0).all(1) & (place < size).all(1)
    assert 0.2 < expected.mean() < 0.9
    assert not seen[shot.parts == 0].any()
    assert (seen[rows, columns] == expected).mean() > 0.98  # they may differ where the surface is seen edge-on


def test_a_camera_sees_what_it_sees_itself_and_nothing_from_behind(caster: Raycaster) -> None:
    front, back = poses(0, 180, elevation=0)
    parts = take_shot(caster, make_lights(1, 1), front, 48, 1).parts
    np.testing.assert_array_equal(visible_from(caster, parts, front, front), parts > 0)
    assert not visible_from(caster, parts, front, back)[parts == 1].any()


def test_depth_code_is_the_published_formula() -> None:
    depth = np.float32([[0.0, 2.7, 4.0, 5.3]])
    code = depth_code(depth)
    assert code[0, 0] == 0
    np.testing.assert_allclose(8 * (1 - code[0, 1:] / 256), depth[0, 1:], atol=8 / 512)
