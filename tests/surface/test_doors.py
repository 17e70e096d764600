"""Surfaces from depth maps, points, meshes and splats: made, segmented and labelled by public functions, without files.

The toy scene's boxes are known exactly; each door must lead to the same three segments.
"""

from __future__ import annotations

import builtins
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import trimesh
from toy_scene import BOXES, COLORS, SIZE, TO_USER, Toy, render, ring

from ultrafield.cameras import Cameras, Similarity
from ultrafield.cameras.projection import back_project, project
from ultrafield.config import SegmentConfig
from ultrafield.errors import SceneError
from ultrafield.labels import label_views
from ultrafield.lift import build_graph
from ultrafield.metrics import normalized_covering
from ultrafield.scene import Scene
from ultrafield.surface import (
    Surface,
    surface_from_depth,
    surface_from_mesh,
    surface_from_points,
    surface_from_splats,
)
from ultrafield.ultrametric import build_tree, cut_into, levels, spread_cuts

FAR = np.array([5e5, 4.6e6, 0.0])


def user_cameras(toy: Toy) -> Cameras:
    return toy.cameras.moved(TO_USER)


def user_depths(toy: Toy) -> list[np.ndarray]:
    return [np.where(view.depth > 0, TO_USER.scale * view.depth, np.nan) for view in toy.views]


def user_boxes() -> trimesh.Scene:
    """The boxes of the toy scene in the user's frame, in their colours."""
    scene = trimesh.Scene()
    for (low, high), color in zip(BOXES, COLORS[1:], strict=True):
        box = trimesh.creation.box(bounds=[low, high])
        box.apply_transform(np.block([[TO_USER.scale * TO_USER.rotation, TO_USER.translation[:, None]], [0, 0, 0, 1]]))
        box.visual.face_colors = color
        scene.add_geometry(box)
    return scene


def nearest_box(points: np.ndarray) -> np.ndarray:
    """The box on which points of the user's frame lie [N], 1 … 3, and their distance from its surface [N]."""
    points = TO_USER.inverse().apply(np.asarray(points, np.float64))
    outside = np.linalg.norm(np.maximum(BOXES[:, 0, None] - points, points - BOXES[:, 1, None]).clip(min=0), axis=2)
    inside = np.minimum(points - BOXES[:, 0, None], BOXES[:, 1, None] - points).min(axis=2).clip(min=0)
    distance = (outside + inside) * TO_USER.scale
    return np.stack([1 + distance.argmin(axis=0), distance.min(axis=0)])


def covering(surface: Surface, scene: Scene) -> float:
    """NC of the lift tree's label maps from where no training camera stood."""
    tree = build_tree(build_graph(surface, engine="lift", scene=scene))
    cameras = ring(3, turn=0.3)
    views, ids = render(cameras)
    depths = [scene.to_user.scale * view.depth for view in views]
    heights = spread_cuts(tree, 20, levels(tree))
    maps = label_views(tree, surface, cameras.moved(scene.to_user), depths=depths, heights=heights)
    return float(np.mean([normalized_covering(labels, truth) for labels, truth in zip(maps, ids, strict=True)]))


def scattered(count: int, seed: int = 0) -> np.ndarray:
    """Random points on the boxes, user's frame [N, 3]; some lie where boxes touch or where no camera looks."""
    mesh = user_boxes().to_mesh()
    return np.asarray(trimesh.sample.sample_surface(mesh, count, seed=seed)[0])


def test_depth_maps_of_the_users_frame(toy: Toy, toy_surface: Surface) -> None:
    images = [view.image for view in toy.scene.train]
    surface = surface_from_depth(user_depths(toy), user_cameras(toy), images)
    assert 0.9 < len(surface) / len(toy_surface) < 1.1
    boxes, distance = nearest_box(surface.points_user)
    assert np.quantile(distance, 0.99) < surface.voxel_user
    assert (np.abs(surface.colors.astype(int) - COLORS[boxes.astype(int)]).max(axis=1) < 60).mean() > 0.97
    assert surface.voxel_user == pytest.approx(toy_surface.voxel_user, rel=1e-5)
    assert covering(surface, toy.scene) > 0.93


