"""From listed pictures to files, view names and names of masks."""

from __future__ import annotations

import os
import re
import shutil
import unicodedata
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from odd_files import put_odd

from ultrafield.errors import SceneError
from ultrafield.io import write_image
from ultrafield.scene import load_scene
from ultrafield.scene.nerfstudio import parse_frames, read_transforms
from ultrafield.scene.pictures import PictureFinder, mask_names, view_names

Make = Callable[..., Path]
SOURCE = Path("transforms.json")


def silent(text: str) -> None:
    raise AssertionError(text)


@pytest.mark.parametrize("ending", ["png", "jpg", "jpeg", "webp", "tif", "tiff", "bmp", "PNG", "Jpg", "WebP", "TIFF"])
@pytest.mark.parametrize("listed", ["images/a", "images/a.png", "images/a.{}"])
def test_endings(make_capture: Make, edit: Callable, ending: str, listed: str) -> None:
    root = make_capture()
    write_image(root / f"images/new.{ending.lower()}", np.full((6, 8, 3), 77, np.uint8))
    (root / f"images/new.{ending.lower()}").rename(root / f"images/a.{ending}")
    edit(root / "transforms.json", lambda values: values["frames"][0].update(file_path=listed.format(ending)))
    view = load_scene(root, hold_out=None, warn=silent).train.views[3]  # sorted by name
    assert (view.name, view.file) == ("a", root / f"images/a.{ending}")
    assert view.image.mean() == pytest.approx(77, abs=2)


def test_two_files_of_one_stem_are_two_views(make_capture: Make) -> None:
    root = make_capture(paths=["images/a.png", "images/a.JPG", "images/b.png", "images/c.png"])
    views = {view.name: view for view in load_scene(root, hold_out=None).train}
    assert set(views) == {"a_jpg", "a_png", "b", "c"}
    assert views["a_jpg"].file == root / "images/a.JPG"
    assert views["a_png"].file == root / "images/a.png"


def test_no_listed_picture_stands_in_for_another_one(make_capture: Make) -> None:
    root = make_capture(paths=["images/a.png", "images/a.jpg", "images/b.png", "images/c.png"])
    (root / "images/a.jpg").unlink()
    warnings: list[str] = []
    scene = load_scene(root, hold_out=None, warn=warnings.append)
    assert len(scene.train) == 3
    assert "1 of 4 images listed in transforms.json are missing (first: images/a.jpg)" in warnings[0]


@pytest.mark.parametrize(
    ("listed", "names"),
    [
        (["x/a.png", "y/b.png"], ["a", "b"]),
        (["x/a.png", "y/a.png"], ["x_a", "y_a"]),
        (["x/a.png", "x/a.jpg", "b"], ["a_png", "a_jpg", "b"]),
        (["x/a.png", "x/a.jpg", "y/a.png"], ["x_a_png", "x_a_jpg", "y_a"]),
        (["a/b_c.png", "a_b/c.png", "c.png"], ["a_b_c_png", "a_b_c_png_2", "c"]),
        (["a_b/c.png", "a/b_c.png", "c.png"], ["a_b_c_png_2", "a_b_c_png", "c"]),
        (["../a.png", "/a.png"], ["a_png", "a_png_2"]),
        ([], []),
    ],
)
def test_view_names(listed: list[str], names: list[str]) -> None:
    assert view_names(listed, SOURCE) == names


@pytest.mark.parametrize(
    "listed", [["a/b.png", "c", "a\\b.png"], ["a/b", "c", "a/b.png"], ["a//b.png", "c", "a/b.png"]]
)
def test_a_picture_listed_twice(listed: list[str]) -> None:
    with pytest.raises(
        SceneError, match=re.escape(f"transforms.json: frames 0 and 2 both list the picture {listed[2]}")
    ):
        view_names(listed, SOURCE)


def test_names_of_masks() -> None:
    listed = ["images/front/0.png", "images/front/1.jpg", "images/back/0.png"]
    names = view_names(listed, SOURCE)
    assert mask_names(listed, names) == [
        ("images/front/0", "images/front/0.png", "front/0", "front/0.png"),
        ("1", "1.jpg", "images/front/1", "images/front/1.jpg", "front/1", "front/1.jpg"),
        ("images/back/0", "images/back/0.png", "back/0", "back/0.png"),
    ]
    both = ["a.png", "a.jpg"]
    assert mask_names(both, view_names(both, SOURCE)) == [("a.png",), ("a.jpg",)]
    assert mask_names(["r_0.png", "r_1.png"], ["r_0", "r_1"]) == [("r_0.png",), ("r_1.png",)]
    assert mask_names(["../../x/0.png"], ["0"]) == [("0.png", "x/0", "x/0.png")]


