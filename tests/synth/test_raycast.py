from __future__ import annotations

import numpy as np
import trimesh
from PIL import Image

from ultrafield.synth.raycast import Raycaster
from ultrafield.synth.scene_graph import build_model


def caster_of(*meshes: trimesh.Trimesh) -> Raycaster:
    scene = trimesh.Scene()
    for index, mesh in enumerate(meshes):
        scene.add_geometry(mesh, node_name=f"m{index}")
    return Raycaster(build_model(scene, name="t"))


def soup(rng: np.random.Generator, faces: int) -> trimesh.Trimesh:
    points = rng.normal(size=(faces, 1, 3)) + 0.4 * rng.normal(size=(faces, 3, 3))
    return trimesh.Trimesh(points.reshape(-1, 3), np.arange(3 * faces).reshape(-1, 3), process=False)


def brute_force(triangles: np.ndarray, origin: np.ndarray, direction: np.ndarray) -> tuple[int, float]:
    """Nearest triangle (-1 for none) and ray parameter (Möller and Trumbore)."""
    edges = triangles[:, 1:] - triangles[:, :1]
    p = np.cross(direction, edges[:, 1])
    inverse = 1 / (edges[:, 0] * p).sum(1)
    s = origin - triangles[:, 0]
    u = (s * p).sum(1) * inverse
    q = np.cross(s, edges[:, 0])
    v = (q @ direction) * inverse
    t = (edges[:, 1] * q).sum(1) * inverse
    t[(u < 0) | (v < 0) | (u + v > 1) | (t <= 0)] = np.inf
    return (int(t.argmin()), float(t.min())) if np.isfinite(t.min()) else (-1, np.inf)


def test_first_hits_and_occlusion_match_brute_force() -> None:
    rng = np.random.default_rng(0)
    caster = caster_of(soup(rng, 60))
    origins = rng.normal(scale=3, size=(300, 3)).astype(np.float32)
    directions = (-origins + rng.normal(scale=0.8, size=origins.shape)).astype(np.float32)
    hits = caster.first_hits(origins, directions)
    expected = [brute_force(caster.model.triangles, o, d) for o, d in zip(origins, directions, strict=True)]
    found = [face >= 0 for face, _ in expected]
    assert 50 < sum(found) < 250
    np.testing.assert_array_equal(hits.ray, np.flatnonzero(found))
    np.testing.assert_array_equal(hits.face, [expected[ray][0] for ray in hits.ray])
    np.testing.assert_allclose(hits.distance, [expected[ray][1] for ray in hits.ray], rtol=1e-4)
    points = origins[hits.ray] + hits.distance[:, None] * directions[hits.ray]
    mixed = np.einsum("kc,kcd->kd", hits.weights, caster.model.triangles[hits.face])
    np.testing.assert_allclose(mixed, points, atol=1e-4)
    np.testing.assert_array_equal(caster.occluded(origins, directions), found)
    reach = np.full(len(origins), 0.9, np.float32)
    np.testing.assert_array_equal(caster.occluded(origins, directions, reach), [t < 0.9 for _, t in expected])


def test_normals_face_the_ray_from_either_side() -> None:
    caster = caster_of(trimesh.creation.icosphere(subdivisions=4))
    origins = np.float32([[0, 0, 3], [0, 0, 0]])
    directions = np.float32([[0, 0, -1], [0.1, 0, 1]])
    flat, smooth = caster.normals(caster.first_hits(origins, directions), directions)
    assert flat[0, 2] > 0.99
    assert smooth[0, 2] > 0.99
    assert flat[1, 2] < -0.9
    assert smooth[1, 2] < -0.9


def test_parts_and_colours() -> None:
    left, right = trimesh.creation.box(), trimesh.creation.box()
    right.apply_translation([3, 0, 0])
    left.visual.vertex_colors = [255, 0, 0, 255]
    picture = np.zeros((8, 8, 3), np.uint8)
    picture[:, 4:] = 255  # black to the left, white to the right
    right.visual = trimesh.visual.TextureVisuals(
        uv=np.where(right.vertices[:, :1] > 3, [0.95, 0.5], [0.05, 0.5]), image=Image.fromarray(picture)
    )
    caster = caster_of(left, right)
    origins = np.float32([[0, 0, 5], [2.6, 0.1, 5], [3.4, 0.1, 5]])
    hits = caster.first_hits(origins, np.tile(np.float32([0, 0, -1]), (3, 1)))
    assert caster.parts(hits).tolist() == [1, 2, 2]
    color = caster.albedo(hits)
    np.testing.assert_allclose(color, [[1, 0, 0], [0, 0, 0], [1, 1, 1]], atol=1e-6)
