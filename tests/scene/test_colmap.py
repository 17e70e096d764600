"""COLMAP's models: against COLMAP itself, pictures of any size, several models, and files that cannot be used."""

from __future__ import annotations

import re
import shutil
import struct
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from exported import NAMES, colmap_binary, colmap_text, write_pictures

from ultrafield.cameras import Lens, project
from ultrafield.errors import SceneError
from ultrafield.scene import load_scene
from ultrafield.scene.colmap_files import read_cameras, read_images

MODELS = (
    *("SIMPLE_PINHOLE", "PINHOLE", "SIMPLE_RADIAL", "RADIAL", "OPENCV", "FULL_OPENCV", "OPENCV_FISHEYE", "FOV"),
    *("SIMPLE_RADIAL_FISHEYE", "RADIAL_FISHEYE", "THIN_PRISM_FISHEYE", "RAD_TAN_THIN_PRISM_FISHEYE"),
    *("SIMPLE_DIVISION", "DIVISION", "SIMPLE_FISHEYE", "FISHEYE", "EUCM"),
)


def silent(_: str) -> None:
    """Not told."""


@pytest.fixture
def model(tmp_path: Path) -> Path:
    """A scene folder with a model in text files."""
    root = tmp_path / "scene"
    root.mkdir()
    colmap_text(root)
    return root


def synthetic(root: Path, **options: object) -> object:
    """A model that COLMAP makes up, with pictures beside it; returns COLMAP's own reading of it."""
    pycolmap = pytest.importorskip("pycolmap")
    pycolmap.set_random_seed(1)
    settings = pycolmap.SyntheticDatasetOptions(num_points3D=60, camera_width=64, camera_height=48)
    for name, value in options.items():
        setattr(settings, name, value)
    reconstruction = pycolmap.synthesize_dataset(settings)
    for image in reconstruction.images.values():
        write_pictures(root / "images" / Path(image.name).parent, [Path(image.name).name])
    (root / "sparse/0").mkdir(parents=True)
    return reconstruction


@pytest.mark.parametrize("form", ["text", "binary"])
@pytest.mark.parametrize("number", range(len(MODELS)))
def test_observed_points_are_seen_where_colmap_sees_them(tmp_path: Path, number: int, form: str) -> None:
    pycolmap = pytest.importorskip("pycolmap")
    parameters = pycolmap.Camera.create_from_model_name(1, MODELS[number], 55.0, 64, 48).params
    parameters[-1] = {"EUCM": 1.1, "FOV": 0.6}.get(MODELS[number], parameters[-1] + (0.01 if number > 3 else 0.0))
    options = {"num_rigs": 1, "num_cameras_per_rig": 1, "num_frames_per_rig": 4}
    reconstruction = synthetic(
        tmp_path, camera_model_id=getattr(pycolmap.CameraModelId, MODELS[number]), camera_params=parameters, **options
    )
    getattr(reconstruction, f"write_{form}")(tmp_path / "sparse/0")
    compare(tmp_path, reconstruction)


@pytest.mark.parametrize("form", ["text", "binary"])
def test_rigs_place_their_cameras(tmp_path: Path, form: str) -> None:
    lens = [55.0, 32.0, 24.0, 0.05]
    reconstruction = synthetic(tmp_path, num_rigs=2, num_cameras_per_rig=2, num_frames_per_rig=3, camera_params=lens)
    getattr(reconstruction, f"write_{form}")(tmp_path / "sparse/0")
    compare(tmp_path, reconstruction)
    # The poses in the file of images are copies: COLMAP itself takes those of rigs and frames.
    if form == "text":
        file = tmp_path / "sparse/0/images.txt"
        lines = file.read_text().splitlines()
        lines = [re.sub(r"^(\d+) (\S+ ){7}", r"\1 1 0 0 0 0 0 0 ", line) if ".png" in line else line for line in lines]
        file.write_text("\n".join(lines) + "\n")
        compare(tmp_path, reconstruction)


def compare(root: Path, reconstruction: object) -> None:
    """Each keypoint of COLMAP's is where our camera sees its 3D point."""
    scene = load_scene(root, hold_out=None, warn=silent)
    views = {view.file.relative_to(root / "images").as_posix(): index for index, view in enumerate(scene.train)}
    assert len(views) == reconstruction.num_reg_images()
    seen = 0
    for image in reconstruction.images.values():
        keypoints = [point for point in image.points2D if point.has_point3D()]
        points = np.array([reconstruction.points3D[point.point3D_id].xyz for point in keypoints]).reshape(-1, 3)
        pixels = np.array([point.xy for point in keypoints]).reshape(-1, 2)
        ours, _ = project(scene.train.cameras, views[image.name], points)
        np.testing.assert_allclose(ours, pixels, atol=1e-4)
        seen += len(points)
    assert seen > 20