@pytest.mark.parametrize(("form", "other"), [("NFC", "NFD"), ("NFD", "NFC")])
def test_accents_may_be_composed_or_not(tmp_path: Path, form: str, other: str) -> None:
    listed, file = unicodedata.normalize(form, "gö/ä ü.png"), tmp_path / unicodedata.normalize(other, "gö/ä ü.png")
    file.parent.mkdir()
    file.touch()
    assert PictureFinder(tmp_path, [listed]).find(listed, "frame 0") == file
    assert PictureFinder(tmp_path, [listed[:-4]]).find(listed[:-4], "frame 0") == file
    both = [listed, unicodedata.normalize(other, listed)]
    assert [PictureFinder(tmp_path, both).find(name, "frame 0") for name in both] == [None, file]


def test_frames_know_what_their_masks_may_be_called(make_capture: Make) -> None:
    file = make_capture(paths=["images/front/0", "images/back/1.png"]) / "transforms.json"
    frames = parse_frames(file, read_transforms(file), warn=silent)
    assert frames[0].mask_names == ("0", "0.jpg", "images/front/0", "images/front/0.jpg", "front/0", "front/0.jpg")


# What exists but cannot be read is not missing


@pytest.mark.parametrize("listed", ["images/0001.png", "images/0001"])
@pytest.mark.parametrize("kind", ["folder", "fifo", "link", "empty", "text", "truncated", "loop"])
def test_pictures_that_exist_but_are_none(make_capture: Make, edit: Callable, listed: str, kind: str) -> None:
    root = make_capture(12)
    file = root / "images/0001.png"
    spoiled = {"text": b"no picture", "truncated": file.read_bytes()[:30]}
    if kind in spoiled:
        file.write_bytes(spoiled[kind])
    else:
        put_odd(file, kind)
    edit(root / "transforms.json", lambda values: values["frames"][1].update(file_path=listed))
    with pytest.raises(SceneError, match=re.escape(str(file))):
        load_scene(root, warn=silent)


@pytest.mark.skipif(os.name == "nt" or os.geteuid() == 0, reason="the superuser reads everything")
def test_pictures_without_permission(make_capture: Make) -> None:
    root = make_capture(12)
    (root / "images/0001.png").chmod(0)
    with pytest.raises(SceneError, match=re.escape(f"{root}/images/0001.png: Permission denied")):
        load_scene(root)


def test_a_file_goes_before_what_is_none(make_capture: Make, edit: Callable) -> None:
    root = make_capture()
    shutil.copy(root / "images/0001.png", root / "images/0001.tif")
    (root / "images/0001.png").unlink()
    (root / "images/0001.png").mkdir()
    edit(root / "transforms.json", lambda values: values["frames"][1].update(file_path="images/0001"))
    assert load_scene(root, hold_out=None).train.views[1].file == root / "images/0001.tif"


def test_hidden_files_are_no_pictures(make_capture: Make, edit: Callable) -> None:
    root = make_capture(12)
    (root / "images/0001.png").rename(root / "images/.0001.png")
    (root / "images/._0002.png").write_bytes(b"Mac OS X")
    warnings: list[str] = []
    assert len(load_scene(root, hold_out=None, warn=warnings.append).train) == 11
    assert "1 of 12 images" in warnings[0]


@pytest.mark.parametrize(
    ("listed", "message"),
    [
        ("x/" * 4000 + "a.png", "cannot be looked up (File name too long)"),
        ("c" * 300 + "/a.png", "cannot be looked up (File name too long)"),
        ("b\0/a.png", "has characters that no text file can hold"),
        ("b\n/a.png", "the picture 'b\\n/a.png' has characters that no text file can hold"),
        ("b\ud800/a.png", "has characters that no text file can hold"),
        ("b/\ud800.png", "cannot be encoded"),
        ("b/\udc80.png", "has characters that no text file can hold"),
    ],
)
def test_paths_that_no_file_can_have(make_capture: Make, edit: Callable, listed: str, message: str) -> None:
    root = make_capture(12)
    edit(root / "transforms.json", lambda values: values["frames"][1].update(file_path=listed))
    with pytest.raises(SceneError, match=re.escape(f"{root}/transforms.json: frame 1: ") + ".*" + re.escape(message)):
        load_scene(root, warn=silent)


def test_files_whose_names_are_not_utf_8(make_capture: Make) -> None:
    root = make_capture()
    write_image(root / "images/x.png", np.zeros((6, 8, 3), np.uint8))
    (root / "images/x.png").rename(os.fsdecode(os.fsencode(root / "images") + b"/\xff.png"))
    assert len(load_scene(root, hold_out=None, warn=silent).train) == 4


def test_a_folder_whose_name_is_not_utf_8(make_capture: Make) -> None:
    root = make_capture()
    odd = Path(os.fsdecode(os.fsencode(root.parent) + b"/\xff"))
    root.rename(odd)
    assert len(load_scene(odd, hold_out=None, warn=silent).train) == 4
    (odd / "transforms.json").write_text("{}")
    with pytest.raises(SceneError, match="expected an object with a list 'frames'"):
        load_scene(odd)
