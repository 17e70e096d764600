"""`ultrafield masks --model sam`: one packed file per view, continuing, sharing a folder, and what is refused."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pytest
import torch

from ultrafield import cli
from ultrafield.masks import read_masks
from ultrafield.masks.claims import Claims
from ultrafield.masks.packed import read_qualities
from ultrafield.masks.sam.checkpoint import open_checkpoint
from ultrafield.masks.sam.generator import MaskGenerator
from ultrafield.masks.sam.network import Network
from ultrafield.masks.sam.options import GeneratorOptions
from ultrafield.scene import load_scene

from .test_masks import tree

OPTIONS = ["--points-per-side", "4", "--stability-score-thresh", "0.3", "--pred-iou-thresh", "0.7"]
SETTINGS = GeneratorOptions(points_per_side=4, stability_score_thresh=0.3, pred_iou_thresh=0.7)


@pytest.fixture
def command(checkpoints: dict[str, Path]) -> list[str]:
    """Options of a small network."""
    return ["--model", "sam", "--checkpoint", str(checkpoints["sam"]), *OPTIONS]


def files(folder: Path) -> dict[str, bytes]:
    """Packed files by name."""
    return {name: content for name, content in tree(folder / "train_seg").items() if name.endswith(".npz")}


@contextmanager
def claimed(folder: Path, view: str) -> Iterator[None]:
    """A view that another process is making."""
    with ThreadPoolExecutor(1) as other:  # a lock lets its own thread in again
        claims = Claims(folder, "train")
        assert other.submit(claims.take, view).result()
        try:
            yield
        finally:
            other.submit(claims.give_all_back).result()


def test_each_view_gets_a_packed_file_with_scores(
    bare: Path, command: list[str], checkpoints: dict[str, Path], capsys: pytest.CaptureFixture[str]
) -> None:
    assert cli.main(["masks", str(bare), *command]) == 0
    said = capsys.readouterr()
    scene = load_scene(bare, progress=False)
    assert sorted(files(bare)) == [f"r_{index}.npz" for index in range(6)]
    assert not (bare / "train_seg_hierarchy").exists()
    generator = MaskGenerator(
        Network(open_checkpoint("sam", str(checkpoints["sam"])), torch.device("cpu"), "float32"), SETTINGS
    )
    total = 0
    for view in scene.train:
        assert view.image is not None
        assert view.masks is not None
        expected = generator.generate(view.image)
        np.testing.assert_array_equal(view.masks.bits, expected.bits)
        np.testing.assert_array_equal(view.masks.inside, expected.mask_set().inside)
        qualities = read_qualities(bare / f"train_seg/{view.name}.npz")
        np.testing.assert_array_equal(qualities["predicted_iou"], expected.scores)
        np.testing.assert_array_equal(qualities["stability_score"], expected.stability)
        np.testing.assert_array_equal(qualities["point_coords"], expected.points)
        total += len(expected)
    assert total > 12
    assert said.out == f"{bare / 'train_seg'}: {total} masks of 6 views\n"
    assert "sam, float32 on cpu" in said.err


def test_finished_views_are_kept_and_interrupted_ones_made(
    bare: Path, command: list[str], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    real, made = MaskGenerator.generate, []

    def interrupted(self: MaskGenerator, picture: np.ndarray) -> object:
        if len(made) == 3:
            raise KeyboardInterrupt
        made.append(picture)
        return real(self, picture)

    with monkeypatch.context() as patch:
        patch.setattr(MaskGenerator, "generate", interrupted)
        assert cli.main(["masks", str(bare), *command]) == 130
    first = files(bare)
    assert 1 <= len(first) <= 3
    assert not list((bare / "train_seg").glob(".*.claim"))
    assert not list((bare / "train_seg").glob(".*.tmp"))
    capsys.readouterr()
    assert cli.main(["masks", str(bare), *command]) == 0
    assert f"masks: {len(first)} of 6 views done before, kept" in capsys.readouterr().err
    whole = files(bare)
    assert len(whole) == 6
    assert first.items() <= whole.items()
    monkeypatch.setattr("ultrafield.masks.sam.network.Network.__init__", None)  # not even loaded
    assert cli.main(["masks", str(bare), *command]) == 0
    assert "masks: done before, kept" in capsys.readouterr().err
    assert files(bare) == whole


def test_other_settings_make_other_masks_but_not_other_batches(
    bare: Path, command: list[str], checkpoints: dict[str, Path], capsys: pytest.CaptureFixture[str]
) -> None:
    assert cli.main(["masks", str(bare), *command]) == 0
    before = files(bare)
    assert cli.main(["masks", str(bare), *command, "--points-per-batch", "3"]) == 0
    assert "masks: done before, kept" in capsys.readouterr().err
    assert cli.main(["masks", str(bare), *command, "--box-nms-thresh", "0.3"]) == 0
    assert files(bare) != before
    assert cli.main(["masks", str(bare), "--model", "sam2", "--checkpoint", str(checkpoints["sam2"]), *OPTIONS]) == 0
    assert "done before" not in capsys.readouterr().err


def test_processes_share_a_folder_view_by_view(
    bare: Path, command: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    with claimed(bare, "r_2"):
        assert cli.main(["masks", str(bare), *command]) == 0
        said = capsys.readouterr().err
        assert "masks: 1 of 6 views are being made by other processes" in said
        assert len(files(bare)) == 5
        assert "r_2.npz" not in files(bare)
        assert cli.main(["masks", str(bare)]) == 1  # watersheds share with nobody
        assert "in use by process" in capsys.readouterr().err
    assert cli.main(["masks", str(bare), *command]) == 0
    assert "masks: 5 of 6 views done before, kept" in capsys.readouterr().err
    assert len(files(bare)) == 6


def test_what_another_process_has_made_since_is_not_made_again(
    bare: Path, command: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert cli.main(["masks", str(bare), *command, "--out", str(tmp_path / "whole")]) == 0
    real, made = MaskGenerator.generate, []

    def generate(self: MaskGenerator, picture: np.ndarray) -> object:
        made.append(picture)
        if len(made) == 1:  # meanwhile
            assert len(files(tmp_path / "shared")) == 0
            shutil.copytree(tmp_path / "whole/train_seg", tmp_path / "shared/train_seg", dirs_exist_ok=True)
        return real(self, picture)

    monkeypatch.setattr(MaskGenerator, "generate", generate)
    assert cli.main(["masks", str(bare), *command, "--out", str(tmp_path / "shared")]) == 0
    assert len(made) == 1
    assert files(tmp_path / "shared").keys() == files(tmp_path / "whole").keys()


def test_pictures_may_be_written_instead(bare: Path, command: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["masks", str(bare), *command]) == 0
    packed = [read_masks(bare, "train", f"r_{index}") for index in range(6)]
    result = capsys.readouterr().out
    assert cli.main(["masks", str(bare), *command, "--format", "png"]) == 0
    assert capsys.readouterr().out == result
    assert files(bare) == {}
    for index, masks in enumerate(packed):
        assert masks is not None
        found = read_masks(bare, "train", f"r_{index}")
        assert found is not None
        assert {found.mask(number).tobytes() for number in range(len(found))} == {
            masks.mask(number).tobytes() for number in range(len(masks))
        }


def test_watersheds_may_be_packed(bare: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["masks", str(bare), "--format", "packed"]) == 0
    result = capsys.readouterr().out.replace(str(bare), "")
    assert cli.main(["masks", str(bare), "--out", str(tmp_path / "png")]) == 0
    assert capsys.readouterr().out.replace(str(tmp_path / "png"), "") == result
    for index in range(6):
        packed, pictures = (read_masks(root, "train", f"r_{index}") for root in (bare, tmp_path / "png"))
        assert packed is not None
        assert pictures is not None
        assert {packed.mask(number).tobytes() for number in range(len(packed))} == {
            pictures.mask(number).tobytes() for number in range(len(pictures))
        }


def test_masks_of_the_user_are_kept(bare: Path, command: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    np.savez(bare / "mine.npz", masks=np.ones((1, 4, 4), bool))
    (bare / "train_seg").mkdir()
    (bare / "mine.npz").rename(bare / "train_seg/r_3.npz")
    before = tree(bare)
    assert cli.main(["masks", str(bare), *command]) == 2
    assert "train_seg/r_3.npz: lies where the masks of training view r_3 go" in capsys.readouterr().err
    assert cli.main(["masks", str(bare), *command, "--overwrite"]) == 2
    assert "r_3.npz: not a file that is written here" in capsys.readouterr().err
    assert tree(bare) == before


@pytest.mark.parametrize(
    ("arguments", "text"),
    [
        (["--model", "sam", "--checkpoint", "a/b/c"], "--checkpoint: a/b/c: no such folder"),
        (["--checkpoint", "anything"], "--checkpoint names a network; add --model sam, sam2, sam3"),
        (["--model", "sam", "--from", "."], "--from takes masks that exist; --model sam makes others"),
        (["--model", "sam", "CHECKPOINT", "--device", "gpu"], "--device: expected auto, cpu, cuda"),
        (["--model", "sam2", "CHECKPOINT"], "is a checkpoint of sam, not of sam2; add --model sam"),
        (
            ["--model", "sam", "CHECKPOINT", "--points-per-side", "0"],
            "--points-per-side: expected a whole number from 1",
        ),
    ],
)
def test_options_that_cannot_be_used_are_refused(
    bare: Path,
    checkpoints: dict[str, Path],
    arguments: list[str],
    text: str,
    capsys: pytest.CaptureFixture[str],
) -> None:
    before = tree(bare)
    options = [part for word in arguments for part in _expanded(word, checkpoints)]
    assert cli.main(["masks", str(bare), *options]) == 2
    said = capsys.readouterr().err
    assert text in said
    assert said.count("\n") == 1
    assert tree(bare) == before


def _expanded(word: str, checkpoints: dict[str, Path]) -> list[str]:
    return ["--checkpoint", str(checkpoints["sam"])] if word == "CHECKPOINT" else [word]


def test_a_full_device_is_told_with_what_to_try(
    bare: Path, command: list[str], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def full(self: MaskGenerator, picture: np.ndarray) -> object:
        raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 20.00 GiB")

    monkeypatch.setattr(MaskGenerator, "generate", full)
    assert cli.main(["masks", str(bare), *command, "--points-per-batch", "64"]) == 1
    assert "out of memory with 64 points at once; try --points-per-batch 16" in capsys.readouterr().err
    assert files(bare) == {}


def test_a_missing_package_is_told_with_its_extra(
    bare: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setitem(__import__("sys").modules, "transformers", None)
    assert cli.main(["masks", str(bare), "--model", "sam"]) == 1
    assert 'pip install "ultrafield[sam]"' in capsys.readouterr().err
