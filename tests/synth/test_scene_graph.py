from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import trimesh
from PIL import Image

from ultrafield.errors import SceneError
from ultrafield.synth.scene_graph import build_model, read_model


def scene_of(*paths: str) -> trimesh.Scene:
    """Unit boxes in a row; every slash-separated prefix is a node."""
    scene = trimesh.Scene()
    for index, path in enumerate(paths):
        parent = scene.graph.base_frame
        names = path.split("/")
        for depth in range(1, len(names)):
            node = "/".join(names[:depth])
            if node not in scene.graph.nodes:
                scene.graph.update(frame_to=node, frame_from=parent)
            parent = node
        shift = trimesh.transformations.translation_matrix([3.0 * index, 0, 0])
        scene.add_geometry(
            trimesh.creation.box(), node_name=path, geom_name=path, parent_node_name=parent, transform=shift
        )
    return scene


def levels(scene: trimesh.Scene) -> dict[str, str]:
    return {node.name: node.level for node in build_model(scene, name="t").nodes}


def test_full_chain_gives_group_object_sub_and_part() -> None:
    assert levels(scene_of("tea/pot/lid/knob", "tea/pot/body", "fruit/pear/flesh")) == {
        "scene": "scene",
        "tea": "group",
        "tea/pot": "object",
        "tea/pot/lid": "sub",
        "tea/pot/lid/knob": "part",
        "tea/pot/body": "part",
        "fruit": "group",
        "fruit/pear": "object",
        "fruit/pear/flesh": "part",
    }


def test_short_chains_repeat_their_top() -> None:
    assert levels(scene_of("chair/leg", "ball")) == {
        "scene": "scene",
        "chair": "group",
        "chair/chair": "object",
        "chair/chair/leg": "part",
        "ball": "group",
        "ball/ball": "object",
        "ball/ball/ball": "part",
    }


def test_a_wrapper_above_everything_is_skipped() -> None:
    wrapped = scene_of("Scene/tea/pot/body", "Scene/tea/pot/lid", "Scene/fruit/pear/flesh")
    assert levels(wrapped) == levels(scene_of("tea/pot/body", "tea/pot/lid", "fruit/pear/flesh"))


def test_a_wrapper_stays_where_fewer_than_three_levels_are_left_below() -> None:
    assert levels(scene_of("chair/leg", "chair/seat"))["chair/chair"] == "object"
    assert levels(scene_of("room/chair/leg", "room/table/leg"))["room/chair"] == "object"


def test_ids_follow_the_tree() -> None:
    model = build_model(scene_of("a/x/1", "a/x/2", "a/y/1", "b/z/1"), name="t")
    assert model.part_object.tolist() == [0, 1, 1, 2, 3]
    assert model.part_group.tolist() == [0, 1, 1, 1, 2]
    for node in model.nodes[1:]:
        above = model.nodes[node.parent]
        assert above.depth == node.depth - 1
        assert set(node.parts) <= set(above.parts)
    assert [node.parts for node in model.nodes if node.level == "part"] == [(1,), (2,), (3,), (4,)]
    assert np.bincount(model.face_part).tolist() == [0, 12, 12, 12, 12]
    assert (model.triangles[model.face_part == 3][..., 0].mean().round(6)) == 6.0  # node transforms are applied


def test_a_node_with_geometry_and_children_is_a_part_beside_them() -> None:
    scene = scene_of("tea/pot")
    scene.add_geometry(trimesh.creation.box(), node_name="tea/pot/lid", parent_node_name="tea/pot")
    assert [node.name for node in build_model(scene, name="t").nodes if node.level == "part"] == [
        "tea/pot/lid",
        "tea/pot/pot",
    ]


def test_slashes_in_a_flat_scene_count_as_nesting_and_twins_are_told_apart() -> None:
    scene = trimesh.Scene()
    for node in ("tea/pot/body", "tea//pot/body", "fruit/pear/flesh"):
        scene.add_geometry(trimesh.creation.box(), node_name=node)
    names = [node.name for node in build_model(scene, name="t").nodes if node.level == "part"]
    assert names == ["fruit/pear/flesh", "tea/pot/body", "tea/pot/body#2"]


def test_ids_follow_the_names_not_the_order_in_the_file() -> None:
    names = [node.name for node in build_model(scene_of("b/x/1", "a/y/leg10", "a/y/leg9"), name="t").nodes]
    assert [name for name in names if name.count("/") == 2] == ["a/y/leg9", "a/y/leg10", "b/x/1"]


