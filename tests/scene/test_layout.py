"""Which folder a path means."""

from __future__ import annotations

import os
import re
from collections.abc import Callable
from pathlib import Path

import pytest

from ultrafield.errors import SceneError
from ultrafield.scene import load_scene, scene_root

Make = Callable[..., Path]


def test_the_transforms_file_stands_for_its_folder(make_blender: Make, make_capture: Make) -> None:
    blender, capture = make_blender(), make_capture()
    for file in (blender / "transforms_train.json", capture / "transforms.json"):
        assert scene_root(file) == scene_root(file.parent) == file.parent
        assert scene_root(str(file)) == file.parent
        assert load_scene(file).root == file.parent
        assert load_scene(file).name == file.parent.name


def test_a_file_that_would_not_be_read_is_refused(make_blender: Make, make_capture: Make) -> None:
    root = make_capture()
    (make_blender() / "transforms_train.json").rename(root / "transforms_train.json")
    message = (
        "the folder holds transforms_train.json as well, which would be read instead; layout nerfstudio reads this"
    )
    with pytest.raises(SceneError, match=re.escape(f"{root}/transforms.json: {message}")):
        load_scene(root / "transforms.json")
    assert load_scene(root / "transforms.json", layout="nerfstudio").layout == "nerfstudio"


@pytest.mark.parametrize("name", ["notes.txt", "transforms.txt", "fifo.json", "cameras.txt", "notes.xml", "table.csv"])
def test_other_files_are_no_scenes(tmp_path: Path, name: str) -> None:
    os.mkfifo(tmp_path / name) if name == "fifo.json" else (tmp_path / name).touch()
    message = f"{tmp_path}/{name}: expected the folder of a scene or its transforms.json or transforms_train.json"
    with pytest.raises(SceneError, match=re.escape(message)):
        load_scene(tmp_path / name)


@pytest.mark.parametrize(
    ("path", "message"),
    [("{}/nothing", "no such folder"), ("{}/" + "a" * 300, "File name too long"), ("{}/\0", "no such folder")],
)
def test_paths_of_nothing(tmp_path: Path, path: str, message: str) -> None:
    with pytest.raises(SceneError, match=message):
        load_scene(path.format(tmp_path))


def test_a_transforms_file_that_is_no_file(tmp_path: Path) -> None:
    (tmp_path / "transforms.json").mkdir()
    with pytest.raises(SceneError, match="no camera poses found"):
        load_scene(tmp_path)
    (tmp_path / "transforms.json").rmdir()
    os.mkfifo(tmp_path / "transforms.json")
    with pytest.raises(SceneError, match="no camera poses found"):
        load_scene(tmp_path)
