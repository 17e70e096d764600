"""Valid inputs of every kind for the small workspace: scenes of other layouts, masks in other forms, models, …"""

from __future__ import annotations

import io
import json
import random
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import damage  # noqa: F401 - puts tests/support on the path
import numpy as np
import own_masks
from damage_arrays import npy
from harness import make_network
from PIL import Image
from workspace import TRAINED

from ultrafield.masks import build_mask_set
from ultrafield.masks.write import write_packed_masks

sys.path.append(str(Path(__file__).parents[1] / "support"))
from exported import EXPORTERS

EXPORTS = {  # models of other programs, and the files of each that are damaged
    "colmap": "sparse/0/*.txt",
    "colmap-binary": "sparse/0/*.bin",
    "llff": "*.npy",
    "3dgs": "*.json",
    "metashape": "*.xml",
    "realitycapture": "*.csv",
    "polycam": "keyframes/cameras/*",
    "record3d": "*.json",
}
LONGER = "250"  # steps of a run that is interrupted


def furnish(folder: Path, *, stopped: bool = True) -> None:
    """Add to a workspace with a scene and a run what else can be read; a run that was interrupted only if asked for."""
    _capture(folder / "scene", folder / "capture")
    _partnet(folder / "scene", folder / "part")
    shutil.copytree(folder / "scene" / "train_seg", folder / "masks" / "train_seg")
    shutil.copytree(folder / "scene" / "train_seg", folder / "seg")
    _own_masks(folder / "scene", folder / "own")
    _models(folder / "models")
    _splats(folder / "splats.ply")
    for form in EXPORTS:
        place = folder / "exports" / form
        place.mkdir(parents=True)
        EXPORTERS[form](place)
    shutil.copytree(folder / "scene" / "train", folder / "photographs")
    _paths(folder / "scene", folder / "paths")
    _label_maps(folder / "vis" / "e", _size(folder / "scene"))
    _edits(folder)
    _tables(folder)
    if stopped:
        make_network(folder / "clip")
        _stopped(folder)


def _paths(scene: Path, folder: Path) -> None:
    """Camera paths: cameras as in transforms.json, and the same as nerfstudio's viewer saves them."""
    folder.mkdir()
    shutil.copyfile(scene / "transforms_train.json", folder / "frames.json")
    listed = json.loads((folder / "frames.json").read_text())["frames"][:2]
    cameras = [{"camera_to_world": sum(frame["transform_matrix"], []), "fov": 40.0} for frame in listed]  # noqa: RUF017
    shape = {"render_width": 24, "render_height": 16, "fps": 24, "camera_type": "perspective"}
    (folder / "nerfstudio.json").write_text(json.dumps(shape | {"camera_path": cameras}))
    frame = {"transform": [[1, 0, 0, 0], [0, 1, 0, 0], [0, 0, 1, 0]], "scale": 1.0}
    (folder / "frame.json").write_text(json.dumps(frame))


def _capture(scene: Path, target: Path) -> None:
    """The scene in nerfstudio's layout, with two lenses, masks of pixels to use, and lists of names."""
    shutil.copytree(scene / "train", target / "images")
    content, size = json.loads((scene / "transforms_train.json").read_text()), _size(scene)
    focal = 0.5 * size / np.tan(0.5 * content["camera_angle_x"])
    lens = {
        "fl_x": focal,
        "fl_y": focal,
        "cx": size / 2,
        "cy": size / 2,
        "w": size,
        "h": size,
        "camera_model": "OPENCV",
    }
    lens |= {"k1": 0.01, "k2": 0.0, "p1": 0.0, "p2": 0.0, "aabb_scale": 4, "applied_transform": np.eye(4)[:3].tolist()}
    frames = [
        {"file_path": f"images/{Path(frame['file_path']).name}.png", "transform_matrix": frame["transform_matrix"]}
        for frame in content["frames"]
    ]
    (target / "valid").mkdir()
    white = Image.new("L", (size, size), 255)
    white.paste(0, (0, 0, 3, 3))
    white.save(target / "valid" / "a.png")
    frames[0]["mask_path"] = "valid/a.png"
    frames[1] |= {"fl_x": focal, "k3": 0.001, "camera_model": "OPENCV"}
    names = [frame["file_path"] for frame in frames]
    lists = {"train_filenames": names[:3], "val_filenames": names[3:], "test_filenames": []}
    (target / "transforms.json").write_text(json.dumps({**lens, "frames": frames, **lists}))


