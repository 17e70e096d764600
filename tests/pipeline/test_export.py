"""Exports, read back by the libraries that others read them with; ids agree between all of them."""

from __future__ import annotations

import json
import os
import resource
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import trimesh
from toy_scene import BOXES, TO_USER, Toy

import ultrafield as uf
from ultrafield import cli
from ultrafield.config import SegmentConfig
from ultrafield.errors import ConfigError, SceneError
from ultrafield.reading import read_image
from ultrafield.ultrametric import EditedTree

HTML = "<img src=x onerror=alert(1)> Ünï 🍋"


@pytest.fixture(scope="module")
def segmentation(toy: Toy) -> uf.Segmentation:
    """Segments of the toy scene; the left box is called something odd."""
    depths = [view.depth * TO_USER.scale for view in toy.views]
    surface = uf.surface_from_depth(depths, toy.scene.train.cameras)
    plain = uf.segment(surface, toy.scene, SegmentConfig(superpoints=200))
    edited = EditedTree(plain.tree)
    edited.rename(box_node(plain, 1), HTML)
    return plain.with_edits(edited)


@pytest.fixture(scope="module")
def views(toy: Toy) -> dict[str, Any]:
    return {"cameras": toy.scene.train.cameras, "depths": [view.depth * TO_USER.scale for view in toy.views]}


def box_node(segmentation: uf.Segmentation, number: int) -> int:
    """The node that stands for one of the boxes: of nodes of one height the topmost, which cuts show."""
    from ultrafield.ultrametric.matching import best_nodes

    points = TO_USER.inverse().apply(segmentation.surface.points_user)
    low, high = BOXES[number] + [[-0.02] * 3, [0.02] * 3]
    inside = ((points >= low) & (points <= high)).all(axis=1) & (points[:, 2] > BOXES[0, 1, 2] + 0.02)
    ((node, iou),) = best_nodes(segmentation.tree, [inside])
    assert iou > 0.8
    parents, heights = segmentation.tree.parents, segmentation.tree.heights
    while parents[node] != node and heights[parents[node]] == heights[node]:
        node = int(parents[node])
    assert segmentation.tree.sizes[node] < 1.02 * inside.sum()
    return node


def vertices(path: Path) -> np.ndarray:
    """Vertices of a PLY file with all properties, as trimesh reads them."""
    return trimesh.load(path).metadata["_ply_raw"]["vertex"]["data"]


def labels_of(folder: Path) -> dict[str, Any]:
    return json.loads((folder / "labels.json").read_text(encoding="utf-8"))


