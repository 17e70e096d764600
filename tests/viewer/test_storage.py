"""Runs that are opened to be looked at: whole, damaged, newer, read-only, busy, changed meanwhile."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

import ultrafield as uf
from ultrafield import cli
from ultrafield.errors import RunError
from ultrafield.owner import LOCK_NAME, BusyError, owned
from ultrafield.pipeline.folder import RunFolder
from ultrafield.scene import images, views
from ultrafield.viewer.storage import open_for_viewing
from ultrafield.viewer.views import ViewBook


@pytest.fixture
def run(segmented_toy: uf.Segmentation, tmp_path: Path) -> Path:
    return segmented_toy.save(tmp_path / "run")


def test_edits_are_stored_and_used_by_later_commands(run: Path, capsys: pytest.CaptureFixture[str]) -> None:
    opened = open_for_viewing(run)
    assert opened.locked is None
    assert opened.remarks == ()
    opened.edits.rename(7, "Ä <b>")
    opened.save()
    assert uf.open_run(run).names == {7: "Ä <b>"}
    assert cli.main(["find", str(run), "ä"]) == 0
    assert "Ä <b>" in capsys.readouterr().out
    opened.edits.undo()
    opened.save()
    assert uf.open_run(run).names == {}


def test_what_others_stored_meanwhile_is_not_overwritten(run: Path) -> None:
    opened = open_for_viewing(run)
    assert cli.main(["name", str(run), "--node", "3", "--name", "theirs"]) == 0
    opened.edits.rename(7, "ours")
    with pytest.raises(RunError, match=r"edits.json: changed by another program since it was read"):
        opened.save()
    assert uf.open_run(run).names == {3: "theirs"}


def test_a_busy_folder_is_shown_and_stored_to_later(run: Path) -> None:
    holder = (
        f"import sys\nfrom pathlib import Path\nfrom ultrafield.owner import owned\n"
        f"with owned(Path({str(run)!r})):\n    print('held', flush=True)\n    sys.stdin.readline()\n"
    )
    with subprocess.Popen([sys.executable, "-c", holder], stdin=-1, stdout=-1, text=True) as other:
        assert other.stdout is not None
        assert other.stdin is not None
        assert other.stdout.readline() == "held\n"
        opened = open_for_viewing(run)
        assert opened.locked is None
        opened.edits.rename(7, "later")
        with pytest.raises(BusyError, match="in use by process"):
            opened.save()
        other.stdin.write("\n")
        other.stdin.flush()
        other.wait(20)
    opened.save()
    assert uf.open_run(run).names == {7: "later"}


def test_newer_and_broken_edits_are_left_alone(run: Path) -> None:
    edits = run / "edits.json"
    for text, reason in (
        (json.dumps({"version": 99, "tree": "", "edits": []}), "written by a newer ultrafield"),
        ("{", "edits.json"),
    ):
        edits.write_text(text)
        opened = open_for_viewing(run)
        assert opened.locked is not None
        assert reason in opened.locked
        assert opened.remarks == (f"{opened.locked}; shown without edits, and nothing can be edited",)
        assert len(opened.segmentation.levels) > 0
        with pytest.raises(RunError, match=r"edits.json"):
            opened.save()
        assert edits.read_text() == text


def test_an_unfinished_run_is_shown_without_edits(tiny_run: Path, tmp_path: Path) -> None:
    run = shutil.copytree(tiny_run, tmp_path / "run")
    (run / "labels").rename(tmp_path / "labels")
    opened = open_for_viewing(run)
    assert opened.locked is not None
    assert "missing" in opened.locked
    assert opened.edits.tree.num_leaves == len(opened.segmentation.surface)


def test_a_folder_that_cannot_be_owned_is_shown(run: Path) -> None:
    (run / LOCK_NAME).mkdir()  # as where files cannot be made: nobody can own the folder
    opened = open_for_viewing(run)
    assert opened.locked is not None
    assert opened.locked.startswith(f"{run}: ")
    assert opened.remarks == (f"{opened.locked}; nothing can be edited",)
    with pytest.raises(RunError, match=str(run)):
        opened.save()


def test_a_folder_where_a_file_belongs_is_shown(run: Path) -> None:
    (run / "edits.json").mkdir()
    opened = open_for_viewing(run)
    assert opened.locked is not None
    assert "edits.json" in opened.locked


def test_a_photograph_that_changed_while_it_is_looked_at_gives_way_to_its_rendering(
    tiny_run: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(views, "pictures_fit", lambda sizes: False)
    book = ViewBook(open_for_viewing(tiny_run))
    assert book.see(0).source == "photograph"
    monkeypatch.setattr(images, "_stamp", lambda file: (0, 0))
    assert book.see(1).source == "radiance field"


def test_what_holds_no_tree_is_refused(run: Path, tmp_path: Path, segmented_toy: uf.Segmentation) -> None:
    with pytest.raises(RunError, match="no such folder"):
        open_for_viewing(tmp_path / "none")
    (tmp_path / "empty").mkdir()
    with pytest.raises(RunError, match="holds no segmentation"):
        open_for_viewing(tmp_path / "empty")
    (run / "edits.json").write_text("{")
    surface = segmented_toy.surface
    nothing = np.zeros((0, 1), np.uint8)
    shorter = uf.Surface(surface.points[:8], surface.normals[:8], surface.colors[:8], nothing, 0.1)
    RunFolder(run).write_surface(shorter)
    with pytest.raises(RunError, match=r"tree.npz is not that of surface.npz"):
        open_for_viewing(run)
    (run / "tree.npz").write_bytes(b"nonsense")
    with pytest.raises(RunError, match=r"tree\.npz"):
        open_for_viewing(run)


def test_nothing_is_left_behind_by_looking(run: Path) -> None:
    before = {file.name for file in run.iterdir()}
    open_for_viewing(run)
    assert {file.name for file in run.iterdir()} == before
    with owned(run):
        pass
