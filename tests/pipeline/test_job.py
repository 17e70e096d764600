"""Jobs on scenes of which a file or folder lists the cameras."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
from exported import colmap_text, metashape

from ultrafield.config import preset
from ultrafield.errors import RunError
from ultrafield.pipeline.console import Report
from ultrafield.pipeline.folder import RunFolder
from ultrafield.pipeline.job import open_job, reopen_job
from ultrafield.scene.options import SceneOptions


def opened(path: Path, run: Path, data: SceneOptions | None = None):
    job = open_job(path, data or SceneOptions(), RunFolder(run), preset("draft"), device="cpu", report=Report.silent())
    job.write_config()
    return job


def test_a_model_stays_the_one_that_was_named(tmp_path: Path) -> None:
    root = tmp_path / "scene"
    root.mkdir()
    colmap_text(root)
    shutil.copytree(root / "sparse/0", root / "sparse/1")
    lines = (root / "sparse/1/images.txt").read_text().splitlines()
    (root / "sparse/1/images.txt").write_text("\n".join(lines[:11]) + "\n")
    job = opened(root / "sparse/1", tmp_path / "run")
    assert (job.scene.root, sum(map(len, job.scene.splits.values()))) == (root, 5)
    again = reopen_job(RunFolder(tmp_path / "run"), device="cpu", report=Report.silent())
    assert again.source == job.source
    assert again.stages == job.stages


def test_pictures_elsewhere_are_found_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    root = tmp_path / "scene"
    root.mkdir()
    metashape(root)
    (root / "images").rename(tmp_path / "photos")
    monkeypatch.chdir(tmp_path)
    job = opened(Path("scene/cameras.xml"), tmp_path / "run", SceneOptions(images=Path("photos")))
    monkeypatch.chdir("/")
    again = reopen_job(RunFolder(tmp_path / "run"), device="cpu", report=Report.silent())
    assert again.source.content == job.source.content
    assert again.source.data.images == tmp_path / "photos"


def test_a_run_beside_a_file_of_cameras_but_not_around_it(tmp_path: Path) -> None:
    metashape(tmp_path)
    assert opened(tmp_path / "cameras.xml", tmp_path / "run").scene.layout == "metashape"
    with pytest.raises(RunError, match="holds the scene"):
        opened(tmp_path / "cameras.xml", tmp_path)
