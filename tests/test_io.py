"""Files appear whole or not at all."""

from __future__ import annotations

import os
from pathlib import Path

import cv2
import numpy as np
import pytest

from ultrafield.errors import SceneError
from ultrafield.io import encode_image, fresh_folder, write_image, write_npy, write_npz
from ultrafield.reading import read_npz
from ultrafield.removal import kinds


def test_an_array_comes_back(tmp_path: Path) -> None:
    array = np.arange(6, dtype=np.int16).reshape(2, 3)
    write_npy(tmp_path / "new" / "a.npy", array)
    found = np.load(tmp_path / "new" / "a.npy", allow_pickle=False)
    assert found.dtype == array.dtype
    np.testing.assert_array_equal(found, array)
    assert [path.name for path in (tmp_path / "new").iterdir()] == ["a.npy"]


def test_an_archive_comes_back_compressed_and_in_its_order(tmp_path: Path) -> None:
    rows = np.arange(60_000, dtype=np.int32).reshape(3, 100, 200) // 100
    arrays = {"rows": rows, "columns": np.asfortranarray(rows), "number": np.float64(0.5), "none": np.zeros((0, 2))}
    write_npz(tmp_path / "new" / "a.npz", **arrays)
    found = read_npz(tmp_path / "new" / "a.npz")
    assert list(found) == list(arrays)
    for name, array in arrays.items():
        np.testing.assert_array_equal(found[name], array)
        assert found[name].dtype == np.asarray(array).dtype
    assert found["rows"].flags.c_contiguous
    assert found["columns"].flags.f_contiguous
    assert (tmp_path / "new" / "a.npz").stat().st_size < rows.nbytes / 10
    write_npz(tmp_path / "b.npz", **arrays)
    assert (tmp_path / "b.npz").read_bytes() == (tmp_path / "new" / "a.npz").read_bytes()


def test_objects_are_not_pickled(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="Object arrays"):
        write_npy(tmp_path / "a.npy", np.array([{}]))
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("shape", [(4, 5), (4, 5, 1), (4, 5, 3), (4, 5, 4)])
@pytest.mark.parametrize("kind", [np.uint8, np.uint16])
def test_pictures_come_back(shape: tuple[int, ...], kind: type) -> None:
    image = np.random.default_rng(0).integers(0, 255, shape).astype(kind)
    for given in (image, image[::-1, ::-1]):
        read = cv2.imdecode(np.frombuffer(encode_image(".png", given), np.uint8), cv2.IMREAD_UNCHANGED)
        channels = [2, 1, 0, 3][: shape[2]] if len(shape) == 3 and shape[2] > 1 else slice(None)
        np.testing.assert_array_equal(read.reshape(shape)[..., channels] if len(shape) == 3 else read, given)


@pytest.mark.parametrize("image", [np.zeros((4, 5, 3), bool), np.zeros((4, 5, 3)), np.zeros((4, 5, 2), np.uint8)])
def test_what_is_no_picture_is_refused(image: np.ndarray, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"a\.png: cannot encode an array of shape \[4, 5, "):
        write_image(tmp_path / "a.png", image)
    assert not (tmp_path / "a.png").exists()


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
        with fresh_folder(target, kinds("old|new")) as folder:
            (folder / name).touch()
    assert [path.name for path in target.iterdir()] == ["new"]
    assert [path.name for path in target.parent.iterdir()] == ["folder"]


def test_a_fresh_folder_that_fails_leaves_the_old_one(tmp_path: Path) -> None:
    target = tmp_path / "folder"
    target.mkdir()
    (target / "old").touch()

    def interrupted() -> None:
        with fresh_folder(target, kinds("old")) as folder:
            (folder / "new").touch()
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        interrupted()
    assert [path.name for path in target.iterdir()] == ["old"]
    assert [path.name for path in tmp_path.iterdir()] == ["folder"]


def test_a_fresh_folder_never_replaces_files_of_other_kinds(tmp_path: Path) -> None:
    target = tmp_path / "folder"
    target.mkdir()
    (target / "old").touch()

    def replace() -> None:
        with fresh_folder(target, kinds("old")):
            (target / "late").touch()

    with pytest.raises(SceneError, match=r"folder/late: not a file that is written here, so .*folder is not replaced"):
        replace()
    assert sorted(path.name for path in target.iterdir()) == ["late", "old"]
    assert [path.name for path in tmp_path.iterdir()] == ["folder"]