def test_glb_keeps_names_nesting_and_colours_and_is_turned_upright(tmp_path: Path) -> None:
    scene = scene_of("a/x/1", "b/y/2")
    scene.geometry["a/x/1"].visual.vertex_colors = [255, 0, 0, 255]
    scene.geometry["a/x/1"].apply_translation([0, 5, 0])
    file = tmp_path / "scene.glb"
    scene.export(file)
    model = read_model(file)
    (part,) = (node.id and node.parts[0] for node in model.nodes if node.name == "a/x/1")
    chosen = model.face_part == part
    np.testing.assert_allclose(model.colors[chosen], np.broadcast_to([1, 0, 0], (chosen.sum(), 3, 3)))
    np.testing.assert_allclose(model.triangles[chosen].reshape(-1, 3).mean(0), [0, 0, 5], atol=1e-6)
    upright = read_model(file, "z")
    np.testing.assert_allclose(upright.triangles[chosen].reshape(-1, 3).mean(0), [0, 5, 0], atol=1e-6)


def test_objects_of_an_obj_file_become_parts(tmp_path: Path) -> None:
    file = tmp_path / "two.obj"
    file.write_text(
        "o tea/pot/body\nv 0 0 0\nv 1 0 0\nv 0 1 0\nf 1 2 3\no tea/pot/lid\nv 0 0 1\nv 1 0 1\nv 0 1 1\nf 4 5 6\n"
    )
    parts = {node.name for node in read_model(file).nodes if node.level == "part"}
    assert {name.split("/")[-1] for name in parts} == {"body", "lid"}


def test_face_colours_and_missing_colours() -> None:
    scene = scene_of("a/x/1", "a/x/2")
    scene.geometry["a/x/1"].visual.face_colors = np.tile(np.uint8([0, 51, 255, 255]), (12, 1))
    model = build_model(scene, name="t")
    np.testing.assert_allclose(model.colors[model.face_part == 1].reshape(-1, 3), np.tile([0, 0.2, 1], (36, 1)))
    grey = model.colors[model.face_part == 2]
    assert grey.min() == grey.max()


def test_texture_and_gloss_of_a_material() -> None:
    mesh = trimesh.creation.box()
    material = trimesh.visual.material.PBRMaterial(
        baseColorTexture=Image.new("RGB", (4, 4), (200, 100, 0)),
        baseColorFactor=[255, 51, 255, 255],
        roughnessFactor=0.25,
    )
    mesh.visual = trimesh.visual.TextureVisuals(uv=np.full((8, 2), 0.5), material=material)
    model = build_model(trimesh.Scene(mesh), name="t")
    texture = model.textures[1]
    assert texture.corners.shape == (12, 3, 2)
    np.testing.assert_allclose(texture.factor, [1, 0.2, 1])
    assert model.gloss[1] == pytest.approx(0.75)


def test_normals_are_smooth_on_a_ball_and_flat_on_a_box() -> None:
    ball = build_model(trimesh.Scene(trimesh.creation.icosphere(subdivisions=3)), name="t")
    directions = ball.triangles / np.linalg.norm(ball.triangles, axis=-1, keepdims=True)
    assert (ball.normals * directions).sum(-1).min() > 0.999
    box = build_model(trimesh.Scene(trimesh.creation.box()), name="t")
    faces = np.cross(box.triangles[:, 1] - box.triangles[:, 0], box.triangles[:, 2] - box.triangles[:, 0])
    np.testing.assert_allclose(box.normals, np.repeat(faces[:, None], 3, axis=1), atol=1e-6)


def test_missing_file(tmp_path: Path) -> None:
    with pytest.raises(SceneError, match=r"nothing\.glb: no such file"):
        read_model(tmp_path / "nothing.glb")


@pytest.mark.parametrize("name", ["broken.glb", "broken.gltf", "broken.ply"])
def test_unreadable_file(tmp_path: Path, name: str) -> None:
    (tmp_path / name).write_bytes(b"not a scene")
    with pytest.raises(SceneError, match=f"{name}: not readable as a 3D scene"):
        read_model(tmp_path / name)


def test_nothing_with_faces() -> None:
    with pytest.raises(SceneError, match="cloud: nothing in it has faces"):
        build_model(trimesh.Scene(trimesh.PointCloud(np.zeros((4, 3)))), name="t", where="cloud")
    with pytest.raises(SceneError, match="nothing in it has faces"):
        build_model(trimesh.Scene(), name="t")


def test_vertex_that_is_not_finite() -> None:
    mesh = trimesh.Trimesh([[0, 0, 0], [1, 0, 0], [0, np.nan, 0]], [[0, 1, 2]], process=False)
    scene = trimesh.Scene()
    scene.add_geometry(mesh, node_name="bad")
    with pytest.raises(SceneError, match="mesh 'bad': a vertex is not finite"):
        build_model(scene, name="t")
