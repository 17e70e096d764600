"""Views, label maps and weights of the published commands are checked before anything is computed from them."""

from __future__ import annotations

import io
import pickle
import zipfile
from pathlib import Path

import numpy as np
import pytest
import torch

from ultrafield import budget
from ultrafield.errors import RunError
from ultrafield.io import write_json, write_npy
from ultrafield.published.checkpoint import read_checkpoint
from ultrafield.published.evaluate import _read_maps, read_vis
from ultrafield.published.stored import read_to_user, read_view, read_view_list
from ultrafield.scene import load_scene
from ultrafield.training.checkpoint import load_archive


class Bait:
    """Unpickled, it leaves a file behind."""

    def __init__(self, file: Path) -> None:
        self.file = file

    def __reduce__(self) -> tuple[object, tuple[str, str]]:
        return open, (str(self.file), "w")


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (np.zeros((4, 5)), "expected a map"),
        (np.zeros((4, 5, 1), int), "expected a map"),
        (np.zeros((0, 5), int), "expected a map"),
        (np.full((4, 5), -1), "expected numbers from 0 to 200, got -1 to -1"),
        (np.full((4, 5), 201), "expected numbers from 0 to 200"),
        (np.zeros((4, 6), int), r"expected shape \[4, 5\] like 0.010.npy, got \[4, 6\]"),
        (b"", "does not begin as an .npy file does"),
        (b"\x93NUMPY\x09\x01", "format version 9.1"),
        (np.array([[None]]), "Python objects"),
    ],
)
def test_label_maps_that_cannot_be_used(tmp_path: Path, content: np.ndarray | bytes, reason: str) -> None:
    write_npy(tmp_path / "0.010.npy", np.zeros((4, 5), np.int64))
    write_npy(tmp_path / "notes.npy", np.zeros(3))  # no threshold: not a label map
    file = tmp_path / "0.020.npy"
    if isinstance(content, bytes):
        file.write_bytes(content)
    else:
        np.save(file, content, allow_pickle=True)
    with pytest.raises(RunError, match=rf"0\.020\.npy: .*{reason}"):
        _read_maps(tmp_path)
    write_npy(file, np.full((4, 5), 200))
    assert _read_maps(tmp_path).tolist() == [[[0] * 5] * 4, [[-1] * 5] * 4]


def test_views_with_different_numbers_of_label_maps(tmp_path: Path, tiny_scene: Path) -> None:
    scene = load_scene(tiny_scene, progress=False)
    for view in range(4):
        for threshold in ("0.010", "0.020")[: 1 if view == 3 else 2]:
            write_npy(tmp_path / str(view) / f"{threshold}.npy", np.zeros((4, 4), np.int64))
    with pytest.raises(RunError, match=r"3: expected 2 label maps as in .*0, found 1; run 3dseg\.py again"):
        read_vis(tmp_path, scene, rotated=True)
    labels, rotated = read_vis(tmp_path, scene, rotated=False)
    assert [view.shape for view in labels] == [(2, 4, 4)] * 2
    assert rotated is None


@pytest.mark.parametrize(
    "content",
    [
        [],
        {},
        {"training": []},
        {"training": 1, "test": []},
        {"training": [1], "test": []},
        {"training": [".."], "test": []},
        None,
        "x",
    ],
)
def test_lists_of_views_that_cannot_be_used(tmp_path: Path, content: object) -> None:
    write_json(tmp_path / "views.json", content)
    with pytest.raises(RunError, match=r"views\.json: cannot be used"):
        read_view_list(tmp_path)


@pytest.mark.parametrize(
    "matrix",
    [np.zeros((4, 4)), np.full((4, 4), np.nan), np.eye(3), np.diag([1.0, 2.0, 3.0, 1.0]), np.eye(4, dtype=int)],
)
def test_frames_that_cannot_be_used(tmp_path: Path, matrix: np.ndarray) -> None:
    write_npy(tmp_path / "to_user.npy", matrix)
    with pytest.raises(RunError, match=r"to_user\.npy: "):
        read_to_user(tmp_path)


def view_files(folder: Path) -> None:
    write_npy(folder / "000_surface.npy", np.zeros((2, 3, 3), np.float32))
    write_npy(folder / "000_d.npy", np.zeros(6, np.float32))
    torch.save(torch.ones(6, 4), folder / "000_f.pth")


@pytest.mark.parametrize(
    ("name", "array"),
    [
        ("000_surface.npy", np.zeros((2, 3), np.float32)),
        ("000_surface.npy", np.full((2, 3, 3), np.inf, np.float32)),
        ("000_surface.npy", np.full((2, 3, 3), 1e30)),
        ("000_surface.npy", np.zeros((2, 3, 3), int)),
        ("000_d.npy", np.full(6, np.nan, np.float32)),
        ("000_d.npy", np.zeros(7, np.float32)),
        ("000_f.pth", torch.ones(5, 4)),
        ("000_f.pth", torch.ones(6)),
        ("000_f.pth", torch.full((6, 4), np.nan)),
        ("000_f.pth", torch.ones(6, 4, dtype=torch.int32)),
        ("000_f.pth", {"a": 1}),
        ("000_f.pth", torch.ones(1, 1).expand(6, 1 << 40)),
    ],
)
def test_views_that_cannot_be_used(tmp_path: Path, name: str, array: object) -> None:
    view_files(tmp_path)
    assert read_view(tmp_path, "000", features=True).features is not None
    if isinstance(array, np.ndarray):
        write_npy(tmp_path / name, array)
    else:
        torch.save(array, tmp_path / name)
    with pytest.raises(RunError, match=name.replace(".", r"\.")):
        read_view(tmp_path, "000", features=True)


def test_archives_execute_nothing_and_take_no_more_than_the_limit(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file, executed = tmp_path / "a.ckpt", tmp_path / "executed"
    torch.save({"epoch": torch.ones(3)}, file)
    whole = file.read_bytes()
    for content in (pickle.dumps(Bait(executed)), b"", whole[:200], _with(whole, pickle.dumps(Bait(executed)))):
        file.write_bytes(content)
        with pytest.raises(RunError, match=r"a\.ckpt: cannot be read"):
            load_archive(file)
        with pytest.raises(RunError, match=r"a\.ckpt: not a checkpoint"):
            read_checkpoint(file)
    assert not executed.exists()
    for packed, reason in (
        (zipfile.ZIP_DEFLATED, "is compressed"),
        (zipfile.ZIP_STORED, "its structure takes too much"),
    ):
        with zipfile.ZipFile(file, "w", packed) as archive:
            archive.writestr("a/data.pkl", bytes(17 << 20))
        with pytest.raises(RunError, match=rf"a\.ckpt: cannot be read \({reason}"):
            load_archive(file)
    monkeypatch.setattr(budget, "_MOST_BYTES", 100_000_000)
    with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as archive, archive.open("a/data.pkl", "w") as member:
        for _ in range(7):
            member.write(bytes(1 << 24))
    with pytest.raises(RunError, match=r"a\.ckpt: cannot be read \(takes 117 MB; a larger --memory raises the limit\)"):
        load_archive(file)


def _with(content: bytes, program: bytes) -> bytes:
    """An archive of torch's with another pickle."""
    stream = io.BytesIO()
    with zipfile.ZipFile(io.BytesIO(content)) as source, zipfile.ZipFile(stream, "w") as target:
        for item in source.infolist():
            target.writestr(item, program if item.filename.endswith("data.pkl") else source.read(item))
    return stream.getvalue()
