"""The whole pipeline through the program: what it writes, what it skips, what it says."""

from __future__ import annotations

import json
import shutil
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch

from ultrafield import cli
from ultrafield.commands.evaluate import print_metrics
from ultrafield.config import Config
from ultrafield.io import write_image
from ultrafield.masks import read_masks, write_masks
from ultrafield.models import read_vertices
from ultrafield.pipeline.console import Report
from ultrafield.pipeline.evaluate import evaluate
from ultrafield.pipeline.folder import RunFolder
from ultrafield.pipeline.job import reopen_job
from ultrafield.pipeline.segment import height_names
from ultrafield.reading import read_image
from ultrafield.scene import load_scene, views
from ultrafield.scene.options import SceneOptions
from ultrafield.training import load_fields
from ultrafield.ultrametric import cut

SPLITS = {"train": 6, "val": 2, "val_rotate": 2}


@pytest.fixture
def copied_run(tiny_run: Path, tmp_path: Path) -> Path:
    """A copy that a test may change."""
    return shutil.copytree(tiny_run, tmp_path / "run")


def snapshot(folder: Path) -> dict[str, bytes]:
    """Every file below a folder."""
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def test_a_run_writes_every_artefact(tiny_run: Path) -> None:
    names = {path.name for path in tiny_run.iterdir()}
    assert names == {
        *("config.json", "stages.json", "log.jsonl", "field.safetensors", "surface.npz", "tree.npz", "tree.json"),
        *(
            "metrics.json",
            "quality.json",
            "points.ply",
            "contact_sheet.png",
            "cameras.npz",
            "report.html",
            "renders",
            "labels",
            "views",
        ),
    }
    for split, count in SPLITS.items():
        assert len(list((tiny_run / "labels" / split).glob("*.npz"))) == count
        assert len(list((tiny_run / "renders" / split).glob("*.npz"))) == count
    assert not list(tiny_run.rglob("*.tmp"))


