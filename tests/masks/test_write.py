"""Writing masks: whole or not at all, and never over anybody's work."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from ultrafield.errors import SceneError
from ultrafield.masks import build_mask_set, read_masks, write_masks

from .test_read import boxes


def test_writing_replaces_older_masks(tmp_path: Path) -> None:
    write_masks(tmp_path, "train", "r_0", boxes(5))
    write_masks(tmp_path, "train", "r_0", boxes(2))
    assert len(read_masks(tmp_path, "train", "r_0", None)) == 2


def test_interrupted_writing_leaves_the_older_masks(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_masks(tmp_path, "train", "r_0", boxes(5))

    def fail(file: Path, _: np.ndarray) -> None:
        if file.stem == "1":
            raise OSError("No space left on device")
        file.touch()

    monkeypatch.setattr("ultrafield.masks.write.write_image", fail)
    with pytest.raises(OSError, match="No space left"):
        write_masks(tmp_path, "train", "r_0", boxes(3))
    assert [entry.name for entry in (tmp_path / "train_seg").iterdir()] == ["r_0"]
    assert len(read_masks(tmp_path, "train", "r_0", None)) == 5


@pytest.mark.parametrize("name", ["", ".", "..", "a/b", "/a", "a\0", "c" * 201])
def test_masks_of_a_view_without_a_proper_name_are_not_written(tmp_path: Path, name: str) -> None:
    (tmp_path / "mine.txt").touch()
    with pytest.raises(SceneError, match=r"view name: .* cannot be a file name"):
        write_masks(tmp_path, "train", name, boxes(2))
    assert [path.name for path in tmp_path.iterdir()] == ["mine.txt"]


def test_other_files_in_the_folder_of_a_view_are_never_removed(tmp_path: Path) -> None:
    write_masks(tmp_path, "train", "r_0", boxes(5))
    (tmp_path / "train_seg/r_0/mask.jpg").touch()
    with pytest.raises(SceneError, match=r"r_0/mask\.jpg: not a file that is written here"):
        write_masks(tmp_path, "train", "r_0", boxes(2))
    assert len(list((tmp_path / "train_seg/r_0").iterdir())) == 6
    assert len(np.load(tmp_path / "train_seg_hierarchy/r_0_same.npy")) == 5


def test_masks_made_one_by_one_and_packed_ones_give_the_same_files(tmp_path: Path) -> None:
    masks = boxes(12)
    for name, given in (("array", masks), ("list", list(masks)), ("set", build_mask_set(masks))):
        write_masks(tmp_path / name, "train", "r_0", given)
    files = sorted(file.relative_to(tmp_path / "array") for file in (tmp_path / "array").rglob("*.*"))
    assert len(files) == 14
    for name in ("list", "set"):
        assert all((tmp_path / name / file).read_bytes() == (tmp_path / "array" / file).read_bytes() for file in files)


def test_an_empty_mask_is_not_written(tmp_path: Path) -> None:
    masks = boxes(3)
    masks[1] = False
    with pytest.raises(ValueError, match="masks: mask 1 of 3 holds no pixel"):
        write_masks(tmp_path, "train", "r_0", masks)
    assert list((tmp_path / "train_seg").iterdir()) == []


@pytest.mark.parametrize("kind", ["link", "folder"])
def test_a_hierarchy_that_is_no_file_is_not_replaced(tmp_path: Path, kind: str) -> None:
    file = tmp_path / "train_seg_hierarchy/r_0_same.npy"
    if kind == "link":
        file.parent.mkdir()
        file.symlink_to(tmp_path / "mine.npy")
    else:
        file.mkdir(parents=True)
    with pytest.raises(SceneError, match=r"r_0_same\.npy: is a link or no file"):
        write_masks(tmp_path, "train", "r_0", boxes(2))
    assert not (tmp_path / "train_seg").exists()


@pytest.mark.parametrize("name", ["train_seg", "train_seg_hierarchy"])
def test_a_file_in_place_of_a_folder_is_named(tmp_path: Path, name: str) -> None:
    (tmp_path / name).touch()
    with pytest.raises(SceneError, match=f"{name}: is no folder"):
        write_masks(tmp_path, "train", "r_0", boxes(2))


def test_what_is_about_to_appear_is_announced_before(tmp_path: Path) -> None:
    write_masks(tmp_path, "train", "r_0", boxes(2))
    seen: list[tuple[int, int, int]] = []

    def announce(folder: Path, hierarchy: dict[str, np.ndarray]) -> None:
        seen.append(
            (len(list(folder.iterdir())), len(list((tmp_path / "train_seg/r_0").iterdir())), len(hierarchy["same"]))
        )

    write_masks(tmp_path, "train", "r_0", boxes(4), announce=announce)
    assert seen == [(4, 2, 4)]
    assert sorted(file.name for file in (tmp_path / "train_seg_hierarchy").iterdir()) == [
        "r_0_inside.npy",
        "r_0_same.npy",
    ]
