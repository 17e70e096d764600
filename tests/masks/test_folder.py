"""Which masks belong to which view, and what is said about the others."""

from __future__ import annotations

import unicodedata
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest

from ultrafield.errors import SceneError
from ultrafield.io import write_image
from ultrafield.masks import MaskFolder, check_matches, find_masks, mask_files, read_masks, warn_of_skipped

MASK = np.ones((4, 6), np.uint8)


def put(root: Path, *names: str) -> None:
    """Write the same mask under some names."""
    for name in names:
        write_image(root / name, MASK)


@pytest.mark.parametrize(
    "place",
    [
        "train_seg/a/0.png",
        "train_seg/a.png",
        "train_seg/a.jpg/0.png",
        "train_seg/a.jpg.png",
        "train_seg/front/a/0.png",
        "train_seg/front/a.png",
        "train_seg/front/a.jpg.png",
        "train_seg_hierarchy/a/0.png",
    ],
)
def test_masks_are_found_under_every_name_of_a_view(tmp_path: Path, place: str) -> None:
    put(tmp_path, place)
    names = ("a", "a.jpg", "front/a", "./front/a.jpg")
    assert find_masks(tmp_path, "train", names) == tmp_path / place
    assert len(read_masks(tmp_path, "train", names) or ()) == 1
    assert find_masks(tmp_path, "train", "b") is None


@pytest.mark.parametrize("ending", [".png", ".PNG", ".jpg", ".webp", ".tif", ".bmp", ".npy"])
def test_id_maps_of_every_ending_are_found(tmp_path: Path, ending: str) -> None:
    (tmp_path / "train_seg").mkdir()
    (tmp_path / f"train_seg/a.b{ending}").touch()
    assert find_masks(tmp_path, "train", "a.b") == tmp_path / f"train_seg/a.b{ending}"
    assert find_masks(tmp_path, "train", "a") is None


def test_the_first_name_and_folders_go_first(tmp_path: Path) -> None:
    put(tmp_path, "train_seg/a/0.png", "train_seg/a.png", "train_seg/front/a/0.png", "train_seg/a.jpg")
    assert find_masks(tmp_path, "train", ("a", "front/a")) == tmp_path / "train_seg/a/0.png"
    assert find_masks(tmp_path, "train", ("front/a", "a")) == tmp_path / "train_seg/front/a/0.png"


def test_a_folder_without_masks_goes_last(tmp_path: Path) -> None:
    put(tmp_path, "train_seg/a.png")
    (tmp_path / "train_seg/a").mkdir()
    assert find_masks(tmp_path, "train", "a") == tmp_path / "train_seg/a.png"


@pytest.mark.parametrize("name", ["../a", "/a", "x/../../a", "..", "", "."])
def test_names_do_not_lead_out_of_the_folder(tmp_path: Path, name: str) -> None:
    put(tmp_path / "scene", "../a/0.png", "train_seg/b/0.png")
    assert find_masks(tmp_path / "scene", "train", name) is None


def test_hidden_files_and_those_of_systems_do_not_count(tmp_path: Path) -> None:
    put(tmp_path, "train_seg/a/0.png")
    for name in ("a/._0.png", "a/.DS_Store", "a/Thumbs.db", "._a.png", ".b.png", "a/metadata.csv"):
        (tmp_path / "train_seg" / name).touch()
    folder = MaskFolder(tmp_path)
    assert len(read_masks(folder, "train", "a") or ()) == 1
    assert folder.skipped == []
    assert find_masks(folder, "train", ".b") is None
    assert [file.name for file in mask_files(tmp_path / "train_seg/a")] == ["0.png"]


def test_a_folder_named_by_the_user_may_hold_masks_itself(tmp_path: Path) -> None:
    put(tmp_path, "a.png", "b/0.png", "front/c.png")
    for direct in (True, False):
        folder = MaskFolder(tmp_path, direct=direct)
        found = [find_masks(folder, "train", name) for name in ("a", "b", "front/c")]
        assert [file is not None for file in found] == [direct] * 3
        assert find_masks(folder, "val", "a") is None
    put(tmp_path, "train_seg/d.png")
    assert find_masks(MaskFolder(tmp_path, direct=True), "train", "a") is None


def test_masks_of_two_views_are_refused(tmp_path: Path) -> None:
    put(tmp_path, "train_seg/0.png")
    folder = MaskFolder(tmp_path)
    folder.find("train", ("front_0", "0"))
    folder.find("train", ("front_0", "0"))
    with pytest.raises(SceneError, match=r"train_seg/0\.png: belongs to two views, front_0 and back_0"):
        folder.find("train", ("back_0", "0"))