def test_points_agree_in_ply_and_laz(segmentation: uf.Segmentation, tmp_path: Path) -> None:
    laspy = pytest.importorskip("laspy")
    pytest.importorskip("lazrs")
    segmentation.export(tmp_path / "p", to="ply")
    segmentation.export(tmp_path / "l", to="laz")
    points = vertices(tmp_path / "p" / "segments.ply")
    record = laspy.read(tmp_path / "l" / "segments.laz")
    listed = labels_of(tmp_path / "p")
    assert np.allclose(np.stack([record.x, record.y, record.z], 1), segmentation.surface.points_user, atol=1e-4)
    assert np.array_equal(record.red // 257, segmentation.surface.colors[:, 0])
    for level, height in zip(listed["levels"], segmentation.levels[::-1], strict=True):
        expected = segmentation.cut(float(height))
        assert np.array_equal(points[level["column"]], expected)
        assert np.array_equal(record[level["column"]], expected)
        members = {node["id"] for node in listed["nodes"] if level["column"] in node["levels"]}
        assert members == set(expected.tolist())
    assert np.array_equal(points["instance_id"], segmentation.cut(float(segmentation.levels[0])))
    parents = {node["id"]: node["parent"] for node in listed["nodes"]}
    assert [node for node, parent in parents.items() if parent is None] == [int(segmentation.ids[-1])]
    assert all(parent is None or parent in parents for parent in parents.values())
    assert HTML in {node["name"] for node in listed["nodes"]}
    assert listed["files"] == ["segments.ply"]


@pytest.mark.filterwarnings("ignore::DeprecationWarning")  # of pycocotools, about NumPy
def test_pictures_agree_with_label_maps(segmentation: uf.Segmentation, views: dict[str, Any], tmp_path: Path) -> None:
    coco = pytest.importorskip("pycocotools.mask", reason="needs pycocotools")
    for to in ("coco", "panoptic", "png"):
        segmentation.export(tmp_path / to, to=to, **views)
    maps = list(segmentation.label(views["cameras"], depths=views["depths"], heights=segmentation.levels[::-1]))
    instances = json.loads((tmp_path / "coco" / "train.json").read_text(encoding="utf-8"))
    by_id = {item["id"]: item for item in instances["annotations"]}
    names = {item["id"]: item["name"] for item in instances["categories"]}
    assert len(by_id) == len(instances["annotations"])
    columns = [level["column"] for level in labels_of(tmp_path / "coco")["levels"]]
    for item in instances["annotations"]:
        rle = item["segmentation"] | {"counts": item["segmentation"]["counts"].encode()}
        expected = maps[item["image_id"] - 1][columns.index(item["level"])] == item["node"]
        assert np.array_equal(coco.decode(rle), expected)
        assert names[item["category_id"]] == (HTML if item["node"] == box_node(segmentation, 1) else "segment")
        if item["level"] != "level_0":
            around = by_id[item["parent_id"]]
            assert (around["image_id"], around["level"]) == (
                item["image_id"],
                columns[columns.index(item["level"]) - 1],
            )
    legend = json.loads((tmp_path / "png" / "legend.json").read_text(encoding="utf-8"))
    of_code = np.array([-1 if entry is None else entry["id"] for entry in legend.values()])
    for level, column in enumerate(columns):
        listed = json.loads((tmp_path / "panoptic" / f"train_{column}.json").read_text(encoding="utf-8"))
        for index in range(len(maps)):
            picture = read_image(tmp_path / "png" / column / "train" / f"{segmentation.views[index]}.png")
            assert picture.dtype == np.uint16
            assert np.array_equal(of_code[picture], maps[index][level])
            coded = read_image(tmp_path / "panoptic" / f"train_{column}" / f"{segmentation.views[index]}.png").astype(
                int
            )
            ids = coded @ [1, 256, 65536]
            assert np.array_equal(ids - 1, maps[index][level])
            infos = listed["annotations"][index]["segments_info"]
            assert {info["id"]: info["area"] for info in infos} == {
                int(key): int(count) for key, count in zip(*np.unique(ids[ids > 0], return_counts=True), strict=True)
            }


def test_masks_of_one_node(segmentation: uf.Segmentation, views: dict[str, Any], toy: Toy, tmp_path: Path) -> None:
    segmentation.export(tmp_path / "m", to="png", node=box_node(segmentation, 2), **views)
    files = json.loads((tmp_path / "m" / "mask_paths.json").read_text())["train"]
    wrong = [
        (read_image(tmp_path / "m" / file) == 255) != (toy.ids[index] == 3) for index, file in enumerate(files.values())
    ]
    assert np.mean(wrong) < 0.02


@pytest.fixture(scope="module")
def glb(segmentation: uf.Segmentation, views: dict[str, Any], tmp_path_factory: pytest.TempPathFactory) -> Path:
    pytest.importorskip("skimage", reason="needs scikit-image")
    pytest.importorskip("fast_simplification", reason="needs fast-simplification")
    folder = tmp_path_factory.mktemp("glb")
    return segmentation.export(folder / "scene.glb", level=[0, "finest"], features=True, faces=3000, **views)


def gltf(path: Path) -> dict[str, Any]:
    data = path.read_bytes()
    size = int.from_bytes(data[12:16], "little")
    return json.loads(data[20 : 20 + size])


def test_the_node_tree_of_glb_is_the_tree_of_segments(glb: Path, segmentation: uf.Segmentation) -> None:
    content, listed = gltf(glb), json.loads((glb.parent / "scene.labels.json").read_text(encoding="utf-8"))
    nodes, known = content["nodes"], {node["id"]: node for node in listed["nodes"]}
    for node in nodes:
        own = known[node["extras"]["id"]]
        assert node["name"] == (own["name"] or f"segment {own['id']}")
        assert node["extras"]["height"] == own["height"]
        assert node["extras"]["levels"] == own["levels"]
        for child in node.get("children", []):
            assert known[nodes[child]["extras"]["id"]]["parent"] == own["id"]
    assert HTML in {node["name"] for node in nodes}
    read = trimesh.load(glb)
    assert HTML in read.graph.nodes
    for primitive, node in (
        (content["meshes"][node["mesh"]]["primitives"][0], node) for node in nodes if "mesh" in node
    ):
        ids = primitive["extensions"]["EXT_mesh_features"]["featureIds"]
        assert [item["label"] for item in ids] == ["level_0", f"level_{len(segmentation.levels) - 1}"]
        assert {f"_FEATURE_ID_{item['attribute']}" for item in ids} <= set(primitive["attributes"])
        assert node["extras"]["watertight"] in (True, False)


def test_meshes_lie_on_the_boxes(glb: Path, segmentation: uf.Segmentation) -> None:
    """In the user's frame, within a voxel and a half at the median, and closed where a box was seen from all sides."""
    read, voxel = trimesh.load(glb), segmentation.surface.voxel_user
    points = TO_USER.inverse().apply(np.concatenate([part.triangles_center for part in read.dump()]))
    outside = np.maximum(BOXES[:, 0, None] - points, points - BOXES[:, 1, None]).clip(min=0)
    distance = np.linalg.norm(outside, axis=2)
    depth = np.minimum(points - BOXES[:, 0, None], BOXES[:, 1, None] - points).min(axis=2).clip(min=0)
    off = (distance + depth).min(axis=0) * TO_USER.scale / voxel
    assert np.median(off) < 1.5
    assert np.quantile(off, 0.97) < 4.0
    assert sum(len(part.faces) for part in read.dump()) < 4000
    closed = [part for part in read.dump() if part.is_watertight]
    assert len(closed) >= 1
    assert all(part.volume > 0 for part in closed)


def test_the_validator_of_gltf_finds_nothing(glb: Path) -> None:
    script = (
        "const bytes = new Uint8Array(require('fs').readFileSync(process.argv[1]));"
        "require('gltf-validator').validateBytes(bytes).then(found => console.log(JSON.stringify(found.issues)))"
    )
    try:
        done = subprocess.run(["node", "-e", script, str(glb)], capture_output=True, text=True, timeout=60)
    except FileNotFoundError:
        pytest.skip("needs node with gltf-validator (NODE_PATH)")
    if "Cannot find module" in done.stderr:
        pytest.skip("needs the npm package gltf-validator (NODE_PATH)")
    issues = json.loads(done.stdout)
    assert (issues["numErrors"], issues["numWarnings"]) == (0, 0)


def test_usd_has_the_same_tree(segmentation: uf.Segmentation, views: dict[str, Any], glb: Path, tmp_path: Path) -> None:
    pytest.importorskip("pxr", reason="needs usd-core")
    from pxr import Usd, UsdGeom, UsdSemantics

    file = segmentation.export(tmp_path / "scene.usda", level=[0, "finest"], faces=3000, **views)
    stage = Usd.Stage.Open(str(file))
    known = {node["extras"]["id"]: node for node in gltf(glb)["nodes"]}
    assert stage.HasAuthoredMetadata("metersPerUnit")
    assert UsdGeom.GetStageMetersPerUnit(stage) == 1.0
    assert UsdGeom.GetStageUpAxis(stage) == UsdGeom.Tokens.z
    prims = [prim for prim in stage.Traverse() if prim.HasAttribute("ultrafield:id")]
    assert {prim.GetAttribute("ultrafield:id").Get() for prim in prims} == set(known)
    named = stage.GetPrimAtPath(next(prim.GetPath() for prim in prims if prim.GetDisplayName() == HTML))
    assert list(UsdSemantics.LabelsAPI(named, "category").GetLabelsAttr().Get()) == [HTML]
    cache = UsdGeom.BBoxCache(Usd.TimeCode.Default(), [UsdGeom.Tokens.default_])
    box = cache.ComputeWorldBound(stage.GetDefaultPrim()).ComputeAlignedRange()
    assert np.allclose([box.GetMin(), box.GetMax()], trimesh.load(glb).bounds, atol=1e-4)


def test_scannet_names_groups(segmentation: uf.Segmentation, views: dict[str, Any], tmp_path: Path) -> None:
    folder = segmentation.export(tmp_path / "s", to="scannet", faces=3000, **views)
    mesh = trimesh.load(folder / "scene_vh_clean_2.ply", process=False)
    segs = json.loads((folder / "scene_vh_clean_2.0.010000.segs.json").read_text())["segIndices"]
    assert len(segs) == len(mesh.vertices)
    groups = json.loads((folder / "scene.aggregation.json").read_text(encoding="utf-8"))["segGroups"]
    members = [segment for group in groups for segment in group["segments"]]
    assert len(members) == len(set(members))
    assert set(members) <= set(segs)


def test_a_segment_goes_out_and_comes_back(segmentation: uf.Segmentation, glb: Path, tmp_path: Path) -> None:
    node = box_node(segmentation, 2)
    out = segmentation.export(tmp_path / "box.ply", node=node)
    back = segmentation.export(tmp_path / "back", onto=out)
    found = np.load(back / "box.npz")
    before = segmentation.cut(float(segmentation.levels[0]))[
        np.isin(np.arange(len(segmentation.surface)), segmentation.tree.leaves(node))
    ]
    assert (found["instance_id"] == before).mean() >= 0.99
    assert labels_of(back)["labelled"] == len(before)
    carried = np.load(segmentation.export(tmp_path / "mesh", onto=glb) / "scene.npz")
    assert (carried["instance_id"] >= 0).mean() > 0.95
    assert set(carried) >= {"face_instance_id", "level_0", "face_level_0"}


def test_labels_come_to_points_of_any_kind(segmentation: uf.Segmentation, tmp_path: Path) -> None:
    laspy = pytest.importorskip("laspy")
    points = segmentation.surface.points_user[::7]
    far = np.concatenate([points, points[:5] + 100.0, [[np.nan] * 3]])
    np.save(tmp_path / "points.npy", far)
    np.savetxt(tmp_path / "points.xyz", points)
    record = laspy.LasData(laspy.LasHeader(point_format=3, version="1.2"))
    record.header.scales = [1e-5] * 3
    record.x, record.y, record.z = points.T
    record.write(tmp_path / "points.las")
    expected = segmentation.cut(float(segmentation.levels[0]))[::7]
    for name in ("points.npy", "points.xyz", "points.las"):
        folder = segmentation.export(tmp_path / name.replace(".", "_"), onto=tmp_path / name, to="onto")
        found = np.load(folder / "points.npz")["instance_id"]
        assert np.array_equal(found[: len(expected)], expected)
        assert (found[len(expected) :] == -1).all()
    one = np.load(segmentation.export(tmp_path / "all", onto=tmp_path / "points.npy", distance=1e4) / "points.npz")
    assert (one["instance_id"] >= 0).sum() == len(points) + 5


def gaussians(segmentation: uf.Segmentation, path: Path) -> np.ndarray:
    from ultrafield.export.ply import write_ply

    points, generator = segmentation.surface.points_user, np.random.default_rng(0)
    columns = dict(zip("xyz", points.astype(np.float32).T, strict=True))
    others = ("f_dc_0", "f_rest_0", "opacity", "scale_0", "scale_1", "scale_2", "rot_0", "rot_1", "rot_2", "rot_3")
    columns |= {name: generator.normal(size=len(points)).astype(np.float32) - 3 for name in others}
    write_ply(path, columns)
    return np.stack(list(columns.values()), 1)


def test_gaussians_get_ids_and_clean_files(segmentation: uf.Segmentation, tmp_path: Path) -> None:
    values = gaussians(segmentation, tmp_path / "my splats.ply")
    height = float(segmentation.tree.heights[box_node(segmentation, 1)])
    out = segmentation.export(tmp_path / "out", to="splats", onto=tmp_path / "my splats.ply", split=height)
    ids = np.load(out / "my-splats.npz")["cut_0"]
    assert np.array_equal(ids, segmentation.cut(height))
    files = sorted((out / "segments").iterdir())
    assert files
    for file in files:
        node = int(file.stem.partition("_")[0])
        rows = vertices(file)
        assert list(rows.dtype.names) == ["x", "y", "z", "f_dc_0", "f_rest_0", "opacity", *rows.dtype.names[6:]]
        assert np.array_equal(np.stack([rows[name] for name in rows.dtype.names], 1), values[ids == node])
    assert any("img-src-x-onerror-alert-1" in file.stem for file in files)


def test_a_file_for_each_segment(segmentation: uf.Segmentation, views: dict[str, Any], tmp_path: Path) -> None:
    out = segmentation.export(tmp_path / "p", to="ply", split="finest")
    whole = vertices(out / "segments.ply")["instance_id"]
    for file in (out / "segments").iterdir():
        ids = vertices(file)["instance_id"]
        assert set(ids.tolist()) == {int(file.stem.partition("_")[0])}
        assert len(ids) == (whole == ids[0]).sum()
    out = segmentation.export(tmp_path / "g", to="glb", level=["finest"], split="finest", faces=3000, **views)
    for file in (out / "segments").iterdir():
        node = int(file.stem.partition("_")[0])
        assert all(node in {item["extras"]["id"], *path} for item, path in meshes(gltf(file)))


def meshes(content: dict[str, Any]) -> Iterator[tuple[dict[str, Any], list[int]]]:
    """Nodes with a mesh, and the ids of the nodes above them."""
    above = {child: index for index, node in enumerate(content["nodes"]) for child in node.get("children", [])}
    for index, node in enumerate(content["nodes"]):
        if "mesh" in node:
            path, place = [], index
            while place in above:
                place = above[place]
                path.append(content["nodes"][place]["extras"]["id"])
            yield node, path


def test_large_coordinates_keep_their_digits(
    segmentation: uf.Segmentation, views: dict[str, Any], tmp_path: Path
) -> None:
    shift = np.array([6_000_000.0, 500_000.0, 100.0])
    to_user = replace(segmentation.surface.to_user, translation=segmentation.surface.to_user.translation + shift)
    far = replace(segmentation, surface=replace(segmentation.surface, to_user=to_user))
    moved = views["cameras"].moved(uf.Similarity(translation=shift))
    file = far.export(tmp_path / "far.glb", cameras=moved, depths=views["depths"], faces=3000)
    near = trimesh.load(segmentation.export(tmp_path / "near.glb", faces=3000, **views))
    assert np.allclose(trimesh.load(file).bounds - shift, near.bounds, atol=1e-3)
    turned = trimesh.load(far.export(tmp_path / "up.glb", cameras=moved, depths=views["depths"], faces=3000, y_up=True))
    low, high = near.bounds + shift
    assert np.allclose(turned.bounds, [[low[0], low[2], -high[1]], [high[0], high[2], -low[1]]], atol=1e-3)


def test_one_level_needs_no_list_and_nodes_are_whole_numbers(segmentation: uf.Segmentation, tmp_path: Path) -> None:
    for number, level in enumerate(("finest", 0, np.int64(0), 0.5)):
        file = segmentation.export(tmp_path / f"{number}.ply", level=level)
        listed = json.loads((tmp_path / f"{number}.labels.json").read_text())["levels"]
        assert [item["column"] for item in listed] == [list(vertices(file).dtype.names)[-1]]
    segmentation.export(tmp_path / "all.ply", level=segmentation.levels)
    listed = json.loads((tmp_path / "all.labels.json").read_text())["levels"]
    np.testing.assert_allclose(sorted(item["height"] for item in listed), sorted(segmentation.levels), rtol=1e-6)
    with pytest.raises(TypeError, match=r"node: expected an integer, got 2\.5"):
        segmentation.export(tmp_path / "node.ply", node=2.5)  # type: ignore[arg-type]
    assert not (tmp_path / "node.ply").exists()


def test_edits_are_exported(segmentation: uf.Segmentation, tmp_path: Path) -> None:
    edited = EditedTree(segmentation.tree)
    joined = edited.merge([box_node(segmentation, 1), box_node(segmentation, 2)])
    after = segmentation.with_edits(edited)
    out = after.export(tmp_path / "out.ply", level=[float(after.tree.heights[np.flatnonzero(after.ids == joined)[0]])])
    points = vertices(out)
    assert (points["cut_0"] == joined).sum() == int(
        segmentation.tree.sizes[[box_node(segmentation, 1), box_node(segmentation, 2)]].sum()
    )
    assert joined in {node["id"] for node in json.loads((tmp_path / "out.labels.json").read_text())["nodes"]}


def test_only_exports_are_replaced(segmentation: uf.Segmentation, tmp_path: Path) -> None:
    out = segmentation.export(tmp_path / "out", to="ply")
    with pytest.raises(SceneError, match="exists; choose another place, or replace it with --overwrite"):
        segmentation.export(out, to="ply")
    segmentation.export(out, to="ply", split=0, overwrite=True)
    segmentation.export(out, to="ply", overwrite=True)
    assert sorted(os.listdir(out)) == ["labels.json", "segments.ply"]
    (out / "mine.ply").write_text("mine")
    with pytest.raises(SceneError, match=r"mine.ply: was not written by ultrafield export, so it is not replaced"):
        segmentation.export(out, to="ply", overwrite=True)
    file = tmp_path / "mine.ply"
    file.write_text("mine")
    with pytest.raises(SceneError, match=r"mine.ply: was not written by ultrafield export"):
        segmentation.export(file, overwrite=True)
    assert file.read_text() == "mine"
    segmentation.export(tmp_path / "own.ply")
    segmentation.export(tmp_path / "own.ply", overwrite=True)
    (tmp_path / "link").symlink_to(tmp_path / "elsewhere")
    for place, expected in (
        ("link", "is a link"),
        ("x.txt", r"expected a folder, or a file that ends in \.ply"),
        ("own.ply/x", "own.ply is not a folder"),
    ):
        with pytest.raises(SceneError, match=expected):
            segmentation.export(tmp_path / place, to="ply")
    with pytest.raises(SceneError, match="--split writes several files; give a folder"):
        segmentation.export(tmp_path / "new.ply", split=0)
    (tmp_path / "folder.ply").mkdir()
    with pytest.raises(SceneError, match="exists and is no file"):
        segmentation.export(tmp_path / "folder.ply")
    os.mkfifo(tmp_path / "fifo")
    for overwrite in (False, True):
        with pytest.raises(SceneError, match="fifo: exists and is not a folder"):
            segmentation.export(tmp_path / "fifo", to="ply", overwrite=overwrite)


def test_labels_of_the_user_beside_a_file_stay(segmentation: uf.Segmentation, tmp_path: Path) -> None:
    labels = tmp_path / "mug.labels.json"
    for content in ('{"mine": 1}', "mine"):
        labels.write_text(content)
        for overwrite in (False, True):
            with pytest.raises(SceneError, match=r"mug\.labels\.json: was not written by ultrafield export"):
                segmentation.export(tmp_path / "mug.ply", overwrite=overwrite)
        assert labels.read_text() == content
    labels.rename(tmp_path / "mine.json")
    labels.symlink_to(tmp_path / "mine.json")
    with pytest.raises(SceneError, match=r"mug\.labels\.json: was not written by ultrafield export"):
        segmentation.export(tmp_path / "mug.ply")
    assert sorted(os.listdir(tmp_path)) == ["mine.json", "mug.labels.json"]


def test_files_of_one_name_share_their_labels(
    segmentation: uf.Segmentation, views: dict[str, Any], tmp_path: Path
) -> None:
    segmentation.export(tmp_path / "mug.ply")
    segmentation.export(tmp_path / "mug.glb", faces=3000, **views)
    labels = tmp_path / "mug.labels.json"
    assert json.loads(labels.read_text(encoding="utf-8"))["files"] == ["mug.glb", "mug.ply"]
    segmentation.export(tmp_path / "mug.ply", overwrite=True)
    before = labels.read_text(encoding="utf-8")
    assert json.loads(before)["files"] == ["mug.glb", "mug.ply"]
    (tmp_path / "mug.ply").unlink()
    node = box_node(segmentation, 1)
    with pytest.raises(SceneError, match=r"mug\.labels\.json: explains mug\.glb, whose segments are others; choose"):
        segmentation.export(tmp_path / "mug.ply", node=node)
    assert labels.read_text(encoding="utf-8") == before
    segmentation.export(tmp_path / "mug.ply", node=node, overwrite=True)
    segmentation.export(tmp_path / "mug.glb", faces=3000, overwrite=True, **views)
    (tmp_path / "mug.glb").unlink()
    segmentation.export(tmp_path / "mug.ply", node=node, overwrite=True)
    assert json.loads(labels.read_text(encoding="utf-8"))["files"] == ["mug.ply"]
    stored = json.loads(labels.read_text(encoding="utf-8"))
    labels.write_text(json.dumps(stored | {"files": ["level_0/r_0.png", "", "..", "mug.ply"]}))  # of another export
    segmentation.export(tmp_path / "mug.ply", overwrite=True)
    assert json.loads(labels.read_text(encoding="utf-8"))["files"] == ["mug.ply"]


def test_files_of_one_name_may_be_exported_at_once(
    segmentation: uf.Segmentation, views: dict[str, Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from ultrafield.pipeline import export

    write = export._WRITERS["ply"]

    def slowly(*arguments: Any) -> dict[str, Any]:
        segmentation.export(tmp_path / "mug.glb", faces=3000, **views)
        return write(*arguments)

    monkeypatch.setitem(export._WRITERS, "ply", slowly)
    segmentation.export(tmp_path / "mug.ply")
    stored = json.loads((tmp_path / "mug.labels.json").read_text(encoding="utf-8"))
    assert stored["files"] == ["mug.glb", "mug.ply"]


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        ({"to": "obj"}, "to: expected one of ply, glb"),
        ({}, "to: expected a format, as 'out' tells none"),
        ({"to": "splats"}, "onto: --to splats needs your PLY file of Gaussians"),
        ({"to": "ply", "onto": "x"}, "onto: is for splats and for points or meshes of yours, not for ply"),
        ({"to": "coco", "split": 0}, "split: is for ply, glb, usd, laz, splats, not for coco"),
        ({"to": "ply", "split": 99}, "split: there is no level 99"),
        ({"to": "ply", "split": "0,1"}, "split: expected one level"),
        ({"to": "ply", "node": 10**9}, "node: there is no node 1000000000"),
        ({"to": "ply", "features": True}, "features: is for glb, not for ply"),
        ({"to": "glb", "faces": 3}, "faces: expected a whole number"),
        ({"to": "onto", "onto": "x", "distance": -1.0}, "distance: expected"),
        ({"to": "glb"}, "to: a segmentation without a run folder has no views"),
        ({"to": "glb", "colors": "red"}, "colors: expected one of photo, segments"),
    ],
)
def test_options_that_do_not_go_together(
    segmentation: uf.Segmentation, tmp_path: Path, options: dict[str, Any], expected: str
) -> None:
    with pytest.raises(ConfigError) as failure:
        segmentation.export(tmp_path / "out", **options)
    assert str(failure.value).startswith(expected)
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    ("name", "content", "expected"),
    [
        (
            "a.ply",
            b"ply\nformat ascii 1.0\nelement vertex 1\nproperty float x\nend_header\n1\n",
            "its vertices lack y, z",
        ),
        ("a.xyz", b"1 2\n", "expected a line of three numbers for each point"),
        ("a.las", b"LASF nonsense", "cannot be read"),
        ("a.npy", b"no array", "not a readable array"),
        ("a.glb", b"nonsense", "not readable as a 3D scene"),
        ("a.txt", b"x", "not a 3D scene that can be read"),
    ],
)
def test_files_that_labels_cannot_be_carried_to(
    segmentation: uf.Segmentation, tmp_path: Path, name: str, content: bytes, expected: str
) -> None:
    (tmp_path / name).write_bytes(content)
    with pytest.raises(SceneError, match=expected) as failure:
        segmentation.export(tmp_path / "out", onto=tmp_path / name, to="onto")
    assert str(failure.value).startswith(f"{tmp_path / name}: ")
    assert not (tmp_path / "out").exists()


