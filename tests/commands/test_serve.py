"""`ultrafield serve` as a user meets it: a run through it, its status, its end."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from ultrafield import cli
from ultrafield.commands import serve
from ultrafield.pipeline.folder import RunFolder
from ultrafield.serve.place import places

OTHERWISE = ("log.jsonl", "stages.json", "report.html")  # what holds seconds
COMMAND = [sys.executable, "-m", "ultrafield"]


@pytest.fixture
def server(runtime_folder: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[subprocess.Popen[str]]:
    """A server that is ready."""
    monkeypatch.setenv("PYTHONPATH", str(Path(cli.__file__).parents[1]))  # absolute: clients are in other folders
    process = subprocess.Popen(
        [*COMMAND, "serve", "--cold", "--device", "cpu"], stderr=subprocess.PIPE, text=True, env=os.environ
    )
    assert process.stderr is not None
    assert process.stderr.readline().startswith(f"serve: ready, process {process.pid}; ")
    yield process
    process.terminate()
    process.communicate(timeout=60)


@pytest.mark.parametrize("found", [True, False])
def test_a_worker_is_ready_without_what_makes_scenes(
    found: bool, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    loaded: list[str] = []
    monkeypatch.setattr(serve, "load_kernels", loaded.append)
    monkeypatch.setattr(serve, "find_spec", lambda name: found or None)
    serve.prepare("cpu", True)
    assert loaded == ["cpu"] * found
    said = capsys.readouterr().err
    assert ("embreex, which is not installed" in " ".join(said.split())) == (not found)
    serve.prepare("cpu", False)
    assert not capsys.readouterr().err


def run(*arguments: str, folder: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run([*COMMAND, *arguments], capture_output=True, text=True, cwd=folder, check=False)


def test_a_run_through_it_is_the_same(
    server: subprocess.Popen[str],
    tiny_scene: Path,
    tiny_run: Path,
    tiny: list[str],
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    scene = os.path.relpath(tiny_scene, tmp_path)
    done = run("run", scene, "--out", "run", "--engine", "field", *tiny, folder=tmp_path)
    assert done.returncode == 0, done.stderr
    assert "train: " in done.stderr
    assert done.stdout.splitlines()[-1] == "run/metrics.json"
    ours, theirs = RunFolder(tmp_path / "run"), RunFolder(tiny_run)
    files = sorted(file.relative_to(tiny_run) for file in tiny_run.rglob("*") if file.is_file())
    assert files == sorted(file.relative_to(ours.root) for file in ours.root.rglob("*") if file.is_file())
    for file in files:
        assert file.name in OTHERWISE or (ours.root / file).read_bytes() == (theirs.root / file).read_bytes(), file
    again = run("run", scene, "--out", "missing/../run", "--engine", "field", *tiny, folder=tmp_path)
    assert "segment: done before, kept" in again.stderr
    refused = run("run", "nowhere", "--out", "other", *tiny, folder=tmp_path)
    alone = run("run", "nowhere", "--out", "other", "--no-serve", *tiny, folder=tmp_path)
    assert (refused.returncode, refused.stderr) == (alone.returncode, alone.stderr)
    assert (alone.returncode, alone.stderr.splitlines()[-1]) == (2, "ultrafield: error: nowhere: no such folder")
    assert cli.main(["serve", "--status"]) == 0
    out = capsys.readouterr().out
    assert f"serve: process {server.pid}, ultrafield " in out
    assert "3 jobs done" in out
    assert cli.main(["serve"]) == 1
    assert f"in use by process {server.pid} on " in capsys.readouterr().err
    assert cli.main(["serve", "--stop"]) == 0
    assert server.wait(60) == 0
    assert cli.main(["serve", "--stop"]) == 0
    assert capsys.readouterr().out.splitlines() == ["stopped", "no server of yours runs on this host"]


def test_what_a_killed_server_left_can_be_removed(runtime_folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (place, _) = places()
    place.prepare()
    with socket.socket(socket.AF_UNIX) as left:
        left.bind(str(place.socket))
    assert cli.main(["serve", "--stop"]) == 0
    assert capsys.readouterr().out == f"removed {place.socket}, left by a server that was killed\n"
    assert not place.socket.exists()
    assert cli.main(["serve", "--status"]) == 1
    assert "no server of yours runs on this host; start one: ultrafield serve" in capsys.readouterr().err


def test_systems_without_unix_sockets(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.delattr(socket, "send_fds", raising=False)
    assert cli.main(["serve"]) == 1
    assert "serve needs Unix sockets, which this system lacks; run does its work itself" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("arguments", "said"), [(["--status", "--stop"], "give one of them"), (["--idle", "0"], "--idle: ")]
)
def test_options_that_cannot_be_used(arguments: list[str], said: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["serve", *arguments]) == 2
    assert said in capsys.readouterr().err