def test_depth_may_come_as_one_array_and_without_pictures(toy: Toy) -> None:
    surface = surface_from_depth(np.stack(user_depths(toy)), user_cameras(toy))
    assert (surface.colors == 128).all()
    smaller = [depth[::2, ::2] for depth in user_depths(toy)]
    assert 200 < len(surface_from_depth(smaller, user_cameras(toy))) < len(surface)


def test_a_chosen_voxel_is_a_fraction_of_half_the_extent(toy: Toy) -> None:
    surface = surface_from_depth(user_depths(toy), user_cameras(toy), config=SegmentConfig(voxel=0.1))
    extent = np.ptp(np.quantile(surface.points_user, [0.01, 0.99], axis=0), axis=0).max()
    assert surface.voxel_user == pytest.approx(0.1 * 0.5 * extent, rel=0.1)


def on_a_grid(cameras: Cameras) -> Cameras:
    """The same cameras at multiples of a micrometre's binary neighbour, which 4.6·10⁶ metres more do not round."""
    c2w = cameras.c2w.copy()
    c2w[:, :, 3] = np.round(c2w[:, :, 3] * 2**20) / 2**20
    return replace(cameras, c2w=c2w)


def test_a_shifted_capture_gives_the_same_surface_and_tree(toy: Toy) -> None:
    cameras = on_a_grid(user_cameras(toy))
    shift = Similarity(translation=FAR)
    here = surface_from_depth(user_depths(toy), cameras)
    there = surface_from_depth(user_depths(toy), cameras.moved(shift))
    for name in ("points", "normals", "visible", "voxel"):
        np.testing.assert_array_equal(getattr(here, name), getattr(there, name))
    np.testing.assert_allclose(there.points_user - FAR, here.points_user, rtol=0, atol=1e-6)
    scene = replace(toy.scene, to_user=replace(TO_USER, translation=TO_USER.translation + FAR))
    trees = [
        build_tree(build_graph(surface, engine="lift", scene=of)) for surface, of in ((here, toy.scene), (there, scene))
    ]
    np.testing.assert_array_equal(trees[0].parents, trees[1].parents)
    np.testing.assert_array_equal(trees[0].heights, trees[1].heights)


def test_a_capture_whose_shift_rounds_gives_nearly_the_same_surface(toy: Toy) -> None:
    here = surface_from_depth(user_depths(toy), user_cameras(toy))
    there = surface_from_depth(user_depths(toy), user_cameras(toy).moved(Similarity(translation=FAR)))
    assert abs(len(here) - len(there)) < 5
    assert nearest_box(there.points_user - FAR)[1].max() < 1.5 * here.voxel_user
    scene = replace(toy.scene, to_user=replace(TO_USER, translation=TO_USER.translation + FAR))
    assert covering(there, scene) > 0.93


@pytest.mark.parametrize("shift", [0.0, FAR])
def test_points_keep_their_index_and_their_place(toy: Toy, shift: Any) -> None:
    points = scattered(4000) + shift
    scene = replace(toy.scene, to_user=replace(TO_USER, translation=TO_USER.translation + shift))
    surface = surface_from_points(points, user_cameras(toy).moved(Similarity(translation=np.zeros(3) + shift)))
    np.testing.assert_allclose(surface.points_user, points, rtol=0, atol=1e-5)
    assert covering(surface, scene) > 0.85  # sparse: two to three pixels apart


def exactly_seen(points: np.ndarray, cameras: Cameras) -> np.ndarray:
    """Which points on the boxes, user's frame, no box hides from each camera of the user's frame [V, N]."""
    points, cameras = TO_USER.inverse().apply(points), cameras.moved(TO_USER.inverse())
    seen = np.zeros((len(cameras), len(points)), bool)
    for index, centre in enumerate(cameras.c2w[:, :, 3]):
        pixels, _ = project(cameras, index, points)
        seen[index] = (pixels >= 0).all(axis=1) & (pixels < SIZE).all(axis=1)
        for low, high in BOXES:
            with np.errstate(divide="ignore"):
                near, far = (low - centre) / (points - centre), (high - centre) / (points - centre)
            enter, leave = np.minimum(near, far).max(axis=1), np.maximum(near, far).min(axis=1)
            seen[index] &= (enter > leave) | (enter > 1.0 - 1e-6)
    return seen


def seen_in(surface: Surface) -> np.ndarray:
    return np.stack([surface.seen_from(view) for view in range(len(surface.visible))])


