"""Malformed models: one error that names the file, whatever is wrong with it."""

from __future__ import annotations

import json
import os
import struct
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import trimesh
from mutations import mutated
from PIL import Image

from ultrafield.errors import SceneError
from ultrafield.models import load_model, read_vertices
from ultrafield.models.load import _check_archive
from ultrafield.surface.mesh import read_mesh, sample_colors, sample_mesh
from ultrafield.synth.scene_graph import read_model

POINTS = np.array([[0, 0, 0], [1, 0, 0], [0, 1, 0], [0, 0, 1]], "<f4")
FACES = np.array([[0, 1, 2], [0, 1, 3]], "<u4")
OBJ = "mtllib {mtl}\no a\nusemtl m\n" + "".join(f"v {x} {y} {z}\n" for x, y, z in POINTS)
OBJ += "vt 0 0\nvt 1 0\nvt 0 1\nf 1/1 2/2 3/3\nf 1/1 2/2 4/3\n"


def tree(**changes: Any) -> dict[str, Any]:
    """The JSON of a glTF file of two triangles."""
    content: dict[str, Any] = {
        "asset": {"version": "2.0"},
        "scene": 0,
        "scenes": [{"nodes": [0]}],
        "nodes": [{"mesh": 0, "name": "a"}],
        "meshes": [{"primitives": [{"attributes": {"POSITION": 0}, "indices": 1}]}],
        "buffers": [{"byteLength": 72}],
        "bufferViews": [{"buffer": 0, "byteLength": 48}, {"buffer": 0, "byteOffset": 48, "byteLength": 24}],
        "accessors": [
            {"bufferView": 0, "componentType": 5126, "count": 4, "type": "VEC3"},
            {"bufferView": 1, "componentType": 5125, "count": 6, "type": "SCALAR"},
        ],
    }
    return content | changes


def glb(points: np.ndarray = POINTS, faces: np.ndarray = FACES, **changes: Any) -> bytes:
    text = json.dumps(tree(**changes)).encode()
    text += b" " * (-len(text) % 4)
    body = points.astype("<f4").tobytes() + faces.astype("<u4").tobytes()
    header = struct.pack("<4sII", b"glTF", 2, 12 + 8 + len(text) + 8 + len(body))
    return header + struct.pack("<I4s", len(text), b"JSON") + text + struct.pack("<I4s", len(body), b"BIN\0") + body


def naming(uri: str) -> bytes:
    """A glTF file whose buffer is in another one."""
    return json.dumps(tree(buffers=[{"byteLength": 72, "uri": uri}])).encode()


def accessor(**changes: Any) -> list[dict[str, Any]]:
    first, second = tree()["accessors"]
    return [{key: value for key, value in (first | changes).items() if value is not None}, second]


def chain(count: int) -> list[dict[str, Any]]:
    return [{"children": [index + 1]} for index in range(count)] + [{"mesh": 0}]


def below_no_mesh() -> bytes:
    """A node below one whose mesh has a mode that does not exist."""
    primitive = tree()["meshes"][0]["primitives"][0]
    meshes = [{"name": "box", "primitives": [primitive | {"mode": "x"}]}, {"name": "ball", "primitives": [primitive]}]
    return glb(meshes=meshes, nodes=[{"name": "box", "children": [1], "mesh": 0}, {"name": "ball", "mesh": 1}])


