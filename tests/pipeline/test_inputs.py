"""What counts as a change of a scene's files."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from ultrafield.pipeline.inputs import digest_inputs


@pytest.fixture
def scene(tmp_path: Path) -> Path:
    for name in ("scene/transforms.json", "scene/images/0.JPG", "scene/train_seg/0/0.png"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_bytes(b"12")
    return tmp_path / "scene"


@pytest.mark.parametrize("name", ["transforms.json", "images/0.JPG", "train_seg/0/0.png"])
def test_size_time_name_and_absence_count(scene: Path, name: str) -> None:
    run, file = scene.parent / "run", scene / name
    found = [digest_inputs(scene, run=run)]
    file.write_bytes(b"123")
    found.append(digest_inputs(scene, run=run))
    os.utime(file, ns=(1, 1))
    found.append(digest_inputs(scene, run=run))
    file.rename(file.with_stem("1"))
    found.append(digest_inputs(scene, run=run))
    file.with_stem("1").unlink()
    found.append(digest_inputs(scene, run=run))
    assert len(set(found)) == 5


@pytest.mark.parametrize(
    "name", ["notes.md", ".cache/0.png", "images/.0.png", "run/renders/0.png", "other/0.png", "other/stages.json"]
)
def test_what_is_no_input_does_not_count(scene: Path, name: str) -> None:
    (scene / "other").mkdir()
    (scene / "other" / "stages.json").write_text("{}")
    before = digest_inputs(scene, run=scene / "run")
    (scene / name).parent.mkdir(parents=True, exist_ok=True)
    (scene / name).write_bytes(b"123")
    assert digest_inputs(scene, run=scene / "run") == before


def test_links_that_lead_to_themselves_do_not_count(scene: Path) -> None:
    before = digest_inputs(scene, run=scene / "run")
    (scene / "images" / "1.JPG").symlink_to("1.JPG")
    assert digest_inputs(scene, run=scene / "run") == before


def test_masks_in_the_run_folder_count_if_asked_for(scene: Path) -> None:
    masks = scene / "run" / "masks"
    (masks / "train_seg" / "0").mkdir(parents=True)
    before = digest_inputs(scene, masks, run=scene / "run")
    (masks / "train_seg" / "0" / "0.png").write_bytes(b"1")
    assert digest_inputs(scene, masks, run=scene / "run") != before


def test_links_are_followed_and_may_form_circles(scene: Path, tmp_path: Path) -> None:
    (tmp_path / "elsewhere").mkdir()
    (scene / "linked").symlink_to(tmp_path / "elsewhere")
    (tmp_path / "elsewhere" / "back").symlink_to(scene)
    before = digest_inputs(scene, run=scene / "run")
    (tmp_path / "elsewhere" / "1.png").write_bytes(b"1")
    assert digest_inputs(scene, run=scene / "run") != before


def test_links_to_folders_around_the_scene_are_not_followed(scene: Path, tmp_path: Path) -> None:
    before = digest_inputs(scene, run=scene / "run")
    (scene / "train_seg" / "1").symlink_to(tmp_path)
    (scene / "train_seg" / "2").symlink_to("/")
    assert digest_inputs(scene, run=scene / "run") == before