def test_text_and_binary_files_are_the_same(tmp_path: Path) -> None:
    scenes = []
    for name, export in (("text", colmap_text), ("binary", colmap_binary)):
        (tmp_path / name).mkdir()
        export(tmp_path / name)
        scenes.append(load_scene(tmp_path / name, hold_out=None).train.cameras)
    np.testing.assert_allclose(scenes[0].c2w, scenes[1].c2w, atol=1e-12)
    np.testing.assert_array_equal(scenes[0].distortion, scenes[1].distortion)


@pytest.mark.parametrize("place", ["", "sparse", "sparse/0"])
def test_any_folder_of_a_model_may_be_named(model: Path, place: str) -> None:
    scene = load_scene(model / place, hold_out=None)
    assert (scene.root, scene.layout, len(scene.train)) == (model, "colmap", len(NAMES))


@pytest.mark.parametrize("place", ["sparse", "colmap/sparse/0", "colmap", ""])
def test_models_lie_in_several_places(model: Path, place: str) -> None:
    target = model / place
    target.mkdir(parents=True, exist_ok=True)
    for file in (model / "sparse/0").iterdir():
        file.rename(target / file.name)
    shutil.rmtree(model / "sparse/0")
    assert len(load_scene(model, hold_out=None).train) == len(NAMES)
    assert load_scene(target, hold_out=None).root == model


def test_the_largest_model_is_used_and_said(model: Path) -> None:
    small = model / "sparse/1"
    small.mkdir()
    shutil.copy(model / "sparse/0/cameras.txt", small)
    lines = (model / "sparse/0/images.txt").read_text().splitlines()
    (small / "images.txt").write_text("\n".join(lines[:7]) + "\n")
    (model / "sparse/0").rename(model / "sparse/2")
    said: list[str] = []
    assert len(load_scene(model, hold_out=None, warn=said.append).train) == len(NAMES)
    assert said[0] == (
        f"{model}/sparse: holds 2 models; the largest is used, 2 with 7 images (not 1 with 3); name the folder of "
        "another one to use it"
    )
    assert len(load_scene(small, hold_out=None, warn=silent).train) == 3


@pytest.mark.parametrize(("folder", "size"), [("images_2", (32, 24)), ("images_4", (16, 12)), ("images_3", (21, 16))])
def test_reduced_pictures(model: Path, folder: str, size: tuple[int, int]) -> None:
    full = load_scene(model, hold_out=None).train.cameras
    shutil.rmtree(model / "images")
    write_pictures(model / folder, size=size)
    write_pictures(model / "images_8", size=(8, 6))
    cameras = load_scene(model, hold_out=None).train.cameras
    assert cameras.sizes.tolist() == [list(size)] * len(NAMES)
    scale = np.array(size) / (64, 48)
    np.testing.assert_allclose(cameras.intrinsics, full.intrinsics * np.concatenate([scale, scale]))


def test_pictures_may_lie_elsewhere(model: Path, tmp_path: Path) -> None:
    (model / "images").rename(tmp_path / "photos")
    with pytest.raises(SceneError, match=re.escape("none of the 7 images listed in sparse/0/images.txt exists")):
        load_scene(model)
    assert len(load_scene(model, hold_out=None, images=tmp_path / "photos").train) == len(NAMES)
    with pytest.raises(SceneError, match=re.escape(f"{tmp_path}/nowhere: no such folder")):
        load_scene(model, images=tmp_path / "nowhere")


def test_pictures_in_folders_of_their_own(model: Path) -> None:
    file = model / "sparse/0/images.txt"
    file.write_text(file.read_text().replace("view_00", "left/a b").replace("view_01", "right/a b"))
    for old, new in (("view_00", "left"), ("view_01", "right")):
        (model / "images" / new).mkdir()
        (model / f"images/{old}.png").rename(model / f"images/{new}/a b.png")
    names = {view.name for view in load_scene(model, hold_out=None).train}
    assert {"left_a b", "right_a b", "view_02"} <= names


def test_lines_of_keypoints_may_be_missing(model: Path) -> None:
    file = model / "sparse/0/images.txt"
    lines = [line for line in file.read_text().splitlines() if ".png" in line]
    file.write_text("\n".join(lines))
    assert len(load_scene(model, hold_out=None).train) == len(NAMES)


def edited(model: Path, name: str, change: Callable[[str], str]) -> Path:
    file = model / "sparse/0" / name
    file.write_text(change(file.read_text()))
    return file