MODELS: list[tuple[str, bytes, str]] = [
    ("a.glb", below_no_mesh(), "node 'ball' is not part of the scene"),
    ("a.glb", b"", "does not begin with 'glTF'"),
    ("a.glb", glb()[:100], "is cut short: it has 100 bytes of "),
    ("a.glb", glb().replace(b"\2\0\0\0", b"\1\0\0\0", 1), "glTF version 1; only 2 can be read"),
    ("a.glb", glb().replace(b"JSON", b"TEXT", 1), "its first chunk is not JSON"),
    ("a.glb", glb(accessors=accessor(count=10**12)), "accessor 0 declares 1000000000000 elements, more than the file"),
    ("a.glb", glb(accessors=accessor(count=3 * 10**8, bufferView=None)), "accessor 0 declares 300000000 elements"),
    ("a.glb", glb(accessors=accessor(count=-1)), "accessor 0 cannot be read"),
    ("a.glb", glb(accessors=accessor(bufferView=7)), "accessor 0 cannot be read"),
    ("a.glb", glb(nodes=[{"children": [1]}, {"children": [0], "mesh": 0}]), "lies below itself"),
    ("a.glb", glb(nodes=[{"mesh": 0}, {"children": [0, 0]}]), "node 0 has two parents"),
    ("a.glb", glb(nodes=[{"mesh": 0, "children": [9]}]), "node 0 names a child that does not exist"),
    ("a.glb", glb(nodes=chain(400)), "lies more than 250 levels deep"),
    ("a.glb", glb(faces=FACES + 7), "a triangle has a vertex that does not exist"),
    ("a.glb", glb(np.where(POINTS > 0, np.nan, POINTS)), "mesh 'a': a vertex is not finite"),
    ("a.glb", glb(POINTS * 3e38), "mesh 'a': a vertex lies farther than 1e+30 from the origin"),
    ("a.glb", glb(nodes=[{"mesh": 0, "scale": [0, 0, 0]}]), "no triangle in it has an area"),
    ("a.glb", glb(nodes=[{"mesh": 0, "matrix": [1, 2]}]), "not readable as a 3D scene"),
    ("a.glb", glb(extensionsRequired=["KHR_draco_mesh_compression"]), "export it without compression"),
    ("a.gltf", b"[" * 100_000, "its JSON cannot be read"),
    ("a.gltf", b'{"asset":' + b"9" * 6000 + b"}", "its JSON cannot be read"),
    ("a.gltf", b"[]", "its JSON is no object"),
    ("a.gltf", naming("../a.bin"), "not in the model's folder"),
    (
        "a.gltf",
        naming("/dev/zero"),
        "not in the model's folder",
    ),
    (
        "a.gltf",
        naming("http://x/y"),
        "not in the model's folder",
    ),
    ("a.gltf", naming("link.bin"), "not in the model's folder"),
    ("a.gltf", naming("fifo"), "fifo: expected a file"),
    (
        "a.gltf",
        naming("a%20b"),
        "a b: expected a file, but it is a folder",
    ),
    ("a.obj", OBJ.format(mtl="fifo").encode(), "fifo: expected a file"),
    ("a.obj", OBJ.format(mtl="fifo.mtl").encode(), "fifo: expected a file"),
    ("a.obj", OBJ.format(mtl="cut.mtl").encode(), "its colours or texture cannot be used (it cannot be decoded"),
    ("a.obj", b"v 0 0 0\nv 1 0 0\nv 0 1 0\nf 1 2 4000000000\n", "not readable as a 3D scene"),
    ("a.obj", b"v 0 0 0\nv 1e300 0 0\nv 0 1e300 0\nf 1 2 3\n", "a vertex lies farther than 1e+30 from the origin"),
    ("a.obj", b"v 0 0 0\nv 1 0 0\nv 2 0 0\nf 1 2 3\n", "no triangle in it has an area"),
    ("a.obj", b"v 1 1 1\nf 1 1 1\n", "no triangle in it has an area"),
    ("a.obj", b"v 0 0\nv 1 0\nv 0 1\nf 1 2 3\n", "expected vertices of 3 coordinates, got"),
    ("a.obj", bytes(range(256)) * 9, "nothing in it has faces"),
    ("a.off", b"OFF\n1000000000000 1 0\n0 0 0\n3 0 1 2\n", "not readable as a 3D scene"),
    ("a.xyz", b"0 0 0\n1 1 1\n", "nothing in it has faces"),
    ("a.stl", b"\0" * 80 + struct.pack("<I", 10**9) + b"\0" * 100, "nothing in it has faces"),
    ("a.zip", b"PK\3\4", "not a 3D scene that can be read; expected one of ."),
    ("a", b"", "not a 3D scene that can be read; expected one of ."),
]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A folder with what the models name, good and bad."""
    (tmp_path / "in" / "a b").mkdir(parents=True)
    os.mkfifo(tmp_path / "in" / "fifo")
    (tmp_path / "a.bin").write_bytes(POINTS.tobytes() + FACES.tobytes())
    (tmp_path / "in" / "link.bin").symlink_to(tmp_path / "a.bin")
    (tmp_path / "in" / "fifo.mtl").write_text("newmtl m\nmap_Kd fifo\n")
    (tmp_path / "in" / "cut.mtl").write_text("newmtl m\nmap_Kd cut.png\n")
    Image.fromarray(np.zeros((99, 99, 3), np.uint8)).save(tmp_path / "whole.png")
    (tmp_path / "in" / "cut.png").write_bytes((tmp_path / "whole.png").read_bytes()[:70])
    return tmp_path / "in"


@pytest.mark.parametrize(("name", "content", "message"), MODELS, ids=[f"{m[:30]}" for _, _, m in MODELS])
def test_a_malformed_model_is_one_error_that_names_it(folder: Path, name: str, content: bytes, message: str) -> None:
    (folder / name).write_bytes(content)
    with pytest.raises(SceneError) as caught:
        read_model(folder / name)
    text = str(caught.value)
    assert text.startswith(str(folder / name))
    assert message in text
    assert "\n" not in text


@pytest.mark.usefixtures("little_memory")
def test_files_too_large_are_refused(folder: Path) -> None:
    with open(folder / "a.obj", "wb") as file:
        file.truncate(40 << 20)
    with pytest.raises(SceneError, match=r"a\.obj: takes 42 MB, more than 34"):
        load_model(folder / "a.obj")
    with open(folder / "large.mtl", "wb") as file:
        file.truncate(40 << 20)
    (folder / "a.obj").write_text(OBJ.format(mtl="large.mtl"))
    with pytest.raises(SceneError, match=r"a\.obj: .*large\.mtl: takes 42 MB"):
        load_model(folder / "a.obj")


@pytest.mark.usefixtures("little_memory")
def test_archives_are_measured_before_they_are_unpacked(tmp_path: Path) -> None:
    from zipfile import ZIP_DEFLATED, ZipFile

    with ZipFile(tmp_path / "a.3mf", "w", ZIP_DEFLATED) as archive:
        archive.writestr("3dmodel.model", bytes(60 << 20))
    with pytest.raises(ValueError, match="takes 63 MB once unpacked"):
        _check_archive((tmp_path / "a.3mf").read_bytes())
    with pytest.raises(ValueError, match="no archive that can be read"):
        _check_archive(b"PK\3\4")


@pytest.mark.usefixtures("little_memory")
def test_too_many_triangles_are_refused(tmp_path: Path) -> None:
    grid = np.arange(200 * 1000).reshape(200, 1000)
    faces = np.stack([grid[:-1, :-1], grid[1:, :-1], grid[1:, 1:]], axis=-1).reshape(-1, 3)
    points = np.stack([*np.divmod(np.arange(200 * 1000), 1000), np.zeros(200 * 1000)], axis=1)
    trimesh.Trimesh(points, np.concatenate([faces, faces[:, ::-1]]), process=False).export(tmp_path / "a.stl")
    with pytest.raises(SceneError, match=r"a\.stl: 397602 triangles, more than 3\d{5}; a larger --memory raises"):
        read_model(tmp_path / "a.stl")


@pytest.mark.parametrize("name", ["../../m.mtl", "m.mtl", r"C:\\stuff\\m.mtl", "missing.mtl"])
def test_files_beside_a_model_are_found_by_their_names(folder: Path, name: str) -> None:
    Image.fromarray(np.full((4, 4, 3), (200, 100, 0), np.uint8)).save(folder / "red paint.png")
    (folder / "m.mtl").write_text("newmtl m\nmap_Kd /home/someone/red%20paint.png\n")
    (folder / "a.obj").write_text(OBJ.format(mtl=name))
    colors = read_model(folder / "a.obj").textures[1].image[0, 0].tolist()
    assert (colors == [200, 100, 0]) == (name != "missing.mtl")


@pytest.mark.parametrize("name", ["²", "½x", "٣", "a\x01\x1b[31m", "9" * 5000, "x" * 9000])
def test_names_of_all_kinds(folder: Path, name: str) -> None:
    (folder / "a.obj").write_text(OBJ.format(mtl="m").replace("o a\n", f"o {name}\n"))
    parts = [node.name for node in read_model(folder / "a.obj").nodes if node.level == "part"]
    assert len(parts) == 1


def test_latin_names(folder: Path) -> None:
    (folder / "a.obj").write_bytes(OBJ.format(mtl="m").replace("o a\n", "o Stühle\n").encode("latin-1"))
    assert any("Stühle" in node.name for node in read_model(folder / "a.obj").nodes)


def formats() -> dict[str, bytes]:
    """A small model with a texture, colours and a hierarchy, in every format."""
    rng = np.random.default_rng(0)
    ball = trimesh.creation.icosphere(subdivisions=1)
    textured, colored = ball.copy(), ball.copy()
    material = trimesh.visual.material.PBRMaterial(
        baseColorTexture=Image.fromarray(rng.integers(0, 255, (8, 8, 3), np.uint8)), roughnessFactor=0.3
    )
    textured.visual = trimesh.visual.TextureVisuals(uv=rng.random((len(ball.vertices), 2)), material=material)
    colored.visual.vertex_colors = rng.integers(0, 255, (len(ball.vertices), 4), np.uint8)
    scene = trimesh.Scene()
    scene.add_geometry(textured, node_name="a/b/c")
    scene.add_geometry(colored, node_name="d", transform=trimesh.transformations.translation_matrix([3, 0, 0]))
    return {
        "a.glb": scene.export(file_type="glb"),
        "a.gltf": naming("a.bin"),
        "a.obj": trimesh.exchange.obj.export_obj(colored).encode(),
        "t.obj": OBJ.format(mtl="m.mtl").encode(),
        "a.ply": colored.export(file_type="ply"),
        "t.ply": colored.export(file_type="ply", encoding="ascii"),
        "a.stl": ball.export(file_type="stl"),
        "a.off": ball.export(file_type="off").encode(),
    }


def check_reader(read: Callable[[Path], object], file: Path) -> bool:
    """Whether a file was read; otherwise it was refused as it must be."""
    text = None
    try:
        read(file)
    except SceneError as error:
        text = str(error)
    assert text is None or (text.startswith(str(file)) and "\n" not in text and len(text) < 500), text
    return text is None


def sampled(file: Path) -> None:
    mesh = read_mesh(file)
    sample_colors(mesh, sample_mesh(mesh, 50))


@pytest.mark.parametrize("name", formats())
def test_damaged_models_are_read_or_refused(tmp_path: Path, name: str) -> None:
    content, file, rng = formats()[name], tmp_path / name, np.random.default_rng(1)
    (tmp_path / "a.bin").write_bytes(POINTS.tobytes() + FACES.tobytes())
    (tmp_path / "m.mtl").write_text("newmtl m\nKd 1 0.5 0\nmap_Kd t.png\n")
    Image.fromarray(rng.integers(0, 255, (8, 8, 3), np.uint8)).save(tmp_path / "t.png")
    file.write_bytes(content)
    assert check_reader(read_model, file)
    assert check_reader(sampled, file)
    refused = 0
    for _ in range(60):
        file.write_bytes(mutated(content, rng))
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            refused += not check_reader(read_model, file)
            check_reader(sampled, file)
    assert refused > 5


@pytest.mark.parametrize("encoding", ["binary", "ascii"])
def test_damaged_ply_vertices_are_read_or_refused(tmp_path: Path, encoding: str) -> None:
    cloud, rng = trimesh.creation.icosphere(subdivisions=1), np.random.default_rng(2)
    content, file = cloud.export(file_type="ply", encoding=encoding), tmp_path / "a.ply"
    refused = 0
    for _ in range(300):
        file.write_bytes(mutated(content, rng))
        refused += not check_reader(read_vertices, file)
    assert 50 < refused < 300
