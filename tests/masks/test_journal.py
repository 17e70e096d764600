"""What a journal of masks calls done, stale, absent or somebody else's, and recovery after interruptions."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
import pytest

from ultrafield.io import write_image
from ultrafield.masks import MaskJournal, build_mask_set, write_masks
from ultrafield.masks.packed import write_packed
from ultrafield.masks.write import write_packed_masks

from .test_read import boxes

PICTURE = np.arange(48, dtype=np.uint8).reshape(4, 4, 3)


def make(root: Path, count: int = 3, picture: np.ndarray = PICTURE, view: str = "a") -> None:
    """Write masks of a view as the command does."""
    journal = MaskJournal(root, "train", "method")
    write_masks(root, "train", view, boxes(count), announce=journal.announcing(view, picture))


def state(root: Path, picture: np.ndarray = PICTURE, method: str = "method") -> str:
    """What a new process makes of the view."""
    return MaskJournal(root, "train", method).state("a", picture)


def test_masks_that_were_made_are_done(tmp_path: Path) -> None:
    assert state(tmp_path) == "absent"
    make(tmp_path)
    make(tmp_path, view="b")
    assert state(tmp_path) == "done"
    journal = MaskJournal(tmp_path, "train", "method")
    assert (journal.count("a"), journal.state("b", PICTURE), journal.state("c", PICTURE)) == (3, "done", "absent")
    assert journal.find_work("a") == tmp_path / "train_seg/a/0.png"
    assert journal.find_work("c") is None


def test_masks_of_another_picture_or_method_are_stale(tmp_path: Path) -> None:
    make(tmp_path)
    assert state(tmp_path, PICTURE + 1) == "stale"
    assert state(tmp_path, PICTURE.reshape(2, 8, 3)) == "stale"
    assert state(tmp_path, method="other") == "stale"


@pytest.mark.parametrize("name", ["train_seg_hierarchy/a_inside.npy", "train_seg_hierarchy/a_same.npy", "train_seg/a"])
def test_parts_that_are_missing_are_made_again(tmp_path: Path, name: str) -> None:
    make(tmp_path)
    if (tmp_path / name).is_dir():
        shutil.rmtree(tmp_path / name)
    else:
        (tmp_path / name).unlink()
    assert state(tmp_path) == "stale"


def test_what_was_changed_is_the_users(tmp_path: Path) -> None:
    def changed(name: str) -> str:
        shutil.rmtree(tmp_path, ignore_errors=True)
        make(tmp_path)
        file = tmp_path / name
        if file.suffix == ".npy" and file.exists():
            np.save(file, ~np.load(file))
        else:
            write_image(file.with_suffix(".png"), np.ones((4, 4), np.uint8))
            file.with_suffix(".png").rename(file)
        return state(tmp_path)

    names = ["train_seg/a/0.png", "train_seg/a/3.png", "train_seg/a/3.jpg", "train_seg/a.png", "train_seg/a.txt"]
    names += ["train_seg_hierarchy/a_inside.npy", "train_seg_hierarchy/a_same.npy", "train_seg_hierarchy/a/0.png"]
    assert {name: changed(name) for name in names} == dict.fromkeys(names, "foreign")


def test_masks_of_the_user_are_the_users(tmp_path: Path) -> None:
    write_masks(tmp_path, "train", "a", boxes(3))
    assert state(tmp_path) == "foreign"
    (tmp_path / "train_seg/b").symlink_to(tmp_path / "train_seg/a")
    assert MaskJournal(tmp_path, "train", "method").state("b", PICTURE) == "foreign"


def test_a_link_is_never_the_programs(tmp_path: Path) -> None:
    make(tmp_path)
    (tmp_path / "train_seg/a").rename(tmp_path / "elsewhere")
    (tmp_path / "train_seg/a").symlink_to(tmp_path / "elsewhere")
    assert state(tmp_path) == "foreign"


@pytest.mark.parametrize(
    "content", ["", "{", "[]", '{"views": 3}', '{"views": {"a": 3}}', '{"views": {"a": {"x": 1}}}']
)
def test_with_a_garbled_journal_everything_is_the_users(tmp_path: Path, content: str) -> None:
    make(tmp_path)
    (tmp_path / "train_seg/.ultrafield.json").write_text(content)
    assert state(tmp_path) == "foreign"


def test_the_journal_is_written_before_the_masks_appear(tmp_path: Path) -> None:
    journal = MaskJournal(tmp_path, "train", "method")
    announce = journal.announcing("a", PICTURE)

    def stop(folder: Path, hierarchy: dict[str, np.ndarray]) -> None:
        announce(folder, hierarchy)
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        write_masks(tmp_path, "train", "a", boxes(3), announce=stop)
    assert [file.name for file in (tmp_path / "train_seg").iterdir()] == [".ultrafield.json"]
    assert list(json.loads((tmp_path / "train_seg/.ultrafield.json").read_text())["views"]) == ["a"]
    assert state(tmp_path) == "absent"


def test_a_replacement_that_was_killed_half_way_is_undone_or_completed(tmp_path: Path) -> None:
    old, new, place = tmp_path / "old", tmp_path / "new", tmp_path / "place"
    write_masks(old, "train", "a", boxes(2))
    make(new)
    hierarchy = [f"train_seg_hierarchy/a_{kind}.npy" for kind in ("inside", "same")]
    aside = [f"train_seg_hierarchy/.a_{kind}.npy.0123abcd.old" for kind in ("inside", "same")]

    def recovered(masks: str, *, replaced: bool) -> list[str]:
        shutil.rmtree(place, ignore_errors=True)
        shutil.copytree(old, place)
        shutil.copy(new / "train_seg/.ultrafield.json", place / "train_seg")
        for file, name in zip(hierarchy, aside, strict=True):
            (place / file).rename(place / name)
        (place / "train_seg/a").rename(place / "train_seg" / masks)
        if replaced:
            shutil.copytree(new / "train_seg/a", place / "train_seg/a")
        else:
            shutil.copytree(new / "train_seg/a", place / "train_seg/.a.89abcdef.tmp")
        journal = MaskJournal(place, "train", "method")
        assert journal.has_leftovers()
        journal.recover(["a"])
        assert not journal.has_leftovers()
        return sorted(file.relative_to(place).as_posix() for file in place.rglob("*.*") if file.name[0] != ".")

    untouched = sorted(file.relative_to(old).as_posix() for file in old.rglob("*.*"))
    assert recovered("a", replaced=False) == untouched
    assert state(place) == "foreign"
    assert recovered(".a.01234567.old", replaced=False) == untouched
    assert state(place) == "foreign"
    assert recovered(".a.01234567.old", replaced=True) == [f"train_seg/a/{index}.png" for index in range(3)]
    assert state(place) == "stale"


def test_other_hidden_files_are_not_swept(tmp_path: Path) -> None:
    make(tmp_path)
    mine = [tmp_path / "train_seg" / name for name in (".a.01234567.tmp/mine.txt", ".notes.tmp", ".b.old")]
    for file in mine:
        file.parent.mkdir(exist_ok=True)
        file.touch()
    MaskJournal(tmp_path, "train", "method").recover(["a"])
    assert all(file.exists() for file in mine)
    (tmp_path / "link").mkdir()
    (tmp_path / "link/train_seg").symlink_to(tmp_path / "train_seg")
    assert not MaskJournal(tmp_path / "link", "train", "method").has_leftovers()


def pack(root: Path, count: int = 3, picture: np.ndarray = PICTURE, method: str = "method") -> None:
    """Write packed masks of a view as the command does."""
    journal = MaskJournal(root, "train", method, "packed")
    write_packed_masks(root, "train", "a", build_mask_set(boxes(count)), announce=journal.announcing("a", picture))


def packed_state(root: Path, picture: np.ndarray = PICTURE, method: str = "method") -> str:
    return MaskJournal(root, "train", method, "packed").state("a", picture)


def test_packed_masks_that_were_made_are_done(tmp_path: Path) -> None:
    pack(tmp_path)
    assert packed_state(tmp_path) == "done"
    assert MaskJournal(tmp_path, "train", "method", "packed").count("a") == 3
    assert packed_state(tmp_path, PICTURE + 1) == "stale"
    assert packed_state(tmp_path, method="other") == "stale"
    assert state(tmp_path) == "stale"  # in the other form


def test_masks_in_the_other_form_are_made_again(tmp_path: Path) -> None:
    make(tmp_path)
    assert packed_state(tmp_path) == "stale"
    pack(tmp_path)
    assert (packed_state(tmp_path), state(tmp_path)) == ("done", "stale")
    make(tmp_path)
    assert (packed_state(tmp_path), state(tmp_path)) == ("stale", "done")


@pytest.mark.parametrize("change", ["content", "a folder beside it", "a map beside it", "a hierarchy", "a link"])
def test_packed_masks_that_were_changed_are_the_users(tmp_path: Path, change: str) -> None:
    pack(tmp_path)
    file = tmp_path / "train_seg/a.npz"
    if change == "content":
        write_packed(file, build_mask_set(boxes(2)))
    elif change == "a link":
        file.rename(tmp_path / "a.npz")
        file.symlink_to(tmp_path / "a.npz")
    else:
        name = {"a folder beside it": "a/0.png", "a map beside it": "a.png", "a hierarchy": "../x/a_same.npy"}[change]
        name = name.replace("../x", "../train_seg_hierarchy")
        write_image((file.parent / name).with_suffix(".png"), np.ones((4, 4), np.uint8))
        (file.parent / name).with_suffix(".png").rename(file.parent / name)
    assert packed_state(tmp_path) == "foreign"


def test_what_other_processes_have_made_is_seen_anew(tmp_path: Path) -> None:
    journal = MaskJournal(tmp_path, "train", "method", "packed")
    assert journal.state("a", PICTURE) == "absent"
    pack(tmp_path)
    assert journal.state("a", PICTURE) == "absent"
    journal.refresh()
    assert journal.state("a", PICTURE) == "done"


def test_unfinished_packed_files_are_swept(tmp_path: Path) -> None:
    pack(tmp_path)
    (tmp_path / "train_seg/.a.npz.0123abcd.tmp").touch()
    journal = MaskJournal(tmp_path, "train", "method", "packed")
    assert journal.has_leftovers()
    journal.recover(["a"])
    assert sorted(path.name for path in (tmp_path / "train_seg").iterdir()) == [".ultrafield.json", "a.npz"]