def _partnet(scene: Path, target: Path) -> None:
    for index in range(4):
        view = target / f"view-{index:02d}"
        view.mkdir(parents=True)
        shutil.copyfile(scene / "train" / f"r_{index}.png", view / "shape-rgb.png")
        (view / "meta.txt").write_text(f"{40.0 * index} 20.0 0.0 1.3\n")
    ids = target / "seg"
    ids.mkdir()
    id_map(np.random.default_rng(0), _size(scene)).save(ids / "00.png")


def _size(scene: Path) -> int:
    """Width and height of the scene's pictures."""
    return Image.open(scene / "train" / "r_0.png").width


def id_map(rng: np.random.Generator, size: int) -> Image.Image:
    """A map of four ids in blocks."""
    blocks = rng.permutation(4).reshape(2, 2).astype(np.uint8)
    return Image.fromarray(np.kron(blocks, np.ones((size // 2, size // 2), np.uint8)))


def masks_in_form(place: Path, form: str, stem: str, rng: random.Random) -> Path:
    """Write masks of a view in one of the forms that are read, in place of its folder; the file."""
    folder = place / stem
    if folder.is_dir():
        shutil.rmtree(folder)
    ids = id_map(np.random.default_rng(rng.getrandbits(32)), _size(place.parent))
    values = np.asarray(ids)
    file = place / f"{stem}{form}"
    if form == ".npy":
        kinds = (values, values.astype(np.int64), values.astype(np.float32), values > 1)
        stack = values[None] == np.arange(1, 4)[:, None, None]
        file.write_bytes(npy(rng.choice((*kinds, stack, stack[:, None], stack.astype(np.uint8) * 255))))
    else:
        kinds = [ids, ids.convert("RGB"), Image.fromarray(values.astype(np.uint16) * 300)]
        colors = Image.fromarray(values).convert("P")
        colors.putpalette([31 * index % 256 for index in range(768)])
        stream, known = io.BytesIO(), {".jpg": "JPEG", ".tif": "TIFF"}
        picture = ids if form == ".jpg" else rng.choice([*kinds, colors])
        picture = picture.convert("RGB") if form == ".webp" else picture.convert("L") if form == ".bmp" else picture
        picture.save(stream, known.get(form, form[1:].upper()), **({"lossless": True} if form == ".webp" else {}))
        file.write_bytes(stream.getvalue())
    return file


def _own_masks(scene: Path, folder: Path) -> None:
    """The scene's masks in the forms of other tools, and packed."""
    size = _size(scene)
    views = {
        f"{view.name}.png": np.stack([np.asarray(Image.open(file)) > 127 for file in sorted(view.glob("*.png"))][:4])
        for view in sorted((scene / "train_seg").iterdir())
        if view.is_dir()
    }
    assert all(masks.shape[1:] == (size, size) for masks in views.values())
    own_masks.write_json(folder / "coco.json", own_masks.coco(views))
    own_masks.write_panoptic(folder, {name: own_masks.visible(masks) for name, masks in views.items()})
    for name, masks in views.items():
        own_masks.write_json(folder / "lists" / f"{name[:-4]}.json", own_masks.records(masks))
        (folder / "stacks").mkdir(exist_ok=True)
        np.savez(folder / "stacks" / f"{name[:-4]}.npz", masks=masks)
        write_packed_masks(folder / "packed", "train", name[:-4], build_mask_set(masks[masks.any((1, 2))]))
    np.savez(folder / "all.npz", **{name[:-4]: masks for name, masks in views.items()})


def _models(folder: Path) -> None:
    """A box with colours and one with a texture, in every format that trimesh writes by itself."""
    import trimesh

    folder.mkdir()
    box, ball = trimesh.creation.box((1, 1, 1)), trimesh.creation.icosphere(subdivisions=1, radius=0.5)
    ball.apply_translation([1.2, 0, 0])
    picture = Image.fromarray(np.random.default_rng(0).integers(0, 255, (8, 8, 3)).astype(np.uint8))
    uv = np.random.default_rng(1).random((len(box.vertices), 2))
    material = trimesh.visual.material.PBRMaterial(baseColorTexture=picture, normalTexture=picture)
    box.visual = trimesh.visual.TextureVisuals(uv, material=material)
    ball.visual.vertex_colors = np.random.default_rng(2).integers(0, 255, (len(ball.vertices), 4))
    scene = trimesh.Scene()
    scene.add_geometry(box, node_name="box", geom_name="box")
    scene.add_geometry(ball, node_name="ball", geom_name="ball", parent_node_name="box")
    (folder / "model.glb").write_bytes(scene.export(file_type="glb"))
    for name, content in scene.export(file_type="gltf").items():
        (folder / name).write_bytes(content)
    for name, content in trimesh.exchange.obj.export_obj(box, return_texture=True, mtl_name="box.mtl")[1].items():
        (folder / name).write_bytes(content)
    (folder / "model.obj").write_text(trimesh.exchange.obj.export_obj(box, mtl_name="box.mtl"))
    for kind in ("ply", "stl", "off"):
        content = ball.export(file_type=kind)
        (folder / f"model.{kind}").write_bytes(content.encode() if isinstance(content, str) else content)
    (folder / "ascii.ply").write_bytes(ball.export(file_type="ply", encoding="ascii"))


def _splats(file: Path) -> None:
    """Gaussians on a ball."""
    rng, names = np.random.default_rng(0), ["x", "y", "z", "opacity", "scale_0", "scale_1", "scale_2"]
    names += [f"rot_{index}" for index in range(4)] + [f"f_dc_{index}" for index in range(3)]
    points = rng.normal(size=(400, 3))
    points *= 0.5 / np.linalg.norm(points, axis=1, keepdims=True)
    rows = np.concatenate([points, np.full((400, 1), 4.0), np.full((400, 3), -3.0), rng.normal(size=(400, 7))], axis=1)
    header = "".join(f"property float {name}\n" for name in names)
    text = f"ply\nformat binary_little_endian 1.0\nelement vertex 400\n{header}end_header\n"
    file.write_bytes(text.encode() + rows.astype("<f4").tobytes())


def _label_maps(folder: Path, size: int) -> None:
    """Label maps as `3dseg.py` writes them, of a validation view and the rotated one."""
    rng = np.random.default_rng(0)
    for view in ("0", "1"):
        (folder / view).mkdir(parents=True)
        for threshold in ("0.010", "0.100", "0.500"):
            labels = np.kron(rng.integers(0, 9, (4, 4)), np.ones((size // 4, size // 4), np.int64))
            (folder / view / f"{threshold}.npy").write_bytes(npy(labels))


def _edits(folder: Path) -> None:
    """Edits of the run's tree, as a file."""
    from ultrafield.ultrametric.edits import EditedTree
    from ultrafield.ultrametric.file import load_tree, save_edits

    edited = EditedTree(load_tree(folder / "done" / "tree.npz"))
    edited.rename(0, "a leaf")
    edited.split(len(edited.original.parents) - 2)
    save_edits(folder / "edits.json", edited)


def _tables(folder: Path) -> None:
    """Names of nodes, words, and scenes of a batch."""
    (folder / "names.csv").write_text("node,name\n3,mug\n5,table\n4,red handle\n")
    (folder / "words.txt").write_text("mug\nhandle\nred box\n")
    rows = (
        "scene,name,engine,cuts,geometry.steps,allow-missing",
        "scene,one,both,5,20,yes",
        "part,two,,,,no",
        "seg,,,,,",
    )
    (folder / "scenes.csv").write_text("\n".join(rows) + "\n")


def _stopped(folder: Path) -> None:
    """A run that was interrupted while it trained, with its state."""
    steps = [*TRAINED]
    steps[3] = LONGER
    command = [sys.executable, "-m", "ultrafield", "train", "scene", "--out", "stopped", *steps]
    process = subprocess.Popen(command, cwd=folder, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    log = folder / "stopped" / "log.jsonl"
    while not (log.is_file() and log.read_text().count("\n") > 1) and process.poll() is None:
        time.sleep(0.02)
    process.send_signal(signal.SIGTERM)
    process.wait()
    assert (folder / "stopped" / "state.pt").is_file()
