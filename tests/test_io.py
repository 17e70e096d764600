"""Files appear whole or not at all."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pytest

from ultrafield.io import fresh_folder, write_npy


def test_an_array_comes_back(tmp_path: Path) -> None:
    array = np.arange(6, dtype=np.int16).reshape(2, 3)
    write_npy(tmp_path / "new" / "a.npy", array)
    found = np.load(tmp_path / "new" / "a.npy", allow_pickle=False)
    assert found.dtype == array.dtype
    np.testing.assert_array_equal(found, array)
    assert [path.name for path in (tmp_path / "new").iterdir()] == ["a.npy"]


def test_objects_are_not_pickled(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="Object arrays"):
        write_npy(tmp_path / "a.npy", np.array([{}]))
    assert list(tmp_path.iterdir()) == []


def test_a_full_disk_keeps_the_old_array(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    write_npy(tmp_path / "a.npy", np.zeros(3))
    monkeypatch.setattr(os, "replace", full)
    with pytest.raises(OSError, match="No space left") as failure:
        write_npy(tmp_path / "a.npy", np.ones(3))
    assert failure.value.filename == str(tmp_path / "a.npy")
    assert [path.name for path in tmp_path.iterdir()] == ["a.npy"]
    np.testing.assert_array_equal(np.load(tmp_path / "a.npy"), np.zeros(3))


def test_a_fresh_folder_replaces_the_old_one(tmp_path: Path) -> None:
    target = tmp_path / "new" / "folder"
    for name in ("old", "new"):
        with fresh_folder(target) as folder:
            (folder / name).touch()
    assert [path.name for path in target.iterdir()] == ["new"]
    assert [path.name for path in target.parent.iterdir()] == ["folder"]


def test_a_fresh_folder_that_fails_leaves_the_old_one(tmp_path: Path) -> None:
    target = tmp_path / "folder"
    target.mkdir()
    (target / "old").touch()

    def interrupted() -> None:
        with fresh_folder(target) as folder:
            (folder / "new").touch()
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        interrupted()
    assert [path.name for path in target.iterdir()] == ["old"]
    assert [path.name for path in tmp_path.iterdir()] == ["folder"]