@pytest.mark.parametrize(
    ("name", "change", "message"),
    [
        (
            "cameras.txt",
            lambda text: text.replace("OPENCV", "LENS"),
            ": not a file of COLMAP's: camera 1 is of the unk",
        ),
        ("cameras.txt", lambda text: text.replace(" 60.0", ""), "camera 1: OPENCV has 8 parameters, got 7"),
        ("cameras.txt", lambda text: text.replace("60.0", "x"), "not a file of COLMAP's: expected numbers, got"),
        ("cameras.txt", lambda text: text.replace("60.0", "-6"), "camera 1: must have a positive focal length, got -6"),
        ("cameras.txt", lambda text: text.replace("60.0", "nan"), "camera 1: has a parameter that is not finite"),
        ("cameras.txt", lambda text: text.replace("64 48", "64 0"), "camera 1: has the size 64x0"),
        (
            "cameras.txt",
            lambda text: text.replace("2 SIMPLE", "3 SIMPLE"),
            "image 10: is of camera 2, which cameras.txt l",
        ),
        (
            "cameras.txt",
            lambda _: "1 EQUIRECTANGULAR 64 48 64 48",
            "camera 1: is EQUIRECTANGULAR, which shows all direc",
        ),
        ("images.txt", lambda _: "# nothing", "images.txt: lists no registered images"),
        ("images.txt", lambda text: text.replace("view_00.png", ""), "must hold a number, a pose, a camera and a name"),
        (
            "images.txt",
            lambda text: re.sub(r"\n7( \S+){4}", "\n7 0 0 0 0", text),
            "image 7: its pose must have a quatern",
        ),
        (
            "images.txt",
            lambda text: re.sub(r"\n7( \S+){7}", "\n7 1 0 0 0 1e300 0 0", text),
            "image 7: its pose must hold",
        ),
        ("images.txt", lambda text: text.replace("view_01", "view_00"), "frames 0 and 1 both list the picture view_00"),
        ("images.txt", lambda text: text.replace("view_01.png", ".."), "cannot be a file name"),
    ],
)
def test_text_that_cannot_be_used(model: Path, name: str, change: Callable[[str], str], message: str) -> None:
    edited(model, name, change)
    with pytest.raises(SceneError, match=re.escape(message)) as error:
        load_scene(model, hold_out=None)
    assert str(error.value).startswith(str(model))
    assert "\n" not in str(error.value)


@pytest.fixture
def binary(tmp_path: Path) -> Path:
    root = tmp_path / "binary"
    root.mkdir()
    colmap_binary(root)
    return root


@pytest.mark.parametrize(
    ("name", "spoil", "message"),
    [
        ("cameras.bin", lambda data: data[:-1], "not a file of COLMAP's: it is cut short"),
        ("cameras.bin", lambda data: b"", "it is cut short"),
        ("cameras.bin", lambda data: data[:12] + struct.pack("<i", 99) + data[16:], "is of the unknown model 99"),
        ("images.bin", lambda data: data[:-9], "it is cut short"),
        ("images.bin", lambda data: struct.pack("<Q", 2**63) + data[8:], "it is cut short"),
        ("images.bin", lambda data: data.replace(b"\0", b"x"), "not a file of COLMAP's"),
    ],
)
def test_binary_files_that_cannot_be_used(
    binary: Path, name: str, spoil: Callable[[bytes], bytes], message: str
) -> None:
    file = binary / "sparse/0" / name
    file.write_bytes(spoil(file.read_bytes()))
    with pytest.raises(SceneError, match=re.escape(message)) as error:
        load_scene(binary)
    assert str(error.value).startswith(str(file))


def test_rigs_that_do_not_fit(model: Path) -> None:
    (model / "sparse/0/rigs.txt").write_text("1 1 CAMERA 1\n")
    frames = model / "sparse/0/frames.txt"
    frames.write_text("1 5 1 0 0 0 0 0 0 1 CAMERA 1 7\n")
    with pytest.raises(SceneError, match=re.escape(f"{frames}: frame 1: is of rig 5, which rigs.txt lacks")):
        load_scene(model)
    frames.write_text("1 1 1 0 0 0 0 0 0 2 CAMERA 1 7\n")
    with pytest.raises(SceneError, match=re.escape(f"{frames}: not a file of COLMAP's: ")):
        load_scene(model)


def test_cameras_without_distortion_are_pinholes(model: Path) -> None:
    edited(model, "cameras.txt", lambda text: re.sub(r"-0.1 .*", "0 0 0 0", text).replace("0.05", "0"))
    assert set(load_scene(model, hold_out=None).train.cameras.lenses.tolist()) == {Lens.PINHOLE}


def test_keypoints_are_skipped(binary: Path) -> None:
    assert [image.name for image in read_images(binary / "sparse/0/images.bin").values()] == [f"{n}.png" for n in NAMES]
    assert [camera.model for camera in read_cameras(binary / "sparse/0/cameras.bin").values()] == [
        "OPENCV",
        "SIMPLE_RADIAL",
    ]