def test_a_folder_that_cannot_be_listed(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(SceneError, match="file: cannot be listed"):
        find_masks(tmp_path / "file", "train", "a")


def test_folders_are_listed_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from ultrafield.masks import folder as module

    put(tmp_path, *(f"train_seg/{name}/0.png" for name in range(20)))
    listed: list[Path] = []
    real = module._list
    monkeypatch.setattr(module, "_list", lambda folder: listed.append(folder) or real(folder))
    folder = MaskFolder(tmp_path)
    for name in range(20):
        find_masks(folder, "train", str(name))
        read_masks(folder, "train", str(name))
    assert len(listed) == len(set(listed)) == 22  # the root, train_seg, and one for each view


def said(
    root: Path, views: Sequence[str], *, asked: bool = False, direct: bool = False, ignored: Sequence[Path] = ()
) -> list[str]:
    """Everything that is said about the masks of some views."""
    folder, lines = MaskFolder(root, direct=direct), list[str]()
    folder.name("elsewhere")
    sets = {view: read_masks(folder, "train", view, (4, 6)) for view in views}
    lacking = [view for view, masks in sets.items() if masks is None]
    check_matches(folder, ["train"], lacking, len(views), asked=asked, warn=lines.append, ignored=ignored)
    warn_of_skipped(folder, lines.append)
    return lines


def test_nothing_is_said_where_all_is_well(tmp_path: Path) -> None:
    put(tmp_path, "train_seg/a/0.png", "train_seg/b.png", "train_seg/front/c.png", "train_seg/elsewhere/0.png")
    (tmp_path / "train_seg/notes.txt").touch()
    assert said(tmp_path, ["a", "b", "front/c"]) == []
    assert said(tmp_path / "none", ["a"]) == []


def test_views_without_masks_and_masks_without_views_are_said(tmp_path: Path) -> None:
    put(
        tmp_path,
        "train_seg/a/0.png",
        "train_seg/x/0.png",
        "train_seg/y.jpg",
        "train_seg/front/z.png",
        "train_seg/u/v/0.png",
    )
    put(tmp_path, "train_seg/front/b.png")
    assert said(tmp_path, ["a", "front/b", "c"]) == [
        f"{tmp_path}: 1 of 3 training views have no masks (first: c)",
        f"{tmp_path}/train_seg/front: 4 folders or files of masks are named like no view, or like several (z.png, u, "
        "x, …), and not read",
    ]
    put(tmp_path / "one", "train_seg/a/0.png", "train_seg/x.png")
    assert said(tmp_path / "one", ["a"]) == [
        f"{tmp_path}/one/train_seg: 1 folder or file of masks is named like no view, or like several (x.png), and not "
        "read"
    ]


def test_a_file_that_could_be_of_two_pictures_is_said(tmp_path: Path) -> None:
    """Of v0.png and v0.jpg, the mask v0.png may be of either."""
    put(tmp_path, "train_seg/v0.png", "train_seg/v1.png")
    folder, lines, views = MaskFolder(tmp_path), [], (("v0_png", "v0.png"), ("v0_jpg", "v0.jpg"), ("v1",))
    lacking = [names[0] for names in views if folder.find("train", names) is None]
    check_matches(folder, ["train"], lacking, 3, asked=True, warn=lines.append)
    assert lacking == ["v0_png", "v0_jpg"]
    assert lines[1].endswith(
        "train_seg: 1 folder or file of masks is named like no view, or like several (v0.png), and not read"
    )


def test_accents_may_be_composed_or_not(tmp_path: Path) -> None:
    for form, other in (("NFC", "NFD"), ("NFD", "NFC")):
        root = tmp_path / form
        put(root, *(unicodedata.normalize(form, f"train_seg/{name}.png") for name in ("v ü", "gö/ä")))
        assert said(root, [unicodedata.normalize(other, name) for name in ("v ü", "gö/ä")]) == []


def test_masks_that_belong_to_no_view_at_all_are_refused(tmp_path: Path) -> None:
    put(tmp_path, "train_seg/0001/0.png", "train_seg/0002/0.png")
    text = (
        rf"{tmp_path}: holds no masks of the training views \(expected train_seg/a/\*\.png or train_seg/a\.png\), but "
        rf"others in {tmp_path}/train_seg \(0001, 0002\); name masks after their pictures, with the folder or "
        "ending where several have one name, or move them elsewhere"
    )
    with pytest.raises(SceneError, match=text):
        said(tmp_path, ["a", "b"])
    with pytest.raises(
        SceneError, match=r"train_seg: holds no masks of the training views \(expected a/\*\.png or a\.png\)"
    ):
        said(tmp_path / "train_seg", ["a", "b"], asked=True, direct=True)


def test_a_folder_named_by_the_user_must_hold_masks(tmp_path: Path) -> None:
    with pytest.raises(SceneError, match=r"holds no masks of the training views \(expected train_seg/a/\*\.png\)"):
        said(tmp_path, ["a"], asked=True, direct=True)


@pytest.mark.parametrize("name", ["object_mask", "masks", "instance_masks", "sam", "Segmentation"])
def test_folders_that_look_like_masks_are_mentioned_once(tmp_path: Path, name: str) -> None:
    put(tmp_path, f"{name}/a.png", "images/a.png", "gt_seg/a.png", "val_seg/a.png", "train_seg_clean/a/0.png")
    (tmp_path / "more_masks").mkdir()
    assert said(tmp_path, ["a"]) == [
        f"{tmp_path / name}: looks like masks, but is not read; to use it, add: --masks {tmp_path / name}"
    ]
    assert said(tmp_path, ["a"], ignored=[tmp_path / name]) == []
    put(tmp_path, "train_seg/a.png")
    assert said(tmp_path, ["a"]) == []


def test_skipped_files_are_counted_in_one_line(tmp_path: Path) -> None:
    put(tmp_path, "train_seg/a/1.png", "train_seg/b/1.png")
    for name in ("a/0.png", "b/2.png"):
        write_image(tmp_path / "train_seg" / name, 0 * MASK)
    (tmp_path / "train_seg/a/notes.txt").touch()
    first = tmp_path / "train_seg/a"
    (line,) = said(tmp_path, ["a", "b"])
    assert line == (
        f"{tmp_path}: skipped among the masks: 2 (no pixel inside), 1 (not a mask file); the first is {first}/notes.txt"
    )


def test_a_link_that_leads_to_itself_is_refused_by_its_name(tmp_path: Path) -> None:
    folder = tmp_path / "train_seg" / "r_0"
    folder.mkdir(parents=True)
    (folder / "0.png").symlink_to("0.png")
    with pytest.raises(SceneError, match=r"0\.png"):
        read_masks(tmp_path, "train", "r_0", None)