def test_points_are_no_gaussians_and_arrays_have_three_columns(segmentation: uf.Segmentation, tmp_path: Path) -> None:
    segmentation.export(tmp_path / "points.ply")
    with pytest.raises(SceneError, match="no Gaussian splats; its vertices lack opacity, scale_0"):
        segmentation.export(tmp_path / "out", to="splats", onto=tmp_path / "points.ply")
    np.save(tmp_path / "flat.npy", np.zeros((3, 2)))
    with pytest.raises(SceneError, match=r"expected points \[P, 3\], found \[3, 2\]"):
        segmentation.export(tmp_path / "out", onto=tmp_path / "flat.npy")


@contextmanager
def small_files(size: int) -> Iterator[None]:
    """No file may become larger, as on a full disk."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


@pytest.mark.parametrize("to", ["ply", "laz", "glb", "usd", "png"])
@pytest.mark.parametrize("single", [False, True])
def test_a_full_disk_leaves_nothing(
    segmentation: uf.Segmentation, views: dict[str, Any], tmp_path: Path, to: Any, single: bool
) -> None:
    endings = {"ply": ".ply", "laz": ".laz", "glb": ".glb", "usd": ".usdc", "png": ""}
    out = tmp_path / "place" / (f"out{endings[to]}" if single else "out")
    with small_files(50), pytest.raises(OSError, match=r"(File too large|USD could not write)") as failure:
        segmentation.export(out, to=to, faces=1000, **views)
    assert failure.value.filename == str(out)
    assert os.listdir(tmp_path / "place") == []


def test_a_run_is_exported_by_the_command(tiny_run: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    run = shutil.copytree(tiny_run, tmp_path / "run")
    assert cli.main(["export", str(run), "--to", "png"]) == 0
    assert capsys.readouterr().out.strip().endswith(str(run / "exports" / "png"))
    legend = json.loads((run / "exports" / "png" / "legend.json").read_text())
    of_code = np.array([-1 if entry is None else entry["id"] for entry in legend.values()])
    from ultrafield.pipeline.folder import RunFolder

    stored = RunFolder(run).read_labels("val", "r_1").levels
    picture = read_image(run / "exports" / "png" / "level_0" / "val" / "r_1.png")
    assert np.array_equal(of_code[picture], stored.map(stored.shape[0] - 1))
    assert cli.main(["export", str(run), "--to", "png", "--out", str(tmp_path / "other"), "--level", "0", "0.5"]) == 0
    again = read_image(tmp_path / "other" / "level_0" / "val" / "r_1.png")
    codes = json.loads((tmp_path / "other" / "legend.json").read_text())
    assert np.array_equal(np.array([-1 if e is None else e["id"] for e in codes.values()])[again], of_code[picture])
    assert cli.main(["segment", str(run)]) == 0  # exports are no part of what stages made
    assert "done before with these settings, kept" in capsys.readouterr().err
    (run / "tree.npz").unlink()
    assert cli.main(["export", str(run), "--to", "ply"]) == 2
    (line,) = [line for line in capsys.readouterr().err.splitlines() if "error" in line]
    assert "tree.npz: missing; next: ultrafield segment" in line


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        ([], "--to: expected a format, or a file of yours with --onto"),
        (["--to", "splats"], "--onto: --to splats needs"),
        (["--to", "ply", "--level", "9"], "--level: there is no level 9"),
        (["--onto", "/no/such/file.ply"], "/no/such/file.ply: no such file"),
    ],
)
def test_wrong_commands_are_one_line(
    tiny_run: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], options: list[str], expected: str
) -> None:
    assert cli.main(["export", str(tiny_run), "--out", str(tmp_path / "out"), *options]) == 2
    (line,) = [line for line in capsys.readouterr().err.splitlines() if "error" in line]
    assert expected in line
    assert not (tmp_path / "out").exists()


def test_a_single_segment_and_very_many(tmp_path: Path) -> None:
    from ultrafield.surface import Surface

    def flat(count: int) -> Surface:
        points = np.random.default_rng(0).random((count, 3), np.float32)
        return Surface(
            points,
            np.zeros_like(points),
            np.zeros((count, 3), np.uint8),
            np.zeros((0, (count + 7) // 8), np.uint8),
            0.01,
        )

    one = uf.Segmentation(uf.Tree([0], [0], [1]), flat(1), np.zeros(1, np.float32))
    one.export(tmp_path / "one.ply")
    count = 100_000
    parents = np.append(np.full(count, count), [])
    chain = np.arange(count - 1)
    parents = np.concatenate([[count], count + chain, count + np.minimum(chain + 1, count - 2)]).astype(np.int64)
    heights = np.concatenate([np.zeros(count), np.full(count - 1, 1.0)]).astype(np.float32)
    sizes = np.concatenate([np.ones(count, np.int64), np.arange(2, count + 1)])
    many = uf.Segmentation(uf.Tree(parents, heights, sizes), flat(count), np.array([0.5, 1.0], np.float32))
    many.export(tmp_path / "many", to="ply", split="finest")
    listed = json.loads((tmp_path / "many" / "labels.json").read_text())
    assert [level["segments"] for level in listed["levels"]] == [1, count]
    assert len(listed["nodes"]) == count + 1
    assert not (tmp_path / "many" / "segments").exists()  # all of them are crumbs
