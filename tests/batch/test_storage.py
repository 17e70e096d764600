"""URLs: scenes come into a cache, runs go to their place, through file systems of fsspec."""

from __future__ import annotations

import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

fsspec = pytest.importorskip("fsspec", reason="needs fsspec")

from ultrafield.batch.storage import fetched_run, fetched_scene, find_folders, joined, send_run  # noqa: E402
from ultrafield.errors import ConfigError, SceneError  # noqa: E402


@pytest.fixture
def memory() -> Iterator[Any]:
    """An empty file system in memory."""
    files = fsspec.filesystem("memory")
    yield files
    files.store.clear()
    files.pseudo_dirs[:] = [""]


def test_local_places_are_used_as_they_are(tmp_path: Path) -> None:
    assert fetched_scene(f"file://{tmp_path}", tmp_path / "cache") == tmp_path
    assert fetched_run(str(tmp_path), tmp_path / "cache") == tmp_path
    assert joined(f"file://{tmp_path}", "x") == str(tmp_path / "x")
    assert not (tmp_path / "cache").exists()


def test_a_scene_is_copied_once_and_follows_its_place(tmp_path: Path, memory: Any) -> None:
    memory.pipe({"/data/room/a.json": b"{}", "/data/room/train/0.png": b"picture", "/data/other/b": b""})
    folder = fetched_scene("memory://data/room", tmp_path)
    assert folder.name == "room"
    assert {path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file()} == {
        "a.json",
        "train/0.png",
    }
    (folder / "train" / "0.png").write_bytes(b"mine")  # of the recorded size and time: not fetched again
    assert (fetched_scene("memory://data/room/", tmp_path) / "train" / "0.png").read_bytes() == b"mine"
    memory.pipe("/data/room/train/0.png", b"new picture")
    memory.rm("/data/room/a.json")
    assert fetched_scene("memory://data/room", tmp_path) == folder
    assert (folder / "train" / "0.png").read_bytes() == b"new picture"
    assert not (folder / "a.json").exists()
    assert find_folders("memory://data/*") == ["memory:///data/other", "memory:///data/room"]


def test_a_scene_is_read_from_an_archive(tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "scenes.zip", "w") as archive:
        archive.writestr("room/a.json", "{}")
    folder = fetched_scene(f"zip://room::file://{tmp_path / 'scenes.zip'}", tmp_path / "cache")
    assert (folder / "a.json").read_text() == "{}"


def test_a_run_is_sent_whole_and_goes_on_elsewhere(tmp_path: Path, memory: Any) -> None:
    run = fetched_run("memory://out/room", tmp_path / "one")
    for name in ("labels/a.npz", "state.pt", ".ultrafield.lock", ".x.0123abcd.tmp", "stages.json"):
        (run / name).parent.mkdir(parents=True, exist_ok=True)
        (run / name).write_text(name)
    send_run(run, "memory://out/room")
    assert set(memory.store) == {"/out/room/labels/a.npz", "/out/room/stages.json"}
    again = fetched_run("memory://out/room", tmp_path / "two")
    assert (again / "labels" / "a.npz").read_text() == "labels/a.npz"
    memory.pipe("/out/room/labels/a.npz", b"theirs")
    send_run(again, "memory://out/room")  # the same records: nothing is sent
    assert memory.cat("/out/room/labels/a.npz") == b"theirs"


@pytest.mark.parametrize(
    ("url", "kind", "text"),
    [
        ("memory://nowhere", SceneError, "memory://nowhere: there are no files"),
        ("nonsense://x", ConfigError, "nonsense://x: Protocol not known: nonsense"),
        ("s3://bucket/x", ConfigError, "s3://bucket/x: Install s3fs"),
    ],
)
def test_a_place_that_cannot_be_reached_is_named(
    tmp_path: Path, memory: Any, url: str, kind: type[Exception], text: str
) -> None:
    if url.startswith("s3"):
        try:
            import s3fs  # noqa: F401
        except ImportError:
            pass
        else:
            pytest.skip("s3fs is installed")
    with pytest.raises(kind) as failure:
        fetched_scene(url, tmp_path)
    assert text in str(failure.value)


def test_names_at_a_place_cannot_lead_out_of_the_cache(tmp_path: Path, memory: Any) -> None:
    memory.store["/data/room/../../x"] = memory.store.get("x") or _file(memory)
    with pytest.raises(SceneError, match="cannot be a file name"):
        fetched_scene("memory://data/room", tmp_path)


def _file(memory: Any) -> Any:
    memory.pipe("/y", b"")
    return memory.store.pop("/y")
