"""`ultrafield masks`: continuing, replacing, and what `run` makes of masks that hold nothing."""

from __future__ import annotations

import os
import shutil
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest

from ultrafield import cli
from ultrafield.io import write_image
from ultrafield.masks import write_masks
from ultrafield.owner import owned
from ultrafield.reading import read_image


def tree(folder: Path) -> dict[str, bytes]:
    """Contents of all files below a folder."""
    return {
        file.relative_to(folder).as_posix(): file.read_bytes() for file in sorted(folder.rglob("*")) if file.is_file()
    }


def interrupt_after(monkeypatch: pytest.MonkeyPatch, count: int) -> None:
    """Let Ctrl-C arrive while mask number `count` of the process is written."""
    from ultrafield.masks import write

    real, written = write.write_image, []

    def interrupted(path: Path, image: np.ndarray) -> None:
        if len(written) == count:
            raise KeyboardInterrupt
        written.append(path)
        real(path, image)

    monkeypatch.setattr(write, "write_image", interrupted)


def test_interrupted_masks_go_on_and_finished_ones_are_kept(
    bare: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    whole = tmp_path / "whole"
    assert cli.main(["masks", str(bare), "--out", str(whole)]) == 0
    result = capsys.readouterr().out.replace(str(whole), str(bare))
    with monkeypatch.context() as patch:
        interrupt_after(patch, 40)
        assert cli.main(["masks", str(bare)]) == 130
    done = [folder.name for folder in (bare / "train_seg").iterdir() if folder.is_dir()]
    assert 0 < len(done) < 6
    capsys.readouterr()
    assert cli.main(["masks", str(bare)]) == 0
    said = capsys.readouterr()
    assert f"masks: {len(done)} of 6 views done before, kept" in said.err
    assert said.out == result
    for name in ("train_seg", "train_seg_hierarchy"):
        assert tree(bare / name) == tree(whole / name)


@pytest.mark.parametrize("extra", [[], ["--overwrite"]])
def test_finished_masks_are_kept_and_nothing_is_written(
    bare: Path, extra: list[str], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert cli.main(["masks", str(bare)]) == 0
    before = tree(bare)
    times = {path: path.stat().st_mtime_ns for path in bare.rglob("*")}
    first = capsys.readouterr().out

    def forbidden(*_: object, **__: object) -> None:
        raise AssertionError("written")

    for name in ("mkdir", "rename", "replace", "unlink"):
        monkeypatch.setattr(os, name, forbidden)
    assert cli.main(["masks", str(bare), *extra]) == 0
    said = capsys.readouterr()
    assert "masks: done before, kept" in said.err
    assert said.out == first
    assert tree(bare) == before
    assert {path: path.stat().st_mtime_ns for path in bare.rglob("*")} == times


def test_masks_of_a_picture_that_changed_are_made_again(bare: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["masks", str(bare)]) == 0
    before = tree(bare / "train_seg")
    shutil.copyfile(bare / "train/r_1.png", bare / "train/r_0.png")
    capsys.readouterr()
    assert cli.main(["masks", str(bare)]) == 0
    assert "5 of 6 views done before, kept" in capsys.readouterr().err
    after = tree(bare / "train_seg")
    masks = {name: content for name, content in after.items() if name.startswith("r_0/")}
    assert masks == {
        name.replace("r_1/", "r_0/"): content for name, content in before.items() if name.startswith("r_1/")
    }


def test_masks_are_replaced_one_view_after_the_other(
    bare: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    for index in range(6):
        write_masks(bare, "train", f"r_{index}", np.ones((1, 32, 32), bool))
    mine = tree(bare)
    with monkeypatch.context() as patch:
        interrupt_after(patch, 40)
        assert cli.main(["masks", str(bare), "--overwrite"]) == 130
    after = tree(bare)
    views = {f"r_{index}" for index in range(6)}
    replaced = {view for view in views if f"train_seg/{view}/1.png" in after}
    assert 0 < len(replaced) < 6
    kept = [name for name in mine if not any(f"/{view}" in name for view in replaced)]
    assert all(after[name] == mine[name] for name in kept)
    assert cli.main(["masks", str(bare)]) == 2
    assert "may be your work" in capsys.readouterr().err
    assert tree(bare) == after
    assert cli.main(["masks", str(bare), "--overwrite"]) == 0
    assert f"{len(replaced)} of 6 views done before, kept" in capsys.readouterr().err


def test_masks_of_another_size_are_replaced_after_an_interrupt(bare: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert cli.main(["masks", str(bare)]) == 0
    with monkeypatch.context() as patched:
        interrupt_after(patched, 5)
        assert cli.main(["masks", str(bare), "--overwrite", "--width", "20"]) == 130
    assert cli.main(["masks", str(bare), "--overwrite", "--width", "20"]) == 0
    shapes = {read_image(file).shape[:2] for file in bare.glob("train_seg/*/*.png")}
    assert [shape[1] for shape in shapes] == [20]


def test_other_files_among_the_masks_stay(bare: Path) -> None:
    notes = [bare / "train_seg" / name for name in ("notes.txt", "r_9/0.jpg", ".hidden", "r_9.png")]
    write_image(bare / "train_seg/r_9/0.jpg", np.ones((32, 32), np.uint8))
    write_image(bare / "train_seg/r_9.png", np.ones((32, 32), np.uint8))
    for note in notes:
        note.touch()
    before = tree(bare)
    assert cli.main(["masks", str(bare), "--out", str(bare), "--masks", str(_elsewhere(bare))]) == 0
    assert {name: content for name, content in tree(bare).items() if name in before} == before


def _elsewhere(bare: Path) -> Path:
    folder = bare.parent / "elsewhere"
    write_masks(folder, "train", "r_0", np.ones((1, 32, 32), bool))
    return folder


def test_leftovers_of_a_killed_process_are_swept(bare: Path) -> None:
    assert cli.main(["masks", str(bare)]) == 0
    before = tree(bare)
    for name in ("train_seg/.r_0.0123abcd.tmp/7.png", "train_seg_hierarchy/.r_0_same.npy.0123abcd.tmp"):
        (bare / name).parent.mkdir(exist_ok=True)
        (bare / name).touch()
    assert cli.main(["masks", str(bare)]) == 0
    assert tree(bare) == before
    assert not (bare / "train_seg/.r_0.0123abcd.tmp").exists()


def test_two_at_once_do_not_write_the_same_masks(bare: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with ThreadPoolExecutor(1) as other:  # a lock lets its own thread in again
        held = owned(bare)
        other.submit(held.__enter__).result()
        try:
            before = tree(bare)
            assert cli.main(["masks", str(bare)]) != 0
            assert f"{bare}: in use by" in capsys.readouterr().err
            assert tree(bare) == before
        finally:
            other.submit(held.__exit__, None, None, None).result()
    assert cli.main(["masks", str(bare)]) == 0


@pytest.mark.parametrize("kind", ["folders", "black"])
@pytest.mark.parametrize(
    "command", [["run", "--engine", "lift"], ["run", "--engine", "field"], ["train", "--engine", "both"]]
)
def test_masks_that_hold_nothing_are_refused_before_training(
    bare: Path, tmp_path: Path, tiny: list[str], kind: str, command: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    for index in range(6):
        if kind == "folders":
            (bare / f"train_seg/r_{index}").mkdir(parents=True)
        else:
            write_image(bare / f"train_seg/r_{index}/0.png", np.zeros((32, 32), np.uint8))
    run = tmp_path / "run"
    assert cli.main([command[0], str(bare), "--out", str(run), *command[1:], *tiny]) == 2
    text = f"{bare}: 6 of 6 training views have a folder or an id map for masks, but none of them holds a mask"
    assert text in capsys.readouterr().err
    assert not (run / "field.safetensors").exists()
