from __future__ import annotations

import json
import re
import shutil
from collections import Counter
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import trimesh
from PIL import Image

from ultrafield.errors import ConfigError, SceneError
from ultrafield.reading import read_image
from ultrafield.synth import dataset as synthetic
from ultrafield.synth.dataset import SynthConfig, synthesize

TINY = SynthConfig(size=48, train_views=3, val_views=2, light_samples=4, sky_samples=4, supersampling=1)


def write_source(path: Path) -> Path:
    """Two groups of boxes: a stack of two and one beside it."""
    scene = trimesh.Scene()
    for node, at in (("a/x/1", (0, 0, 0)), ("a/x/2", (0, 0, 1)), ("a/y/1", (1.5, 0, 0)), ("b/z/1", (0, 1.6, 0.2))):
        box = trimesh.creation.box()
        box.visual.vertex_colors = [200, int(60 * at[0]), 50, 255]
        scene.add_geometry(box, node_name=node, transform=trimesh.transformations.translation_matrix(at))
    scene.export(path)
    return path


@pytest.fixture(scope="module")
def source(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_source(tmp_path_factory.mktemp("source") / "boxes.glb")


@pytest.fixture(scope="module")
def dataset(source: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("data") / "boxes"
    synthesize(source, out, replace(TINY, up="z"), progress=False)
    return out


def load(dataset: Path, split: str) -> dict[str, np.ndarray]:
    with np.load(dataset / "exact" / f"{split}.npz") as archive:
        return dict(archive)


def patterns(root: Path) -> set[str]:
    """Kinds of files below a folder: view and mask numbers are replaced."""
    files = (file.relative_to(root).as_posix() for file in root.rglob("*") if file.is_file())
    return {re.sub(r"/\d+\.png", "/J.png", re.sub(r"r_\d+", "r_N", file)) for file in files}


def test_files_are_those_of_a_published_scene(dataset: Path, pickplace: Path) -> None:
    published = {item for item in patterns(pickplace) if not item.endswith("metadata.csv")}
    # The published folder has leftovers for views that do not exist; only kinds of files are compared.
    assert patterns(dataset) == published


def test_arrays_have_the_published_keys_and_types(dataset: Path, pickplace: Path) -> None:
    for split, views in (("train", 3), ("val", 2), ("val_rotate", 2)):
        ours, theirs = load(dataset, split), load(pickplace, split)
        assert {key: array.dtype for key, array in ours.items()} == {key: array.dtype for key, array in theirs.items()}
        assert ours["part"].shape == ours["depth"].shape == (views, 48, 48)
        assert ours["c2w"].shape == (views, 4, 4)
    for file in ("gt_seg/val/r_0_seg_objects.tif", "val_depth/r_0_depth.png", "val_visible/r_0.png", "val/r_0.png"):
        ours, theirs = read_image(dataset / file), read_image(pickplace / file)
        assert (ours.ndim, ours.shape[2], ours.dtype) == (theirs.ndim, theirs.shape[2], theirs.dtype)


def test_tree_has_the_published_form(dataset: Path, pickplace: Path) -> None:
    ours, theirs = (json.loads((root / "tree.json").read_text()) for root in (dataset, pickplace))
    assert set(ours) == set(theirs)
    assert set(ours["nodes"][0]) == set(theirs["nodes"][0])
    assert [node["name"] for node in ours["nodes"] if node["level"] == "part"] == ["a/x/1", "a/x/2", "a/y/1", "b/z/1"]


def test_ids_agree_between_files(dataset: Path) -> None:
    groups = {1: (1, 1), 2: (1, 1), 3: (2, 1), 4: (3, 2)}
    for split in ("train", "val", "val_rotate"):
        exact = load(dataset, split)
        for index, part in enumerate(exact["part"]):
            objects = read_image(dataset / "gt_seg" / split / f"r_{index}_seg_objects.tif")
            collections = read_image(dataset / "gt_seg" / split / f"r_{index}_seg_collections.tif")
            for channel in range(3):
                np.testing.assert_array_equal(objects[..., channel], part)
                np.testing.assert_array_equal(collections[..., channel], exact["object"][index])
            for number, (object_id, group) in groups.items():
                assert set(np.unique(exact["object"][index][part == number])) <= {object_id}
                assert set(np.unique(exact["group"][index][part == number])) <= {group}
        assert set(np.unique(exact["part"])) == {0, 1, 2, 3, 4}


def test_depth_pictures_follow_the_published_formula(dataset: Path) -> None:
    depth = load(dataset, "val")["depth"]
    for index, exact in enumerate(depth):
        code = read_image(dataset / "val_depth" / f"r_{index}_depth.png")[..., 0].astype(float)
        seen = exact > 0
        np.testing.assert_allclose(8 * (1 - code[seen] / 256), exact[seen], atol=8 / 512 + 1e-5)
        assert (code[~seen] == 0).all()


def test_cameras(dataset: Path) -> None:
    poses = {}
    for split in ("train", "val", "val_rotate"):
        transforms = json.loads((dataset / f"transforms_{split}.json").read_text())
        poses[split] = np.array([frame["transform_matrix"] for frame in transforms["frames"]])
        np.testing.assert_array_equal(poses[split], load(dataset, split)["c2w"])
        np.testing.assert_allclose(np.linalg.norm(poses[split][:, :3, 3], axis=1), 4.031128)
        assert transforms["frames"][0]["file_path"] == f"./{split}/r_0"
        assert transforms["camera_angle_x"] == 0.6911112070083618
    turn = poses["val_rotate"] @ np.linalg.inv(poses["val"])
    np.testing.assert_allclose(turn[:, 2], np.tile([0, 0, 1, 0], (2, 1)), atol=1e-12)
    angle = np.degrees(np.abs(np.arctan2(turn[:, 1, 0], turn[:, 0, 0])))
    assert ((angle >= 15) & (angle <= 30)).all()


def test_cameras_stand_in_a_sector(source: Path, tmp_path: Path) -> None:
    synthesize(source, tmp_path / "out", replace(TINY, size=16, train_views=8, arc=60.0), progress=False)
    for split in ("train", "val"):
        place = load(tmp_path / "out", split)["c2w"][:, :3, 3]
        away = np.degrees(np.arctan2(place[:, 0], -place[:, 1]))  # from -y
        assert (np.abs(away) <= 30 + 1e-6).all()
    away = np.degrees(np.arctan2(*(load(tmp_path / "out", "train")["c2w"][:, :2, 3] * [1, -1]).T))
    assert np.ptp(away) > 40  # across the sector, not in one place


def test_the_scene_fits_the_box_and_every_picture(dataset: Path) -> None:
    for split in ("train", "val", "val_rotate"):
        exact = load(dataset, split)
        border = np.concatenate([exact["part"][:, [0, -1]].ravel(), exact["part"][:, :, [0, -1]].ravel()])
        assert (border == 0).all()
        for depth, c2w in zip(exact["depth"], exact["c2w"], strict=True):
            rows, columns = np.nonzero(depth)
            focal = 24 / np.tan(0.5 * 0.6911112070083618)
            local = np.stack([(columns - 23.5) / focal, -(rows - 23.5) / focal, -np.ones(len(rows))], axis=1)
            points = (depth[rows, columns, None] * local) @ c2w[:3, :3].T + c2w[:3, 3]
            assert np.abs(points * 1.5 / 4.031128).max() < 0.5


def test_masks_come_with_their_origin(dataset: Path) -> None:
    origins = json.loads((dataset / "exact" / "mask_origin.json").read_text())
    assert Counter(key.split("/")[0] for key in origins) == {"train_seg": 3, "train_seg_clean": 3, "val_seg": 2}
    tree = json.loads((dataset / "tree.json").read_text())
    parts = {node["name"]: node["parts"] for node in tree["nodes"]}
    truth = load(dataset, "train")["part"]
    for key, names in origins.items():
        files = sorted((dataset / key).iterdir())
        assert len(files) == len(names) > 0
        for number, name in enumerate(names):
            mask = read_image(dataset / key / f"{number}.png") > 0
            assert mask.sum() >= 20
            if key.startswith("train_seg_clean"):
                view = int(key.rsplit("_", 1)[1])
                np.testing.assert_array_equal(mask, np.isin(truth[view], parts[name]))


def test_visible_pixels_show_something(dataset: Path) -> None:
    for ending, split in (("", "val"), ("_rotate", "val_rotate")):
        for index, part in enumerate(load(dataset, split)["part"]):
            visible = read_image(dataset / "val_visible" / f"r_{index}{ending}.png")[..., 0] > 0
            assert not visible[part == 0].any()
            assert 0.3 < visible[part > 0].mean() < 1


def test_same_seed_same_bytes_and_other_seed_others(source: Path, dataset: Path, tmp_path: Path) -> None:
    config = replace(TINY, up="z", threads=1)
    synthesize(source, tmp_path / "same", config, progress=False)
    synthesize(source, tmp_path / "other", replace(config, seed=1), progress=False)
    for file in ("train/r_0.png", "train_seg/r_0/0.png", "transforms_train.json", "exact/mask_origin.json"):
        assert (tmp_path / "same" / file).read_bytes() == (dataset / file).read_bytes()
        assert (tmp_path / "other" / file).read_bytes() != (dataset / file).read_bytes()


def test_our_readers_read_it(dataset: Path) -> None:
    from ultrafield.scene import load_ground_truth, load_scene

    scene = load_scene(dataset, progress=False)
    assert {name: len(split) for name, split in scene.splits.items()} == {"train": 3, "val": 2, "val_rotate": 2}
    assert scene.has_masks
    truth = load_ground_truth(scene, "val")
    np.testing.assert_array_equal(truth.parts, load(dataset, "val")["part"])
    assert truth.depth_exact


def test_built_in_scene(tmp_path: Path) -> None:
    synthesize(None, tmp_path / "demo", replace(TINY, train_views=1, val_views=1), progress=False)
    tree = json.loads((tmp_path / "demo" / "tree.json").read_text())
    assert tree["scene"] == "still_life"
    assert sum(node["level"] == "part" for node in tree["nodes"]) >= 25


def textured(path: Path) -> Path:
    """Four balls with copies of one picture, red above and blue below, and a picture that is not used."""
    picture = np.zeros((64, 64, 3), np.uint8)
    picture[:32], picture[32:] = (220, 30, 30), (30, 30, 220)
    scene = trimesh.Scene()
    for index in range(4):
        ball = trimesh.creation.uv_sphere(count=[24, 24])
        z = ball.vertices[:, 2]
        material = trimesh.visual.material.PBRMaterial(
            baseColorTexture=Image.fromarray(picture), normalTexture=Image.fromarray(picture[::-1].copy())
        )
        uv = np.stack([np.full(len(z), 0.5), 0.02 + 0.96 * (z > 0)], axis=1)
        ball.visual = trimesh.visual.TextureVisuals(uv=uv, material=material)
        place = trimesh.transformations.translation_matrix([2.2 * (index % 2), 2.2 * (index // 2), 0])
        scene.add_geometry(ball, node_name=f"balls/{index}", transform=place)
    scene.export(path)
    return path


def test_textures_are_the_same_in_any_number_of_threads(tmp_path: Path) -> None:
    source = textured(tmp_path / "balls.glb")
    for threads in (1, 8):
        options = replace(TINY, train_views=8, threads=threads, up="z", lowest=20)
        synthesize(source, tmp_path / str(threads), options, progress=False)
    for index in range(8):
        first, second = (read_image(tmp_path / name / "train" / f"r_{index}.png") for name in ("1", "8"))
        np.testing.assert_array_equal(first, second)
        red, blue = (first[..., one].astype(int) - first[..., other] > 40 for one, other in ((0, 2), (2, 0)))
        rows = np.arange(48)[:, None]
        assert red.sum() > 20
        assert blue.sum() > 20
        assert (rows * red).sum() / red.sum() < (rows * blue).sum() / blue.sum()


@pytest.mark.parametrize("name", ["controller_a", "controller_b"])
def test_models_of_a_public_package(glb: Path, tmp_path: Path, name: str) -> None:
    options = replace(TINY, size=64, threads=4)
    synthesize(glb / f"{name}.glb", tmp_path / "out", options, progress=False)
    image = read_image(tmp_path / "out" / "train" / "r_0.png")
    inside = image[..., 3] == 255
    assert 400 < inside.sum() < 2000
    assert 10 < image[inside][:, :3].mean() < 100  # black plastic
    assert len(np.unique(load(tmp_path / "out", "train")["part"])) > 4


def test_more_than_255_parts_take_sixteen_bits(tmp_path: Path) -> None:
    scene = trimesh.Scene()
    tile = trimesh.creation.box((0.9, 0.9, 0.2))
    for index in range(300):
        at = trimesh.transformations.translation_matrix([index % 20, index // 20, 0])
        scene.add_geometry(tile, node_name=f"floor/row{index // 20}/tile{index}", transform=at)
    scene.export(tmp_path / "tiles.glb")
    config = replace(TINY, train_views=1, val_views=1, size=64, up="z", lowest=60, highest=80)
    synthesize(tmp_path / "tiles.glb", tmp_path / "out", config, progress=False)
    assert read_image(tmp_path / "out" / "gt_seg" / "train" / "r_0_seg_objects.tif").dtype == np.uint16
    exact = load(tmp_path / "out", "train")
    assert exact["part"].dtype == np.uint16
    assert exact["part"].max() > 255


def test_folder_that_is_not_empty(dataset: Path, source: Path, tmp_path: Path) -> None:
    with pytest.raises(SceneError, match="folder exists and is not empty"):
        synthesize(source, dataset, TINY, progress=False)
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "thesis.tex").touch()
    with pytest.raises(SceneError, match="not a dataset written by synth"):
        synthesize(source, tmp_path / "mine", TINY, overwrite=True, progress=False)
    assert (tmp_path / "mine" / "thesis.tex").exists()
    (tmp_path / "file").touch()
    with pytest.raises(SceneError, match="exists and is not a folder"):
        synthesize(source, tmp_path / "file", TINY, progress=False)


def test_overwrite_replaces_a_dataset(source: Path, tmp_path: Path) -> None:
    config = replace(TINY, val_views=1)
    synthesize(source, tmp_path / "out", config, progress=False)
    synthesize(source, tmp_path / "out", replace(config, train_views=1), overwrite=True, progress=False)
    assert [file.name for file in (tmp_path / "out" / "train").iterdir()] == ["r_0.png"]


@pytest.mark.parametrize("name", ["notes.txt", "train/r_0.jpg", "run/config.json", "train_seg/r_0/metadata.csv"])
def test_overwrite_keeps_datasets_with_other_files(dataset: Path, source: Path, tmp_path: Path, name: str) -> None:
    out = tmp_path / "out"
    shutil.copytree(dataset, out)
    (out / name).parent.mkdir(exist_ok=True)
    (out / name).touch()
    with pytest.raises(SceneError, match=f"{name}: not a file that is written here"):
        synthesize(source, out, TINY, overwrite=True, progress=False)
    assert len(list(out.rglob("*"))) >= len(list(dataset.rglob("*"))) + 1


def test_what_a_killed_process_left_goes_with_the_next(source: Path, tmp_path: Path) -> None:
    left = tmp_path / ".made.0123abcd.tmp"
    for name in ("clean/train_seg/.r_1.9876fedc.tmp/0.png", "train/r_0.png", "clean/val_seg_hierarchy/r_0_same.npy"):
        (left / name).parent.mkdir(parents=True, exist_ok=True)
        (left / name).write_bytes(b"")
    synthesize(source, tmp_path / "made", TINY, progress=False)
    assert sorted(entry.name for entry in tmp_path.iterdir() if entry.name.startswith(".")) == []


def test_overwrite_replaces_only_what_synth_made(dataset: Path, source: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    shutil.copytree(dataset, out)
    (tmp_path / "link").symlink_to(out)
    with pytest.raises(SceneError, match="exists and is not a folder"):
        synthesize(source, tmp_path / "link", TINY, overwrite=True, progress=False)
    (out / "tree.json").write_text((out / "tree.json").read_text().replace('"ultrafield"', '"blender"'))
    with pytest.raises(SceneError, match="not a dataset written by synth"):
        synthesize(source, out, TINY, overwrite=True, progress=False)


def test_an_interrupt_leaves_nothing(source: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupted(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(synthetic, "visible_from", interrupted)
    with pytest.raises(KeyboardInterrupt):
        synthesize(source, tmp_path / "out", TINY, progress=False)
    assert list(tmp_path.iterdir()) == []


def test_a_point_is_not_a_scene(tmp_path: Path) -> None:
    file = tmp_path / "point.obj"
    file.write_text("v 1 1 1\nv 1 1 1\nv 1 1 1\nf 1 2 3\n")
    with pytest.raises(SceneError, match=r"point\.obj: no triangle in it has an area"):
        synthesize(file, tmp_path / "out", TINY, progress=False)
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    ("values", "text"),
    [
        ({"size": 4}, "size: expected a whole number from 16 to 8192, got 4"),
        ({"train_views": 0}, "train_views: expected a whole number from 1 to 10000, got 0"),
        ({"mask_noise": -1.0}, "mask_noise: expected a number from 0 to 10, got -1.0"),
        ({"seed": -1}, "seed: expected a whole number from 0 to 9223372036854775807, got -1"),
        ({"lowest": float("nan")}, "lowest: expected a number from -89 to 89, got nan"),
        ({"up": "x"}, "up: expected one of auto, y, z, got 'x'"),
        ({"arc": 0.0}, "arc: expected a number from 1 to 360, got 0"),
        ({"least_turn": 31.0}, r"least_turn: expected at most most_turn \(30\), got 31"),
        ({"lowest": 50.0, "highest": 20.0}, r"lowest: expected at most highest \(20\), got 50"),
    ],
)
def test_settings_out_of_range(values: dict[str, float], text: str) -> None:
    with pytest.raises(ConfigError, match=text):
        SynthConfig(**values)
