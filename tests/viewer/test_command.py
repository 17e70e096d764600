"""`ultrafield view` as it is typed."""

from __future__ import annotations

import os
import shutil
import signal
import socket
import subprocess
import sys
import urllib.request
from pathlib import Path

import pytest

import ultrafield as uf
from ultrafield import cli

pytest.importorskip("viser", reason="needs the extra view")


@pytest.fixture
def run(segmented_toy: uf.Segmentation, tmp_path: Path) -> Path:
    return segmented_toy.save(tmp_path / "run")


def test_it_serves_until_it_is_interrupted_without_pytorch(run: Path, tmp_path: Path) -> None:
    command = [sys.executable, "-X", "importtime", "-m", "ultrafield", "view", str(run), "--port", "0"]
    imports = tmp_path / "imports.txt"
    with (
        open(imports, "w") as errors,
        subprocess.Popen(command, stdout=-1, stderr=errors, text=True, env=os.environ | {"COLUMNS": "200"}) as viewer,
    ):
        assert viewer.stdout is not None
        line = viewer.stdout.readline()
        assert line.endswith("(Ctrl-C ends it)\n")
        url = line.split()[0]
        assert url.startswith("http://127.0.0.1:")
        with urllib.request.urlopen(url, timeout=20) as answer:
            assert answer.status == 200
        viewer.send_signal(signal.SIGINT)
        assert viewer.wait(20) == 130
    names = [text.rpartition("|")[2].strip() for text in imports.read_text().splitlines()]
    assert "viser._viser" in names
    assert "torch" not in names


def test_bad_input_is_one_line(run: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = str(taken.getsockname()[1])
        for arguments, text in (
            ([str(run), "--port", port], f"--port: cannot listen at 127.0.0.1, port {port}"),
            ([str(run), "--port", "70000"], "--port: expected a whole number from 0 to 65535"),
            ([str(run), "--smallest", "0"], "--smallest: expected None, or a whole number from 1"),
            ([str(run), "--host", "nowhere.invalid"], "--host: 'nowhere.invalid' is no address"),
            ([str(tmp_path / "none")], "no such folder"),
        ):
            assert cli.main(["view", *arguments]) == 2
            assert text in capsys.readouterr().err.splitlines()[-1]


def test_an_unfinished_run_without_a_tree(tiny_scene: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    shutil.copytree(tiny_scene, tmp_path / "run")
    assert cli.main(["view", str(tmp_path / "run")]) == 2
    assert "holds no segmentation" in capsys.readouterr().err