def test_points_hide_each_other_like_the_solid_boxes(toy: Toy) -> None:
    points = scattered(12_000)
    expected = exactly_seen(points, user_cameras(toy))
    by_discs = surface_from_points(points, user_cameras(toy))
    by_depth = surface_from_points(points, user_cameras(toy), depths=user_depths(toy))
    for surface in (by_discs, by_depth):
        seen = seen_in(surface)
        # Points are seen through gaps as wide as their distance, and pixels are wider still.
        assert (seen & ~expected).sum() < 0.1 * expected.sum()
        assert (expected & ~seen).sum() < 0.1 * expected.sum()
        assert not seen.any(axis=0).all()  # below the floor, and between a box and the floor
        assert covering(surface, toy.scene) > 0.9


def test_normals_are_estimated_and_point_to_the_cameras(toy: Toy) -> None:
    surface = surface_from_points(scattered(12_000), user_cameras(toy))
    seen = exactly_seen(surface.points_user, user_cameras(toy)).any(axis=0)
    centre = BOXES.mean(axis=1)[nearest_box(surface.points_user)[0].astype(int) - 1]
    outwards = ((surface.points_user - TO_USER.apply(centre)) * surface.normals).sum(axis=1) > 0
    assert outwards[seen].mean() > 0.95
    assert (np.abs(surface.normals).max(axis=1) > 0.98).mean() > 0.75
    np.testing.assert_allclose(np.linalg.norm(surface.normals, axis=1), 1.0, atol=1e-5)


def test_given_normals_and_colours_are_taken(toy: Toy) -> None:
    points = scattered(500)
    normals = np.tile([0.0, 0.0, 3.0], (500, 1))
    colors = np.random.default_rng(0).random((500, 3))
    surface = surface_from_points(points, user_cameras(toy), normals, colors)
    np.testing.assert_array_equal(surface.normals, np.tile(np.float32([0, 0, 1]), (500, 1)))
    np.testing.assert_array_equal(surface.colors, np.rint(255 * colors))
    with pytest.raises(SceneError, match="cameras: none of the 10 sees any of the 500 points"):
        surface_from_points(points, user_cameras(toy), -normals)  # as if all of them faced the ground


def test_points_are_thinned_only_where_a_voxel_asks_for_it(toy: Toy) -> None:
    points = scattered(3000)
    surface = surface_from_points(points, user_cameras(toy), config=SegmentConfig(voxel=0.2))
    assert 50 < len(surface) < 1000
    assert nearest_box(surface.points_user)[1].max() < surface.voxel_user


@pytest.mark.parametrize("count", [1, 2, 3, 5])
def test_few_points_are_a_surface_too(toy: Toy, count: int) -> None:
    points = TO_USER.apply(np.array([[0.3, 0.3 - 0.01 * number, -0.2] for number in range(count)]))
    surface = surface_from_points(points, user_cameras(toy))
    assert len(surface) == count
    assert surface.voxel > 0
    assert len(surface_from_points(np.concatenate([points] * 2), user_cameras(toy))) == 2 * count