def test_masks_that_are_held_compressed_give_the_same_tree(
    tiny_scene: Path, tiny_run: Path, tiny: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(views, "masks_fit", lambda sizes: False)
    options = ["--engine", "field", *tiny]
    assert cli.main(["run", str(tiny_scene), "--out", str(tmp_path / "run"), *options]) == 0
    for name in ("field.safetensors", "tree.npz"):
        assert (tmp_path / "run" / name).read_bytes() == (tiny_run / name).read_bytes()
    assert json.loads((tmp_path / "run/quality.json").read_text()) == json.loads(
        (tiny_run / "quality.json").read_text()
    )


def test_labels_are_nodes_of_the_tree_at_the_stored_heights(tiny_run: Path) -> None:
    run = RunFolder(tiny_run)
    tree, found = run.read_tree(), run.read_labels("val", "r_0")
    assert found.labels.shape == (len(found.heights), 32, 32)
    assert found.is_level.any()
    assert (np.diff(found.heights) > 0).all()
    for height, labels in zip(found.heights, found.labels.expand(), strict=True):
        assert set(np.unique(labels)) - {-1} <= set(cut(tree, float(height)).tolist())


def test_labels_of_a_coarser_cut_hold_those_of_a_finer_one(tiny_run: Path) -> None:
    run = RunFolder(tiny_run)
    tree, found = run.read_tree(), run.read_labels("train", "r_0")
    # A pixel's votes are the same at every cut, but a majority of fine segments need not lie in the coarse majority, so
    # nestedness is a property of the points, not of each pixel.
    fine, coarse = (cut(tree, float(found.heights[index])) for index in (0, -1))
    assert len(np.unique(np.stack([fine, coarse]), axis=1).T) == len(np.unique(fine))


def test_pictures_of_the_automatic_levels(tiny_run: Path) -> None:
    found = RunFolder(tiny_run).read_labels("val", "r_1")
    pictures = sorted(path.name for path in (tiny_run / "views" / "val" / "r_1").iterdir())
    assert pictures == sorted(f"{height:.3f}.png" for height in found.heights[found.is_level])
    assert read_image(tiny_run / "views" / "val" / "r_1" / pictures[0]).shape == (32, 32, 3)


def test_points_are_in_the_users_frame(tiny_run: Path, tiny_scene: Path) -> None:
    vertices = read_vertices(tiny_run / "points.ply").rows
    points = np.stack([vertices[name] for name in "xyz"], axis=1)
    np.testing.assert_array_equal(points, RunFolder(tiny_run).read_surface().points_user.astype(points.dtype))
    frame = json.loads((tiny_scene / "transforms_train.json").read_text())["frames"][0]
    distance = np.linalg.norm(np.array(frame["transform_matrix"])[:3, 3])
    assert 0.1 * distance < np.abs(points).max() < distance


def test_metrics_hold_every_score(tiny_run: Path) -> None:
    metrics = json.loads((tiny_run / "metrics.json").read_text())
    assert metrics["missing"] == {}
    assert set(metrics["psnr"]["per_view"]) == {"r_0", "r_1"}
    for name in ("nc", "nc_dense", "vc", "vc_truth"):
        assert set(metrics[name]["levels"]) == {"parts", "objects", "foreground"}
        assert 0.0 <= metrics[name]["mean"] <= 1.0
    assert metrics["nc"]["mean"] <= metrics["nc_dense"]["mean"]


def test_the_log_ends_with_the_seconds_and_the_memory_of_the_run(tiny_run: Path) -> None:
    end = json.loads((tiny_run / "log.jsonl").read_text().splitlines()[-1])
    assert end["stage"] == "run"
    assert set(end["seconds"]) == {
        *("load", "train", "render", "eval", "segment", "segment/surface", "segment/graph", "segment/tree"),
        *("segment/labels", "segment/quality", "segment/sheet"),
    }
    assert 10_000_000 < end["peak_bytes"]["host"] < 100_000_000_000
    if not torch.cuda.is_available():  # where there is a device, other tests of this process may have used it
        assert end["peak_bytes"]["device"] is None


def test_a_finished_run_is_not_done_again(
    tiny: list[str], tiny_scene: Path, copied_run: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    before = snapshot(copied_run)
    assert cli.main(["run", str(tiny_scene), "--out", str(copied_run), "--engine", "field", *tiny]) == 0
    assert snapshot(copied_run) == before
    captured = capsys.readouterr()
    for stage in ("train", "segment", "eval"):
        assert f"{stage}: done before" in captured.err
    assert "NC-dense" in captured.out
    assert str(copied_run / "contact_sheet.png") in captured.out


def test_other_cuts_redo_labels_but_not_training(
    tiny: list[str], tiny_scene: Path, copied_run: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    arguments = ["run", str(tiny_scene), "--out", str(copied_run), "--engine", "field", *tiny, "--cuts", "9"]
    before = snapshot(copied_run)
    assert cli.main(arguments) == 0
    said = capsys.readouterr().err
    assert "train: done before" in said
    assert "render: done before" in said
    assert len(RunFolder(copied_run).read_labels("val", "r_0").heights) == 9
    after = snapshot(copied_run)
    assert after["field.safetensors"] == before["field.safetensors"]
    assert after["tree.npz"] == before["tree.npz"]


def test_segmenting_with_the_other_engine_and_evaluating(copied_run: Path, capsys: pytest.CaptureFixture[str]) -> None:
    before = RunFolder(copied_run).read_tree()
    assert cli.main(["segment", str(copied_run), "--engine", "lift", "--linkage", "single", "--device", "cpu"]) == 0
    assert not (copied_run / "metrics.json").exists()
    after = RunFolder(copied_run).read_tree()
    assert not np.array_equal(before.heights, after.heights)
    assert RunFolder(copied_run).read_config().config.segment.linkage == "single"
    capsys.readouterr()
    assert cli.main(["eval", str(copied_run), "--sampling", "5", "--seed", "1", "--published"]) == 0
    settings = json.loads((copied_run / "metrics.json").read_text())["settings"]
    assert settings == {"sampling": 5, "seed": 1, "published": True}
    assert "VC of the ground truth" in capsys.readouterr().out


def test_an_interrupted_segmentation_leaves_nothing_to_be_taken_for_finished(
    tiny: list[str],
    tiny_scene: Path,
    copied_run: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    arguments = ["run", str(tiny_scene), "--out", str(copied_run), "--engine", "field", *tiny, "--cuts", "7"]
    written = []

    def write_two(self: RunFolder, split: str, name: str, view: object) -> None:
        if len(written) == 2:
            raise KeyboardInterrupt
        written.append(name)

    with monkeypatch.context() as patch:
        patch.setattr(RunFolder, "write_labels", write_two)
        assert cli.main(arguments) == 130
    assert capsys.readouterr().err.splitlines()[-1] == "ultrafield: interrupted"
    assert not (copied_run / "metrics.json").exists()
    assert not (copied_run / "contact_sheet.png").exists()
    assert not list(copied_run.rglob("*.tmp"))
    assert cli.main(["eval", str(copied_run)]) == 2
    assert cli.main(arguments) == 0
    assert len(RunFolder(copied_run).read_labels("val_rotate", "r_1").heights) == 7


def test_views_of_an_earlier_field_are_never_taken_for_those_of_a_later_one(
    tiny: list[str],
    tiny_scene: Path,
    copied_run: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    import ultrafield.training as training

    def interrupted(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    before = RunFolder(copied_run).read_render("val", "r_0").depth
    train = ["train", str(tiny_scene), "--out", str(copied_run), *tiny, "--geometry.steps", "40"]
    with monkeypatch.context() as patch:
        patch.setattr(training, "fit", interrupted)
        assert cli.main(train) == 130
    capsys.readouterr()
    for command in (["segment", str(copied_run)], ["render", str(copied_run), "--frames", "0"]):
        assert cli.main([*command, "--device", "cpu"]) == 2
        said = capsys.readouterr().err
        assert "training with its settings on the scene as it is now is not finished" in said
        assert f"ultrafield train {tiny_scene.resolve()} --out {copied_run}" in said
    assert cli.main(["eval", str(copied_run)]) == 2
    assert f"not segmented with its settings; next: ultrafield segment {copied_run}" in capsys.readouterr().err
    assert cli.main(train) == 0
    assert cli.main(["segment", str(copied_run), "--device", "cpu"]) == 0
    assert "render: done before" not in capsys.readouterr().err
    assert not np.array_equal(RunFolder(copied_run).read_render("val", "r_0").depth, before)


@pytest.mark.parametrize("command", ["segment", "render"])
def test_training_views_are_rendered_from_their_refined_poses(tiny_scene: Path, copied_run: Path, command: str) -> None:
    import torch

    from ultrafield.pipeline.train import keep_fields
    from ultrafield.training import load_fields

    run, fields = RunFolder(copied_run), load_fields(copied_run)
    before = run.read_render("train", "r_1").depth
    cameras = load_scene(tiny_scene, progress=False).train.normalised_cameras
    fields.geometry.train_poses = torch.from_numpy(np.roll(cameras.c2w, -1, axis=0)).float()
    keep_fields(reopen_job(run, device="cpu", report=Report()), fields)
    options = ["--frames", "0"] if command == "render" else []
    assert cli.main([command, str(copied_run), "--device", "cpu", *options]) == 0
    np.testing.assert_allclose(run.read_render("train", "r_0").depth, before, rtol=1e-3)


def test_training_drops_the_records_of_what_came_after(
    tiny: list[str], tiny_scene: Path, copied_run: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import ultrafield.training as training

    def interrupted(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    run = ["train", str(tiny_scene), "--out", str(copied_run), "--engine", "field", *tiny]
    monkeypatch.setattr(training, "fit", interrupted)
    assert cli.main([*run, "--features.steps", "6"]) == 130  # other features on the same geometry
    assert set(RunFolder(copied_run).records.seconds()) == {"render"}
    assert cli.main([*run, "--geometry.steps", "50"]) == 130
    assert RunFolder(copied_run).records.seconds() == {}


def test_the_other_engine_uses_the_geometry_that_was_trained_for_features(
    tiny: list[str], tiny_scene: Path, copied_run: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for _ in range(2):
        assert cli.main(["segment", str(copied_run), "--engine", "lift", "--device", "cpu"]) == 0
    before = (copied_run / "field.safetensors").read_bytes()
    assert cli.main(["run", str(tiny_scene), "--out", str(copied_run), "--engine", "lift", *tiny]) == 0
    assert "train: done before" in capsys.readouterr().err
    assert (copied_run / "field.safetensors").read_bytes() == before


def test_both_engines_together_use_the_features_that_are_there(
    tiny: list[str], tiny_scene: Path, copied_run: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    before = snapshot(copied_run)
    assert cli.main(["segment", str(copied_run), "--engine", "both", "--device", "cpu"]) == 0
    assert RunFolder(copied_run).read_config().config.engine == "both"
    heights = RunFolder(copied_run).read_tree().heights
    assert 0 < heights.max() <= 1
    capsys.readouterr()
    assert cli.main(["run", str(tiny_scene), "--out", str(copied_run), "--engine", "both", *tiny]) == 0
    notes = capsys.readouterr().err
    assert "train: done before" in notes
    assert "segment: done before" in notes
    after = snapshot(copied_run)
    assert after["field.safetensors"] == before["field.safetensors"]
    assert after["tree.npz"] != before["tree.npz"]


def test_metrics_of_the_published_evaluation_are_not_taken_for_the_runs_own(
    tiny: list[str], tiny_scene: Path, copied_run: Path
) -> None:
    before = (copied_run / "metrics.json").read_bytes()
    assert cli.main(["eval", str(copied_run), "--published", "--sampling", "2"]) == 0
    assert (copied_run / "metrics.json").read_bytes() != before
    assert cli.main(["run", str(tiny_scene), "--out", str(copied_run), "--engine", "field", *tiny]) == 0
    assert (copied_run / "metrics.json").read_bytes() == before


def test_changed_pictures_are_noticed(
    tiny: list[str], tiny_scene: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    scene, run = shutil.copytree(tiny_scene, tmp_path / "scene"), tmp_path / "run"
    arguments = ["run", str(scene), "--out", str(run), *tiny]
    assert cli.main(arguments) == 0
    picture = scene / "train" / "r_3.png"
    write_image(picture, 255 - read_image(picture)[..., :3])
    assert cli.main(["segment", str(run), "--device", "cpu"]) == 2
    capsys.readouterr()
    assert cli.main(arguments) == 0
    assert "done before" not in capsys.readouterr().err


def test_pictures_equal_to_eight_bits_count_with_the_highest_psnr(tiny_scene: Path, copied_run: Path) -> None:
    run = RunFolder(copied_run)
    image = load_scene(tiny_scene, progress=False).splits["val"].views[0].image
    other = json.loads((copied_run / "metrics.json").read_text())["psnr"]["per_view"]["r_1"]
    run.write_render("val", "r_0", replace(run.read_render("val", "r_0"), color=image / 255.0))
    found = evaluate(reopen_job(run, device="cpu", report=Report()))["psnr"]
    limit = 20.0 * np.log10(255.0 * np.sqrt(12.0))
    assert found["per_view"]["r_0"] == found["limit"] == pytest.approx(limit)
    assert found["mean"] == pytest.approx((limit + other) / 2)
    assert found["capped"] == ["r_0"]


def test_pictures_are_also_compared_at_their_exposure_where_it_is_learned(
    tiny_scene: Path, copied_run: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run = RunFolder(copied_run)
    image = load_scene(tiny_scene, progress=False).splits["val"].views[0].image
    seen = image / 255.0 * [0.9, 0.7, 0.8]
    run.write_render("val", "r_0", replace(run.read_render("val", "r_0"), color=seen))
    job = reopen_job(run, device="cpu", report=Report())
    plain = evaluate(job)
    assert "psnr_exposure" not in plain
    learned = replace(job.config, geometry=replace(job.config.geometry, exposure=True))
    found = evaluate(replace(job, config=learned))
    assert found["psnr"] == plain["psnr"]
    assert found["psnr"]["per_view"]["r_0"] < 20
    assert 40 < found["psnr_exposure"]["per_view"]["r_0"] <= found["psnr"]["limit"]
    assert found["psnr_exposure"]["per_view"]["r_1"] >= found["psnr"]["per_view"]["r_1"]
    capsys.readouterr()
    for metrics, lines in ((plain, 1), (found, 2)):
        print_metrics(metrics, Report())
        printed = "".join(capsys.readouterr())
        assert printed.count("PSNR") == lines
    assert f"{found['psnr_exposure']['mean']:.2f}" in printed


def test_a_rendering_that_was_replaced_is_not_evaluated(
    tiny_scene: Path, copied_run: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run = RunFolder(copied_run)
    run.write_render("val", "r_0", run.read_render("val", "r_1"))
    assert cli.main(["eval", str(copied_run)]) == 2
    assert "renders/val/r_0.npz: not as it was written; next: ultrafield segment" in capsys.readouterr().err


def test_the_tree_file_lists_the_automatic_levels(tiny_run: Path) -> None:
    found = RunFolder(tiny_run).read_labels("val", "r_0")
    levels = json.loads((tiny_run / "tree.json").read_text())["levels"]
    assert [level["height"] for level in levels] == pytest.approx(
        sorted(found.heights[found.is_level], reverse=True),
        rel=1e-5,  # tree.json has six digits
    )


def test_levels_that_lie_close_together_have_names_of_their_own() -> None:
    assert height_names(np.array([0.1, 0.25], np.float32)) == ["0.100", "0.250"]
    assert height_names(np.array([0.1, 0.1004, 0.3], np.float32)) == ["0.1000", "0.1004", "0.3000"]
    close = np.array([0.5, np.nextafter(np.float32(0.5), np.float32(1.0))], np.float32)
    assert len(set(height_names(close))) == 2


def test_a_full_disk_while_labelling_names_the_file(
    copied_run: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    import errno
    import os

    real = os.replace

    def full(source: str, target: str | Path) -> None:
        if "labels" in Path(target).parts:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        real(source, target)

    monkeypatch.setattr(os, "replace", full)
    assert cli.main(["segment", str(copied_run), "--cuts", "7", "--device", "cpu"]) == 1
    last = capsys.readouterr().err.splitlines()[-1]
    assert last.startswith(f"ultrafield: error: No space left on device: {copied_run / 'labels'}")
    assert not list((copied_run / "labels").rglob("*.*"))


@pytest.mark.parametrize("engine", ["field", "both"])
def test_engines_that_need_features_say_so(
    tiny_run: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], engine: str
) -> None:
    from ultrafield.pipeline.train import keep_fields
    from ultrafield.training import Fields, load_fields

    run = RunFolder(tmp_path)
    stored = RunFolder(tiny_run).read_config()
    config = replace(stored.config, engine="lift")
    run.write_config(stored.scene, stored.data, config)
    keep_fields(reopen_job(run, device="cpu", report=Report()), Fields(load_fields(tiny_run).geometry))
    assert cli.main(["segment", str(tmp_path), "--engine", engine, "--device", "cpu"]) == 2
    expected = f"--engine {engine}: this run has no features; train with --engine {engine}, or take --engine lift"
    assert expected in capsys.readouterr().err
    assert run.read_config().config.engine == "lift"


def test_rendering_writes_pictures_and_a_video(copied_run: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["render", str(copied_run), "--frames", "3", "--device", "cpu"]) == 0
    for kind in ("color", "depth", "normal", "feature"):
        assert read_image(copied_run / "renders" / "val" / f"r_0_{kind}.png").shape == (32, 32, 3)
    video = copied_run / "renders" / "orbit.mp4"
    frames = copied_run / "renders" / "orbit"
    assert video.stat().st_size > 0 if video.exists() else len(list(frames.glob("*.png"))) == 3
    assert "3 frames" in capsys.readouterr().out


def test_a_scene_without_masks_gets_its_own_in_the_run_folder(
    tiny: list[str], tiny_scene: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    bare = _without_masks(tiny_scene, tmp_path / "bare")
    before, run = snapshot(bare), tmp_path / "run"
    assert cli.main(["run", str(bare), "--out", str(run), *tiny]) == 0
    assert snapshot(bare) == before
    assert sorted(path.name for path in (run / "masks" / "train_seg").iterdir()) == [f"r_{i}" for i in range(6)]
    said = capsys.readouterr()
    assert "there are no held-out views" in said.err
    assert (run / "contact_sheet.png").is_file()
    assert not (run / "metrics.json").exists()
    assert cli.main(["run", str(bare), "--out", str(run), *tiny]) == 0
    assert "masks: done before" in capsys.readouterr().err
    shutil.rmtree(run / "masks")  # what has gone is made again
    assert cli.main(["run", str(bare), "--out", str(run), *tiny]) == 0
    assert "masks: done before" not in capsys.readouterr().err
    assert len(list((run / "masks" / "train_seg").iterdir())) == 6


def test_masks_are_made_from_geometry_that_is_trained_once(
    tiny: list[str], tiny_scene: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    bare, run = _without_masks(tiny_scene, tmp_path / "bare"), tmp_path / "run"
    assert cli.main(["run", str(bare), "--out", str(run), "--engine", "both", *tiny]) == 0
    said = capsys.readouterr().err
    stages = [said.index(f"{name} …") for name in ("train", "render", "masks", "segment")]
    assert stages == sorted(stages)
    assert said.count("render …") == 1
    assert "others than before" not in said
    steps = [json.loads(line) for line in (run / "log.jsonl").read_text().splitlines()]
    assert len([step for step in steps if step.get("stage") == "geometry" and step.get("step") == 0]) <= 1
    field = (run / "field.safetensors").read_bytes()
    shutil.rmtree(run / "masks")
    assert cli.main(["run", str(bare), "--out", str(run), "--engine", "both", *tiny]) == 0
    assert "train …" not in capsys.readouterr().err  # the masks came out as they were
    assert (run / "field.safetensors").read_bytes() == field


@pytest.mark.parametrize(("planar", "outlines"), [("0", "0"), ("3e-4", "0"), ("0", "0.25")])
def test_other_masks_leave_the_geometry_that_learns_nothing_from_them(
    planar: str, outlines: str, tiny: list[str], tiny_scene: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    scene, run, kept = tmp_path / "scene", tmp_path / "run", planar == outlines == "0"
    shutil.copytree(tiny_scene, scene)
    for engine in ("lift", "field") if kept else ("lift",):
        arguments = ["run", str(scene), "--out", str(run), "--engine", engine, *tiny]
        arguments += ["--geometry.planar-weight", planar, "--geometry.outline-share", outlines]
        assert cli.main(arguments) == 0
        before = load_fields(run).geometry.state_dict()
        write_masks(scene, "train", "r_2", np.ones((1, 32, 32), bool))
        capsys.readouterr()
        assert cli.main(arguments) == 0
        said = capsys.readouterr().err
        assert ("render: done before, kept" in said) == kept
        assert ("train …" in said) == (engine == "field" or not kept)
        after = load_fields(run).geometry.state_dict()
        assert all(torch.equal(after[name], value) for name, value in before.items()) == kept
        shutil.rmtree(scene)
        shutil.copytree(tiny_scene, scene)


def test_without_higra_no_regions_stand_in_for_masks(
    tiny: list[str],
    tiny_scene: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    bare, run = _without_masks(tiny_scene, tmp_path / "bare"), RunFolder(tmp_path / "run")
    monkeypatch.setattr("ultrafield.pipeline.job.find_spec", lambda name: None)
    arguments = ["train", str(bare), "--out", str(run.root), "--engine", "lift", *tiny]
    assert cli.main([*arguments, "--geometry.planar-weight", "3e-4"]) == 0
    geometry = run.read_config().config.geometry
    assert (geometry.planar_weight, geometry.regions) == (0.0, "masks")
    assert "depth is not made planar" in capsys.readouterr().err


def test_geometry_learns_nothing_from_masks_that_the_run_makes(
    tiny: list[str], tiny_scene: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    bare = _without_masks(tiny_scene, tmp_path / "bare")
    run = RunFolder(tmp_path / "run")
    arguments = ["run", str(bare), "--out", str(run.root), *tiny, "--geometry.planar-weight", "3e-4"]
    assert cli.main(arguments) == 0
    geometry = run.read_config().config.geometry
    assert (geometry.regions, geometry.outline_share) == ("pictures", 0.0)
    assert "regions of 6 pictures stand in for masks" in capsys.readouterr().err
    made = load_fields(run.root).geometry.state_dict()
    (run.root / "field.safetensors").unlink()  # trained anew, now that there are masks
    assert cli.main(arguments) == 0
    again = load_fields(run.root).geometry.state_dict()
    assert all(torch.equal(again[name], value) for name, value in made.items())
    arguments[-1] = "0"
    assert cli.main(arguments) == 0
    other = load_fields(run.root).geometry.state_dict()
    assert not all(torch.equal(other[name], value) for name, value in made.items())


def test_masks_are_made_for_the_views_that_have_none(
    tiny: list[str], tiny_scene: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    scene = _without_masks(tiny_scene, tmp_path / "partly")
    own = np.zeros((2, 32, 32), bool)
    own[0, :20], own[1, :, 7:] = True, True
    write_masks(scene, "train", "r_2", own)
    before, run = snapshot(scene), tmp_path / "run"
    assert cli.main(["run", str(scene), "--out", str(run), "--engine", "field", *tiny]) == 0
    assert snapshot(scene) == before
    assert f"1 views have masks, copied to {run / 'masks'}; making those of the other 5" in capsys.readouterr().err
    np.testing.assert_array_equal(read_masks(run / "masks", "train", "r_2").masks(), own)
    assert len(list((run / "masks" / "train_seg").iterdir())) == 6


@pytest.mark.parametrize("engine", ["field", "both"])
def test_features_without_masks_fail_before_geometry_is_trained(
    tiny: list[str], tiny_scene: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], engine: str
) -> None:
    scene = _without_masks(tiny_scene, tmp_path / "partly")
    write_masks(scene, "train", "r_0", np.ones((1, 32, 32), bool))
    assert cli.main(["train", str(scene), "--out", str(tmp_path / "run"), "--engine", engine, *tiny]) == 2
    expected = f"--engine {engine} needs masks of every training view; 5 of 6 have none (first: r_1)"
    assert expected in capsys.readouterr().err
    assert not (tmp_path / "run").exists()


def _without_masks(scene: Path, target: Path) -> Path:
    """A copy of the training pictures and cameras alone."""
    shutil.copytree(scene / "train", target / "train")
    shutil.copyfile(scene / "transforms_train.json", target / "transforms_train.json")
    return target


def test_overwrite_does_everything_again_and_leaves_other_files(
    tiny: list[str], tiny_scene: Path, copied_run: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    before = snapshot(copied_run)
    notes = [copied_run / name for name in ("notes.txt", "labels/notes.txt", "views/train/r_0/mine.jpg")]
    for note in notes:
        note.touch()
    arguments = ["run", str(tiny_scene), "--out", str(copied_run), "--engine", "field", "--overwrite", *tiny]
    assert cli.main(arguments) == 0
    assert "done before" not in capsys.readouterr().err
    after = snapshot(copied_run)
    # The same seed on the same machine gives the same tree, bit for bit.
    assert after["tree.npz"] == before["tree.npz"]
    assert after["field.safetensors"] == before["field.safetensors"]
    assert all(note.exists() for note in notes)


def test_masks_are_written_beside_the_scene_or_elsewhere(
    tiny_scene: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert cli.main(["masks", str(tiny_scene), "--model", "watershed", "--out", str(tmp_path)]) == 0
    assert f"{tmp_path / 'train_seg'}: " in capsys.readouterr().out
    for index in range(6):
        assert (tmp_path / "train_seg" / f"r_{index}" / "0.png").is_file()
        inside = np.load(tmp_path / "train_seg_hierarchy" / f"r_{index}_inside.npy")
        assert len(inside) == len(list((tmp_path / "train_seg" / f"r_{index}").glob("*.png")))


@pytest.mark.parametrize("shape", ["folder", "id map"])
def test_masks_of_the_user_are_replaced_only_on_request(
    tiny_scene: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], shape: str
) -> None:
    scene = _without_masks(tiny_scene, tmp_path / "scene")
    if shape == "folder":
        write_masks(scene, "train", "r_4", np.ones((1, 32, 32), bool))
    else:
        write_image(scene / "train_seg" / "r_4.png", np.ones((32, 32), np.uint8))
    before = snapshot(scene)
    assert cli.main(["masks", str(scene)]) == 2
    said = capsys.readouterr().err.splitlines()[-1]
    file = scene / "train_seg" / ("r_4/0.png" if shape == "folder" else "r_4.png")
    assert f"{file}: lies where the masks of training view r_4 go, and may be your work" in said
    assert "--overwrite" in said
    assert snapshot(scene) == before
    assert cli.main(["masks", str(scene), "--overwrite"]) == 0
    assert len([path for path in (scene / "train_seg").iterdir() if path.is_dir()]) == 6


@pytest.mark.parametrize(
    "place",
    ["train_seg/r_4/mask.jpg", "train_seg/r_4/notes.txt", "train_seg/r_4.tif", "train_seg_hierarchy/r_4_same.npy"],
)
def test_files_of_any_kind_where_masks_go_count_as_the_users(
    tiny_scene: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], place: str
) -> None:
    scene = _without_masks(tiny_scene, tmp_path / "scene")
    (scene / place).parent.mkdir(parents=True)
    if place.endswith((".jpg", ".tif")):
        cv2.imwrite(str(scene / place), np.ones((32, 32), np.uint8))
    else:
        (scene / place).touch()
    before = snapshot(scene)
    assert cli.main(["masks", str(scene)]) == 2
    assert f"{scene / place}: lies where the masks of training view r_4 go" in capsys.readouterr().err
    assert snapshot(scene) == before


@pytest.mark.parametrize("name", ["mask.jpg", "notes.txt", "mask_0.png", "sub/0.png"])
def test_replacing_masks_removes_nothing_else(
    tiny_scene: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], name: str
) -> None:
    out = tmp_path / "out"
    write_masks(out, "train", "r_0", np.ones((1, 32, 32), bool))
    file = out / "train_seg" / "r_4" / name
    file.parent.mkdir(parents=True)
    file.touch()
    before = snapshot(out)
    assert cli.main(["masks", str(tiny_scene), "--out", str(out), "--overwrite"]) == 2
    assert f"{file}: not a file that is written here" in capsys.readouterr().err
    assert snapshot(out) == before


def test_masks_are_not_written_through_links(
    tiny_scene: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    mine = tmp_path / "mine"
    write_image(mine / "r_0" / "0.png", np.ones((32, 32), np.uint8))
    before = snapshot(mine)
    (tmp_path / "whole").mkdir()
    (tmp_path / "whole" / "train_seg").symlink_to(mine)
    (tmp_path / "one" / "train_seg").mkdir(parents=True)
    (tmp_path / "one" / "train_seg" / "r_0").symlink_to(mine / "r_0")
    for name in ("whole", "one"):
        assert cli.main(["masks", str(tiny_scene), "--out", str(tmp_path / name), "--overwrite"]) == 2
        assert str(tmp_path / name / "train_seg") in capsys.readouterr().err
    assert snapshot(mine) == before


def _assert_refused(arguments: list[str], folder: Path, text: str, capsys: pytest.CaptureFixture[str]) -> None:
    """The command ends with one line and exit code 2, and leaves a folder as it was."""
    before = snapshot(folder)
    capsys.readouterr()
    assert cli.main(arguments) == 2
    said = capsys.readouterr().err.splitlines()[-1]
    assert text in said
    assert snapshot(folder) == before


@pytest.mark.parametrize("extra", [[], ["--overwrite"]])
@pytest.mark.parametrize("command", ["run", "train"])
def test_out_must_be_new_or_empty_or_a_run_on_the_scene(
    tiny: list[str],
    tiny_scene: Path,
    copied_run: Path,
    tmp_path: Path,
    command: str,
    extra: list[str],
    capsys: pytest.CaptureFixture[str],
) -> None:
    extra = extra if command == "run" else []
    scene = tmp_path / "scenes" / "other"
    shutil.copytree(tiny_scene, scene)
    (scene / "masks").mkdir()
    (scene / "masks" / "0.png").touch()
    project = tmp_path / "project"
    for name in ("masks", "views", "labels", "renders"):
        (project / name).mkdir(parents=True)
        (project / name / "mine.txt").touch()

    def refused(out: Path, folder: Path, text: str) -> None:
        _assert_refused([command, str(scene), "--out", str(out), *extra, *tiny], folder, text, capsys)

    refused(project, project, "project: neither empty nor a run folder (it holds labels/mine.txt and no config.json)")
    refused(scene, scene, "other: is the scene itself")
    refused(scene.parent, scene.parent, "scenes: holds the scene")
    refused(copied_run, copied_run, f"holds a run on {tiny_scene}")
    (project / "config.json").write_text("{}")
    refused(project, project, "project/config.json: cannot be used")
    (tmp_path / "link").symlink_to(copied_run)
    refused(tmp_path / "link", copied_run, "link: is a link")


@pytest.mark.parametrize("name", ["masks", "renders", "labels/train"])
def test_a_run_does_not_write_through_links(
    tiny: list[str], tiny_scene: Path, tmp_path: Path, name: str, capsys: pytest.CaptureFixture[str]
) -> None:
    run, mine = tmp_path / "run", tmp_path / "mine"
    RunFolder(run).write_config(tiny_scene, SceneOptions(), Config())
    mine.mkdir()
    (mine / "r_0.npz").touch()
    (run / name).parent.mkdir(exist_ok=True)
    (run / name).symlink_to(mine)
    for extra in ([], ["--overwrite"]):
        _assert_refused(
            ["run", str(tiny_scene), "--out", str(run), *extra, *tiny], tmp_path, f"{run / name}: is a link", capsys
        )


def test_a_new_folder_inside_the_scene_may_hold_a_run(tiny_scene: Path, tmp_path: Path) -> None:
    scene = tmp_path / "scene"
    shutil.copytree(tiny_scene, scene)
    RunFolder(scene / "run").write_config(scene, SceneOptions(), Config())
    assert RunFolder(scene / "run").read_config().scene == scene.resolve()


def test_other_files_among_the_masks_of_a_run_are_refused(
    tiny: list[str], tiny_scene: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    bare, run = _without_masks(tiny_scene, tmp_path / "bare"), tmp_path / "run"
    RunFolder(run).write_config(bare, SceneOptions(), Config())
    write_masks(run / "masks", "train", "r_0", np.ones((1, 32, 32), bool))
    own = ["run", str(bare), "--out", str(run), "--masks", str(run / "masks")]
    _assert_refused([*own, *tiny], run, "is where the run makes its own masks", capsys)
    (run / "masks" / "notes.txt").touch()
    for extra in ([], ["--overwrite"]):
        arguments = ["run", str(bare), "--out", str(run), *extra, *tiny]
        _assert_refused(arguments, run, "masks/notes.txt: not a file that is written here", capsys)


def test_a_run_that_was_cut_short_while_it_made_masks_goes_on(
    tiny: list[str], tiny_scene: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from ultrafield.pipeline import masks as module

    def interrupted(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    bare, run = _without_masks(tiny_scene, tmp_path / "bare"), tmp_path / "run"
    arguments = ["run", str(bare), "--out", str(run), *tiny]
    with monkeypatch.context() as patched:
        patched.setattr(module, "make_masks", interrupted)
        assert cli.main(arguments) == 130
    assert cli.main(arguments) == 0


@pytest.mark.parametrize("command", ["masks", "run"])
def test_a_view_called_dotdot_harms_nothing(
    tiny: list[str], tiny_scene: Path, tmp_path: Path, command: str, capsys: pytest.CaptureFixture[str]
) -> None:
    scene = _without_masks(tiny_scene, tmp_path / "work" / "scene")
    (scene / "train" / "r_3.png").rename(scene / "train" / "...png")
    file = scene / "transforms_train.json"
    file.write_text(file.read_text().replace("./train/r_3", "./train/...png"))
    arguments = [command, str(scene), *(["--out", str(tmp_path / "work" / "run"), *tiny] if command == "run" else [])]
    text = f"{file}: frame 3: view name: '..' cannot be a file name: it stands for another folder"
    _assert_refused(arguments, tmp_path / "work", text, capsys)


def test_an_interrupt_leaves_the_masks_of_whole_views_only(
    tiny_scene: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from ultrafield.masks import write

    real, written = write.write_image, []

    def interrupted(path: Path, image: np.ndarray) -> None:
        # The second view's second mask.
        if len({file.parent for file in written}) == 2 and path.name == "1.png":
            raise KeyboardInterrupt
        written.append(path)
        real(path, image)

    monkeypatch.setattr(write, "write_image", interrupted)
    assert cli.main(["masks", str(tiny_scene), "--out", str(tmp_path)]) == 130
    assert sorted(path.name for path in (tmp_path / "train_seg").iterdir()) == [".ultrafield.json", "r_0"]
    count = sum(file.parent == written[0].parent for file in written)
    assert len(list((tmp_path / "train_seg" / "r_0").iterdir())) == count


def test_synth_writes_a_dataset_and_keeps_what_is_there(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    import trimesh

    trimesh.Scene({"box": trimesh.creation.box((1, 1, 1))}).export(tmp_path / "box.glb")
    out = tmp_path / "scene"
    small = ["--size", "16", "--train-views", "2", "--val-views", "1", "--light-samples", "1", "--sky-samples", "1"]
    assert cli.main(["synth", str(tmp_path / "box.glb"), str(out), *small]) == 0
    assert "next: ultrafield run" in capsys.readouterr().out
    assert (out / "gt_seg" / "val" / "r_0_seg_objects.tif").is_file()
    assert cli.main(["synth", str(tmp_path / "box.glb"), str(out), *small]) == 2
    assert cli.main(["synth", str(tmp_path / "box.glb"), str(out), "--overwrite", *small]) == 0


def test_the_demo_ends_with_tables_and_pictures(
    tiny: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    from ultrafield.commands import demo

    parsed = cli.parse(["train", "s", "--out", "r", *tiny])
    monkeypatch.setattr(demo, "demo_config", lambda: parsed.method.config("draft"))
    out = tmp_path / "demo"
    arguments = ["demo", "--out", str(out), "--device", "cpu", "--size", "32", "--train-views", "5", "--val-views", "1"]
    assert cli.main(arguments) == 0
    captured = capsys.readouterr()
    for text in ("PSNR", "NC-dense", "VC", "Seconds", "Next steps", str(out / "field" / "contact_sheet.png")):
        assert text in captured.out
    geometry = [RunFolder(out / engine).read_render("val", "r_0").depth for engine in ("lift", "field")]
    np.testing.assert_array_equal(*geometry)
    assert (
        replace(RunFolder(out / "field").read_config().config, engine="lift")
        == RunFolder(out / "lift").read_config().config
    )
    assert cli.main(arguments) == 0
    assert "scene: done before, kept" in capsys.readouterr().err
    assert cli.main([*arguments, "--val-views", "2"]) == 0
    said = capsys.readouterr().err
    assert "scene: there is one of other options; it is built anew" in said
    assert "train: done before" not in said
    frames = json.loads((out / "scene" / "transforms_val.json").read_text())["frames"]
    assert len(frames) == 2
    for engine in ("lift", "field"):
        assert len(list((out / engine / "labels" / "val").glob("*.npz"))) == 2


def test_the_demo_leaves_other_files_alone(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    small = ["--device", "cpu", "--size", "32", "--train-views", "2", "--val-views", "1"]

    def refused(out: str, text: str) -> None:
        for extra in ([], ["--overwrite"]):
            _assert_refused(["demo", "--out", str(tmp_path / out), *small, *extra], tmp_path, text, capsys)

    for place in ("a/scene.json", "b/lift/masks/mine.txt", "c/scene/mine.txt"):
        (tmp_path / place).parent.mkdir(parents=True)
        (tmp_path / place).write_text("{}")
    refused("a", "a/scene.json: not written by the demo")
    refused("b", "b/lift: neither empty nor a run folder (it holds masks/mine.txt")
    refused("c", "c/scene: not a dataset written by")


def test_a_video_that_lost_frames_is_not_kept(copied_run: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import cv2

    from ultrafield.pipeline.render import _Video

    video = _Video(copied_run / "orbit.mp4", 33, 32)
    if not video.opened:
        pytest.skip("this OpenCV has no mp4 encoder")
    monkeypatch.setattr(cv2, "VideoCapture", lambda _: type("Broken", (), {"get": lambda *_: 1.0})())
    with pytest.raises(OSError, match="only 1 of 2 frames could be written") as failure, video:  # noqa: PT012
        video.add(np.zeros((32, 33, 3), np.uint8))
        video.add(np.zeros((32, 33, 3), np.uint8))
    assert failure.value.filename == str(copied_run / "orbit.mp4")
    assert not list(copied_run.glob("*orbit*"))


@pytest.mark.parametrize("command", ["train", "run"])
def test_a_device_that_is_not_there_leaves_a_run_as_it_was(
    command: str, tiny_scene: Path, tiny_run: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    import torch

    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    before = snapshot(tiny_run)
    assert cli.main([command, str(tiny_scene), "--out", str(tiny_run), "--device", "cuda"]) == 1
    assert capsys.readouterr().err == ("ultrafield: error: device 'cuda': this PyTorch sees no CUDA device; use cpu\n")
    assert snapshot(tiny_run) == before
