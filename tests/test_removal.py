"""Only what matches is removed; links are never followed."""

from __future__ import annotations

from pathlib import Path

import pytest

from ultrafield.errors import SceneError
from ultrafield.removal import check_ours, find_link, find_stranger, kinds, remove_ours

OURS = kinds(r"\d+\.png", r"sub/[^/]+\.npz")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A folder that holds nothing but files of ours, one of them half-written."""
    folder = tmp_path / "folder"
    for name in ("0.png", "sub/a.npz", "sub/.a.npz.abcd_123.tmp"):
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).touch()
    return folder


def test_a_folder_of_ours_vanishes(folder: Path) -> None:
    check_ours(folder, OURS)
    remove_ours(folder, OURS)
    assert not folder.exists()
    check_ours(folder, OURS)
    remove_ours(folder, OURS)


@pytest.mark.parametrize("name", ["0.jpg", "a.png", "sub/a/b.npz", "sub/0.png", "sub/.b.png.abcd_123.tmp", "1.png.txt"])
def test_what_does_not_match_stays(folder: Path, name: str) -> None:
    (folder / name).parent.mkdir(exist_ok=True)
    (folder / name).write_text("mine")
    with pytest.raises(SceneError, match=f"{name}: not a file that is written here"):
        check_ours(folder, OURS)
    remove_ours(folder, OURS)
    assert [path for path in folder.rglob("*") if path.is_file()] == [folder / name]
    assert (folder / name).read_text() == "mine"


def test_links_are_the_users_whatever_their_names(folder: Path, tmp_path: Path) -> None:
    mine = tmp_path / "mine"
    mine.mkdir()
    (mine / "a.npz").touch()
    (folder / "1.png").symlink_to(mine / "a.npz")
    assert find_link(folder) == find_stranger(folder, OURS) == folder / "1.png"
    (folder / "1.png").unlink()
    assert find_link(folder) is None
    remove_ours(folder / "sub", kinds(".*"))
    (folder / "sub").symlink_to(mine)
    assert find_link(folder) == find_stranger(folder, OURS) == folder / "sub"
    remove_ours(folder, OURS)
    remove_ours(folder / "sub", kinds(".*"))
    assert find_stranger(folder / "sub", kinds(".*")) == folder / "sub"
    assert (mine / "a.npz").exists()


def test_a_file_in_place_of_the_folder_is_a_stranger(tmp_path: Path) -> None:
    (tmp_path / "0.png").touch()
    assert find_stranger(tmp_path / "0.png", OURS) == tmp_path / "0.png"
    assert find_link(tmp_path / "0.png") is None