def test_a_mesh_is_sampled_and_coloured(toy: Toy, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("embreex")
    surface = surface_from_mesh(user_boxes(), user_cameras(toy))
    boxes, distance = nearest_box(surface.points_user)
    assert distance.max() < 1e-5
    assert (surface.colors == COLORS[boxes.astype(int)]).all(axis=1).mean() > 0.99
    again = surface_from_mesh(user_boxes(), user_cameras(toy))
    np.testing.assert_array_equal(surface.points, again.points)
    assert covering(surface, toy.scene) > 0.93

    ordinary = builtins.__import__

    def without_embreex(name: str, *arguments: Any) -> Any:
        if name.startswith("embreex"):
            raise ImportError(name)
        return ordinary(name, *arguments)

    monkeypatch.setattr(builtins, "__import__", without_embreex)
    other = surface_from_mesh(user_boxes(), user_cameras(toy))
    assert 0.9 < len(other) / len(surface) < 1.1
    assert covering(other, toy.scene) > 0.9


def test_rays_see_what_no_box_hides(toy: Toy) -> None:
    pytest.importorskip("embreex")
    surface = surface_from_mesh(user_boxes(), user_cameras(toy))
    assert (seen_in(surface) != exactly_seen(surface.points_user, user_cameras(toy))).mean() < 0.005


def test_mesh_files_textures_and_vertex_colours(toy: Toy, tmp_path: Path) -> None:
    from PIL import Image

    box = user_boxes().to_mesh()
    box.visual = trimesh.visual.ColorVisuals(box, vertex_colors=np.tile([10, 20, 30, 255], (len(box.vertices), 1)))
    box.export(tmp_path / "box.ply")
    surface = surface_from_mesh(tmp_path / "box.ply", user_cameras(toy), config=SegmentConfig(voxel=0.1))
    assert (surface.colors == [10, 20, 30]).all()
    assert 100 < len(surface) < 2000
    material = trimesh.visual.material.SimpleMaterial(image=Image.new("RGB", (4, 4), (50, 60, 70)))
    box.visual = trimesh.visual.TextureVisuals(uv=np.full((len(box.vertices), 2), 0.5), material=material)
    assert (surface_from_mesh(box, user_cameras(toy)).colors == [50, 60, 70]).all()


def write_splats(path: Path, points: np.ndarray, colors: np.ndarray, **changes: np.ndarray) -> None:
    """A file as 3D Gaussian splatting writes it: opaque discs of 2 cm, thinnest along their own z axis."""
    columns = {name: points[:, axis] for axis, name in enumerate("xyz")}
    columns |= {f"f_dc_{channel}": (colors[:, channel] / 255 - 0.5) / 0.28209479177387814 for channel in range(3)}
    columns |= {"opacity": np.full(len(points), 4.0)}
    columns |= {f"scale_{axis}": np.full(len(points), np.log(size)) for axis, size in enumerate((0.02, 0.02, 0.002))}
    columns |= {f"rot_{part}": np.full(len(points), float(part == 0)) for part in range(4)}
    columns |= changes
    rows = np.empty(len(points), [(name, "<f4") for name in columns])
    for name, values in columns.items():
        rows[name] = values
    header = "".join(f"property float {name}\n" for name in columns)
    text = f"ply\nformat binary_little_endian 1.0\nelement vertex {len(rows)}\n{header}end_header\n"
    path.write_bytes(text.encode() + rows.tobytes())


def facing(points: np.ndarray) -> dict[str, np.ndarray]:
    """Rotations (w x y z) whose z axis is the normal of the box faces on which points lie."""
    surface = surface_from_points(points, ring(10).moved(TO_USER))
    normal = surface.normals_user.astype(np.float64)
    normal[normal[:, 2] < 0] *= -1
    half = normal + np.array([0.0, 0.0, 1.0])
    half /= np.linalg.norm(half, axis=1, keepdims=True)
    quaternions = np.stack([half[:, 2], -half[:, 1], half[:, 0], np.zeros(len(half))], axis=1)
    return {f"rot_{part}": 2.0 * quaternions[:, part] for part in range(4)}  # of any length


def test_splats(toy: Toy, tmp_path: Path) -> None:
    points = scattered(9000)
    colors = COLORS[nearest_box(points)[0].astype(int)]
    fog = np.random.default_rng(1).uniform(points.min(axis=0), points.max(axis=0) + np.array([0, 0, 1]), (2000, 3))
    stray = points.mean(axis=0, keepdims=True) + np.array([0, 0, 1.5])
    rotations = {name: np.append(values, np.ones(2001)) for name, values in facing(points).items()}
    opacity = np.concatenate([np.full(9000, 3.0), np.full(2000, -1.0), [5.0]])
    every = np.concatenate([points, fog, stray])
    shades = np.concatenate([colors, np.zeros((2001, 3))])
    write_splats(tmp_path / "point_cloud.ply", every, shades, opacity=opacity, **rotations)
    surface = surface_from_splats(tmp_path / "point_cloud.ply", user_cameras(toy))
    assert 5000 < len(surface) < 9000  # those that are hidden from everywhere go
    boxes, distance = nearest_box(surface.points_user)
    assert distance.max() < 1e-4
    assert (np.abs(surface.colors.astype(int) - COLORS[boxes.astype(int)]).max(axis=1) <= 1).mean() > 0.99
    estimated = surface_from_points(surface.points_user, user_cameras(toy))
    assert ((surface.normals * estimated.normals).sum(axis=1) > 0.9).mean() > 0.9
    assert covering(surface, toy.scene) > 0.9


def test_large_clouds_of_splats_are_thinned(toy: Toy, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    points = scattered(3000)
    write_splats(tmp_path / "a.ply", points, np.full((3000, 3), 100))
    monkeypatch.setattr("ultrafield.surface.splats.MAX_POINTS", 700)
    surface = surface_from_splats(tmp_path / "a.ply", user_cameras(toy))
    assert 200 < len(surface) <= 700
    assert (np.abs(surface.colors.astype(int) - 100) <= 1).all()


def test_discs_of_two_scales_without_colours(toy: Toy, tmp_path: Path) -> None:
    points = scattered(800)
    write_splats(tmp_path / "a.ply", points, np.zeros((800, 3)))
    text = (tmp_path / "a.ply").read_bytes()
    rows = np.frombuffer(text[text.index(b"end_header\n") + 11 :], np.dtype([(str(i), "<f4") for i in range(14)]))
    kept = [0, 1, 2, 6, 7, 8, 10, 11, 12, 13]
    names = ["x", "y", "z", "opacity", "scale_0", "scale_1", "rot_0", "rot_1", "rot_2", "rot_3"]
    lines = [" ".join(str(row[i]) for i in kept) for row in rows]
    header = "".join(f"property float {name}\n" for name in names)
    content = f"ply\nformat ascii 1.0\ncomment 2DGS\nelement vertex 800\n{header}end_header\n" + "\n".join(lines) + "\n"
    (tmp_path / "b.ply").write_text(content)
    surface = surface_from_splats(tmp_path / "b.ply", user_cameras(toy))
    np.testing.assert_allclose(np.abs(surface.normals[:, 2]), 1.0)
    assert (surface.colors == 128).all()


def nowhere(toy: Toy) -> Cameras:
    """Cameras that look away from the scene."""
    c2w = user_cameras(toy).c2w.copy()
    c2w[:, :, [0, 2]] *= -1
    return replace(user_cameras(toy), c2w=c2w)


@pytest.mark.parametrize(
    ("change", "error", "message"),
    [
        ({"depths": [np.ones((SIZE, SIZE))] * 9}, ValueError, "depths: expected 10, one per camera, got 9"),
        ({"depths": [np.ones((SIZE, SIZE))] * 9 + [np.ones(4)]}, ValueError, r"depths\[9\]: expected shape \[\*, \*\]"),
        ({"depths": [np.ones((SIZE, 30))] * 10}, ValueError, r"depths\[0\]: expected the camera's picture, 48 rows"),
        ({"depths": [np.ones((SIZE, SIZE), bool)] * 10}, TypeError, r"depths\[0\]: expected numbers, got bool"),
        ({"depths": [np.full((SIZE, SIZE), np.nan)] * 10}, ValueError, "depths: all of them are empty; expected z-dep"),
        ({"images": [None] * 3}, ValueError, "images: expected 10, one per camera, got 3"),
        ({"images": [np.zeros((SIZE, SIZE, 3))] * 10}, TypeError, r"images\[0\]: expected uint8, got float64"),
        ({"images": [np.zeros((4, 4), np.uint8)] * 10}, ValueError, r"images\[0\]: expected shape \[\*, \*, 3\]"),
        ({"cameras": "cameras.json"}, TypeError, "cameras: expected Cameras, got str"),
    ],
)
def test_bad_depth_is_named(toy: Toy, change: dict[str, Any], error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=message):
        surface_from_depth(**({"depths": user_depths(toy), "cameras": user_cameras(toy)} | change))


def test_depth_without_a_surface_is_an_error_of_the_scene(toy: Toy) -> None:
    lone = np.zeros((10, SIZE, SIZE))
    lone[:, ::3, ::3] = 2.0
    with pytest.raises(SceneError, match=r"depths: they show no surface: no depth map .*; check that depth is along z"):
        surface_from_depth(lone, user_cameras(toy))


@pytest.mark.parametrize(
    ("change", "error", "message"),
    [
        ({"points": np.zeros((0, 3))}, ValueError, "points: expected at least one"),
        ({"points": np.zeros((4, 2))}, ValueError, r"points: expected shape \[\*, 3\], got \[4, 2\]"),
        ({"points": [[0, 0, 0], [0, np.nan, 1]]}, ValueError, r"points: expected finite numbers, got .* in row 1"),
        ({"points": [["a", "b", "c"]]}, TypeError, "points: expected numbers, got <U1"),
        ({"normals": np.zeros((3, 3))}, ValueError, r"normals: expected shape \[50, 3\], got \[3, 3\]"),
        ({"colors": np.full((50, 3), 200.0)}, ValueError, r"colors: expected floating-point numbers in \[0, 1\]"),
        ({"colors": np.zeros((50, 3), np.int64)}, TypeError, r"colors: expected uint8, or floating-point"),
        ({"depths": np.ones((2, SIZE, SIZE))}, ValueError, "depths: expected 10, one per camera, got 2"),
    ],
)
def test_bad_points_are_named(toy: Toy, change: dict[str, Any], error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=message):
        surface_from_points(**({"points": scattered(50), "cameras": user_cameras(toy)} | change))


def test_cameras_that_see_nothing_are_named(toy: Toy, tmp_path: Path) -> None:
    with pytest.raises(SceneError, match="cameras: none of the 10 sees any of the 50 points; expected both in"):
        surface_from_points(scattered(50), nowhere(toy))
    with pytest.raises(SceneError, match="cameras: none of the 10 sees any of the 2000 points"):
        surface_from_mesh(user_boxes(), nowhere(toy))
    cameras = user_cameras(toy)
    with pytest.raises(ValueError, match="cameras: expected at least one"):
        surface_from_points(scattered(50), cameras[[]])
    broken = cameras.c2w.copy()
    broken[3, 0, 0] = np.nan
    with pytest.raises(ValueError, match="c2w: camera 3: expected finite numbers"):
        surface_from_points(scattered(50), replace(cameras, c2w=broken))


def test_bad_meshes_are_named(toy: Toy, tmp_path: Path) -> None:
    cameras = user_cameras(toy)
    with pytest.raises(SceneError, match=r"none.obj: no such file"):
        surface_from_mesh(tmp_path / "none.obj", cameras)
    (tmp_path / "bad.ply").write_text("hello")
    with pytest.raises(SceneError, match=r"bad.ply: not readable as a 3D scene"):
        surface_from_mesh(tmp_path / "bad.ply", cameras)
    with pytest.raises(TypeError, match=r"mesh: expected trimesh.Trimesh, trimesh.Scene or a path, got int"):
        surface_from_mesh(3, cameras)
    with pytest.raises(SceneError, match="mesh: expected triangles with an area"):
        surface_from_mesh(trimesh.Trimesh(np.zeros((3, 3)), [[0, 1, 2]], process=False), cameras)
    with pytest.raises(SceneError, match="mesh: has no triangles; take surface_from_points"):
        surface_from_mesh(trimesh.PointCloud(scattered(9)), cameras)


def test_bad_splats_are_named(toy: Toy, tmp_path: Path) -> None:
    cameras = user_cameras(toy)
    points = scattered(50)
    write_splats(tmp_path / "fog.ply", points, np.zeros((50, 3)), opacity=np.full(50, -3.0))
    with pytest.raises(SceneError, match=r"fog.ply: none of 50 Gaussians has an opacity of 0.5 or more"):
        surface_from_splats(tmp_path / "fog.ply", cameras)
    trimesh.PointCloud(points).export(tmp_path / "points.ply")
    with pytest.raises(SceneError, match=r"points.ply: no Gaussian splats; its vertices lack opacity, scale_0"):
        surface_from_splats(tmp_path / "points.ply", cameras)


def test_labels_are_carried_back_to_the_points(toy: Toy) -> None:
    points = np.concatenate([back_project(user_cameras(toy), view, user_depths(toy)[view]) for view in range(3)])
    points = points[np.isfinite(points).all(axis=-1)]
    surface = surface_from_points(points, user_cameras(toy))
    segments = cut_into(build_tree(build_graph(surface, engine="lift", scene=toy.scene)), 12)
    boxes = nearest_box(points)[0].astype(int)
    pure = sum(np.bincount(boxes[segments == segment]).max() for segment in np.unique(segments))
    assert len(segments) == len(points)
    assert pure / len(points) > 0.97
