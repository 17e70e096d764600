"""URLs: scenes come into a cache, runs go to their place, through file systems of fsspec."""

from __future__ import annotations

import json
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

fsspec = pytest.importorskip("fsspec", reason="needs fsspec")

from ultrafield.batch.storage import fetched_run, fetched_scene, find_folders, joined, send_run  # noqa: E402
from ultrafield.batch.worker import follow_copy  # noqa: E402
from ultrafield.config import Config  # noqa: E402
from ultrafield.errors import ConfigError, RunError, SceneError  # noqa: E402
from ultrafield.pipeline.folder import RunFolder  # noqa: E402
from ultrafield.scene.options import SceneOptions  # noqa: E402


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


def test_a_run_follows_its_scene_into_another_cache(tmp_path: Path, memory: Any) -> None:
    memory.pipe({"/data/room/a.json": b"{}", "/other/room/a.json": b"{}"})
    first, second = (fetched_scene("memory://data/room", tmp_path / name) for name in ("one", "two"))
    run = RunFolder(tmp_path / "run")
    follow_copy(run, second)
    assert not run.root.exists()
    run.write_config(first, SceneOptions(), Config())
    with pytest.raises(RunError, match="holds a run on"):
        run.claim(second)
    follow_copy(run, second)
    run.claim(second)
    assert run.read_config().config == Config()
    other = fetched_scene("memory://other/room", tmp_path / "two")
    follow_copy(run, other)
    with pytest.raises(RunError, match="holds a run on"):
        run.claim(other)


def records(*names: str) -> str:
    """A stages.json of one stage that has written some files."""
    record = {"settings": "", "made_from": {}, "seconds": 1.0, "files": {name: [1, ""] for name in names}}
    return json.dumps({"format": 3, "stages": {"segment": record}})


def test_a_run_that_is_sent_leaves_no_file_of_the_run_before(tmp_path: Path, memory: Any) -> None:
    old, new = "views/val/a/0.100.png", "views/val/a/0.200.png"
    memory.pipe({f"/out/room/{old}": b"", "/out/room/views/val/a/9.000.png": b"mine", "/out/x": b"mine"})
    memory.pipe("/out/room/stages.json", records(old, "gone", "../x", "/out/x").encode())
    run = fetched_run("memory://out/room", tmp_path / "one")
    (run / old).unlink()
    (run / new).touch()
    (run / "stages.json").write_text(records(new))
    send_run(run, "memory://out/room")
    kept = {"/out/room/views/val/a/9.000.png", "/out/x"}
    assert set(memory.store) == {f"/out/room/{new}", "/out/room/stages.json", *kept}


def test_a_run_that_is_fetched_leaves_no_file_of_the_run_before(tmp_path: Path, memory: Any) -> None:
    run = fetched_run("memory://out/room", tmp_path)
    (run / "views").mkdir(parents=True)
    for name in ("views/old.png", "notes.txt"):
        (run / name).touch()
    (run / "stages.json").write_text(records("views/old.png"))
    memory.pipe({"/out/room/views/new.png": b"", "/out/room/stages.json": records("views/new.png").encode()})
    assert fetched_run("memory://out/room", tmp_path) == run
    assert {path.name for path in run.rglob("*") if path.is_file()} == {"new.png", "notes.txt", "stages.json"}


@pytest.mark.parametrize("content", [b"", b"[", b"[]", b'{"stages": 3}', b'{"stages": {"a": {"files": 1}}}'])
def test_records_that_cannot_be_read_remove_nothing(tmp_path: Path, memory: Any, content: bytes) -> None:
    run = fetched_run("memory://out/room", tmp_path)
    run.mkdir(parents=True)
    (run / "stages.json").write_text(records("x"))
    memory.pipe({"/out/room/stages.json": content, "/out/room/y": b""})
    send_run(run, "memory://out/room")
    assert set(memory.store) == {"/out/room/stages.json", "/out/room/y"}
