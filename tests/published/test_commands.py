"""`train.py`, `render.py`, `3dseg.py` and the evaluation scripts, one after the other, on a tiny scene."""

from __future__ import annotations

import json
import math
import shlex
from pathlib import Path

import numpy as np
import pytest

from ultrafield.config import Config, preset
from ultrafield.errors import RunError
from ultrafield.io import write_image, write_json, write_npy
from ultrafield.masks import build_mask_set, read_masks
from ultrafield.pipeline.console import Report
from ultrafield.published import segment as published_segment
from ultrafield.published import train as published
from ultrafield.published.checkpoint import Checkpoint, read_checkpoint, write_checkpoint
from ultrafield.published.evaluate import evaluate_main
from ultrafield.published.masks import hierarchy_main
from ultrafield.published.options import parse_options
from ultrafield.published.parsing import PARSING_THRESHOLDS, below, parse_view
from ultrafield.published.stored import epoch_folders, read_view_list
from ultrafield.published.train import render_main, train_main
from ultrafield.published.views import Quality, write_views
from ultrafield.reading import read_image

pytestmark = pytest.mark.usefixtures("small_paper")

FLAGS = shlex.split(
    "--dataset_name nerf --render_feature --downsample 0.04 --num_epochs 0.006 --batch_size 128 "
    "--ray_sampling_strategy same_image --feature_dim 8 --load_seg --hierarchical_sampling --ultrametric_weight 1.0 "
    "--euclidean_weight 1.0 --num_seg_samples 8 --depth_smooth --lr 1e-2"
)


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty working folder."""
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_the_published_commands_in_their_order(
    here: Path, tiny_scene: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    root = ["--root_dir", str(tiny_scene), "--exp_name", "E", *FLAGS]
    assert train_main([*root, "--run_seg_inference", "--render_train", "--rotate_test"]) == 0
    captured = capsys.readouterr()
    assert "test/psnr" in captured.out
    assert "--depth_smooth: begins with the third epoch; this run has 0.006" in captured.err
    assert sorted(path.name for path in (here / "ckpts/nerf/E").iterdir()) == ["epoch=0.ckpt", "epoch=0_slim.ckpt"]
    _check_views(here / "results/nerf/E/0")

    # At 32 pixels, points lie farther apart than the published radius allows for.
    monkeypatch.setattr(published_segment, "OUTLIER_RADIUS", 0.2)
    assert published_segment.main(["E", "OUT"]) == 0
    assert sorted(path.name for path in (here / "vis/OUT").iterdir()) == ["0", "1", "2", "3"]
    labels = np.load(here / "vis/OUT/3/0.500.npy")
    assert labels.shape == (32, 32)
    assert labels.min() >= 0
    assert labels.max() <= 200

    for metric in ("nc", "nc_dense", "vc"):
        assert evaluate_main(metric, [str(tiny_scene), "OUT"]) == 0
    scores = json.loads((here / "eval_results/OUT/nc_score.json").read_text())
    assert set(scores) == {"r_0", "r_1", "nc_scores_0", "nc_scores_1", "nc_scores_2", "nc_scores_mean"}
    assert scores == json.loads((here / "eval_results/OUT/nc_dense_score.json").read_text())
    scores = json.loads((here / "eval_results/OUT/vc_score.json").read_text())
    assert {"vc_scores_0", "vc_scores_1", "vc_scores_2", "vc_scores_mean"} <= set(scores)

    _check_rendering(here, root)


def _check_views(folder: Path) -> None:
    """3 training views (every second), 2 validation views, 2 rotated ones, each with its files."""
    import torch

    stems = [*(f"train_{i:03d}" for i in range(3)), *(f"{i:03d}" for i in range(4))]
    endings = (".png", "_d.png", "_d.npy", "_surface.npy", "_f.pth", "_p.npy")
    for stem in stems:
        for ending in endings:
            assert (folder / f"{stem}{ending}").is_file()
    assert len(list(folder.glob("*_p.npy"))) == len(stems)
    assert np.load(folder / "003_surface.npy").shape == (32, 32, 3)
    assert np.isfinite(np.load(folder / "003_surface.npy")).all()
    assert torch.load(folder / "000_f.pth", weights_only=True).shape == (32 * 32, 16)
    assert np.linalg.norm(np.load(folder / "000_p.npy")[:, 3]) == pytest.approx(1.5, rel=1e-5)
    assert np.load(folder / "intrinsic.npy").shape == (3, 3)
    assert len(list((folder / "003_s").iterdir())) == 100
    assert not list(folder.glob("train_*_s"))


def _check_rendering(here: Path, root: list[str]) -> None:
    """render.py from the slim checkpoint shows what train.py did."""
    checkpoint = ["--ckpt_path", "ckpts/nerf/E/epoch=0.ckpt"]
    assert render_main([*root, *checkpoint, "--render_dir", "out"]) == 0
    assert sorted(path.name for path in (here / "out").glob("*_d.npy")) == ["000_d.npy", "001_d.npy"]
    np.testing.assert_array_equal(read_image(here / "out/000.png"), read_image(here / "results/nerf/E/0/000.png"))
    assert render_main([*root, *checkpoint, "--render_dir", "results/nerf/E", "--num_epochs", "9"]) == 0
    slim = ["--ckpt_path", "ckpts/nerf/E/epoch=0_slim.ckpt"]
    assert train_main([*root, *slim, "--val_only", "--no_save_test", "--exp_name", "V"]) == 0
    assert not (here / "results/nerf/V").exists()


def test_training_goes_on_from_a_checkpoint(
    here: Path, tiny_scene: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    root = ["--root_dir", str(tiny_scene), *FLAGS, "--no_save_test", "--ultrametric_weight", "0"]
    root += ["--euclidean_weight", "0"]
    assert train_main([*root, "--exp_name", "A"]) == 0
    again = ["--exp_name", "B", "--ckpt_path", "ckpts/nerf/A/epoch=0.ckpt"]
    capsys.readouterr()
    assert train_main([*root, *again]) == 0
    said = capsys.readouterr().err
    assert "epoch=0.ckpt: already holds epoch 0, and --num_epochs 0.006 ends with epoch 0: nothing is left to t" in said
    first, second = (read_checkpoint(here / f"ckpts/nerf/{name}/epoch=0.ckpt") for name in "AB")
    assert all((first.geometry[name] == second.geometry[name]).all() for name in first.geometry)
    assert (here / "results/nerf/B/field.safetensors").is_file()

    trained = []
    monkeypatch.setattr(published, "train", lambda job, **how: trained.append((job.config, how)) or 1 / 0)
    assert train_main([*root, *again, "--num_epochs", "4"]) == 1
    assert (
        "epoch=0.ckpt: training starts from the weights of epoch 0 for 3000 steps; optimiser and learning rate begin"
    ) in capsys.readouterr().err
    config, how = trained.pop()
    assert config.geometry.steps == config.features.steps == 3000
    assert how["initial"] is not None
    assert train_main([*root, "--weight_path", "ckpts/nerf/A/epoch=0_slim.ckpt", "--num_epochs", "4"]) == 1
    config, how = trained.pop()
    assert config.geometry.steps == 4000
    assert how["initial"] is not None


def test_what_was_trained_on_is_compared(here: Path, tiny_scene: Path, capsys: pytest.CaptureFixture[str]) -> None:
    root = ["--root_dir", str(tiny_scene), "--downsample", "0.04", "--num_epochs", "0.003", "--batch_size", "64"]
    for split, kept in (("train", False), ("train", True), ("trainval", False), ("trainvaltest", True)):
        capsys.readouterr()
        assert train_main([*root, "--no_save_test", "--split", split]) == 0
        assert ("done before with these settings, kept" in capsys.readouterr().err) == kept
    start = ["--weight_path", "ckpts/nerf/exp/epoch=0.ckpt"]
    for more, kept in ((start, False), ([], False), ([], True)):
        capsys.readouterr()
        assert train_main([*root, "--no_save_test", *more]) == 0
        assert ("done before with these settings, kept" in capsys.readouterr().err) == kept


def test_results_hold_the_views_of_the_last_command_only(here: Path, tiny_scene: Path) -> None:
    root = ["--root_dir", str(tiny_scene), "--downsample", "0.04", "--batch_size", "64"]
    results = here / "results/nerf/exp"
    short = ["--num_epochs", "0.003"]
    assert train_main([*root, "--num_epochs", "0.003", "--render_train", "--rotate_test"]) == 0
    assert len(list((results / "0").glob("*_p.npy"))) == 3 + 4
    (results / "7").mkdir()
    assert train_main([*root, *short]) == 0  # the same training: other epochs are not its business
    assert read_view_list(results / "0").training == ()
    assert read_view_list(results / "0").test == ("000", "001")
    assert len(list((results / "0").glob("*_p.npy"))) == 2
    assert (results / "7").is_dir()
    assert train_main([*root, *short, "--lr", "2e-2", "--no_save_test"]) == 0  # a new one: nothing old remains
    assert [path.name for path in results.iterdir() if path.is_dir()] == []
    (here / "mine").mkdir()
    (here / "mine/notes.txt").touch()
    render = ["--ckpt_path", "ckpts/nerf/exp/epoch=0.ckpt", "--render_dir", "mine"]
    assert render_main([*root, *render]) == 0
    assert (here / "mine/notes.txt").exists()
    assert train_main([*root, *short, *render[:2], "--val_only", "--num_epochs", "9"]) == 0
    assert [path.name for path in results.iterdir() if path.is_dir()] == ["0"]  # named after what the checkpoint holds


def test_3dseg_reads_what_a_finished_checkpoint_was_last_rendered_to(here: Path, tiny_scene: Path) -> None:
    root = ["--root_dir", str(tiny_scene), "--downsample", "0.04", "--batch_size", "64", "--num_epochs", "0.003"]
    assert train_main([*root, "--no_save_test"]) == 0
    older = here / "results/nerf/E/7"
    write_json(older / "views.json", {"training": [], "test": []})
    again = [*root, "--exp_name", "E", "--ckpt_path", "ckpts/nerf/exp/epoch=0.ckpt"]
    assert train_main([*again, "--val_only"]) == 0
    assert published_segment.find_results("E").name == "0"
    assert older.is_dir()  # validation trains nothing, so that it removes nothing
    assert train_main(again) == 0
    assert [path.name for path in epoch_folders(older.parent)] == ["0"]


def test_other_files_in_results_are_kept(here: Path, tiny_scene: Path, capsys: pytest.CaptureFixture[str]) -> None:
    root = ["--root_dir", str(tiny_scene), "--downsample", "0.04", "--batch_size", "64", "--num_epochs", "0.003"]
    mine = here / "results/nerf/exp"
    (mine / "masks").mkdir(parents=True)
    (mine / "masks/mine.txt").touch()
    assert train_main(root) == 2
    assert "exp: neither empty nor a run folder (it holds masks/mine.txt" in capsys.readouterr().err
    assert [path.name for path in mine.rglob("*.*")] == ["mine.txt"]
    (mine / "masks/mine.txt").unlink()
    assert train_main(root) == 0
    (mine / "0/notes.txt").touch()
    before = sorted(mine.rglob("*"))
    assert train_main([*root, "--lr", "2e-2"]) == 2
    assert "exp/0/notes.txt: not a file that is written here" in capsys.readouterr().err
    assert sorted(mine.rglob("*")) == before
    (here / "photos").mkdir()
    (here / "photos/001.png").touch()
    render = ["--ckpt_path", "ckpts/nerf/exp/epoch=0.ckpt", "--render_dir", "photos"]
    assert render_main([*root, *render]) == 2
    assert "--render_dir: photos/001.png could be overwritten" in capsys.readouterr().err
    assert [path.name for path in (here / "photos").iterdir()] == ["001.png"]


@pytest.mark.parametrize("name", ["", ".", "..", "a/b", "/tmp/a", "a\n", "c" * 300])
def test_names_that_are_no_file_names(here: Path, name: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert train_main(["--root_dir", "R", f"--exp_name={name}"]) == 2
    assert "train.py: error: --exp_name: " in capsys.readouterr().err
    assert evaluate_main("nc", ["R", name]) == 2
    assert "cannot be a file name" in capsys.readouterr().err
    assert list(here.iterdir()) == []


def test_interrupted_validation_leaves_no_half_written_results(
    here: Path, tiny_scene: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from ultrafield.published import views as published_views

    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(published_views, "write_image", full)
    root = ["--root_dir", str(tiny_scene), "--downsample", "0.04", "--num_epochs", "0.003", "--batch_size", "64"]
    assert train_main(root) == 1
    assert [path.name for path in (here / "results/nerf/exp").iterdir() if path.is_dir()] == []


def test_partnet_is_rendered_with_five_times_the_density(
    here: Path, tiny_scene: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import torch

    from ultrafield import field
    from ultrafield.scene import load_scene
    from ultrafield.training import Fields

    shown = []
    plain = field.render_view
    monkeypatch.setattr(field, "render_view", lambda model, *more: shown.append(model) or plain(model, *more))
    root = ["--root_dir", str(tiny_scene), "--downsample", "0.04", "--num_epochs", "0.003", "--batch_size", "64"]
    assert train_main([*root, "--no_save_test"]) == 0
    model = shown[-1]
    positions = torch.rand(9, 3, device=model.device) - 0.5
    density, vector = model.geometry(positions)
    options = ["--root_dir", "R", "--dataset_name", "partnet"]
    scene = load_scene(tiny_scene, progress=False)
    assert write_views(None, scene, Fields(model), parse_options("train.py", options), Report()) is not None
    five = shown[-1]
    torch.testing.assert_close(five.geometry(positions)[0], 5 * density)
    torch.testing.assert_close(five.geometry(positions)[1], vector)
    torch.testing.assert_close(five.density(positions), 5 * density)
    torch.testing.assert_close(model.density(positions), density)


@pytest.mark.parametrize(
    ("psnr", "text"),
    [
        ([20.0, 30.0], "test/psnr 25.00  test/ssim 0.5000"),
        ([20.0, math.inf], "test/psnr 20.00 (1 of 2 views exact, left out)  test/ssim 0.5000"),
        ([math.inf, math.inf], "test/psnr exact  test/ssim 0.5000"),
    ],
)
def test_exact_views_leave_the_figure_finite(psnr: list[float], text: str) -> None:
    assert str(Quality.of(psnr, [0.25, 0.75])) == text


def test_trainval_trains_on_both_splits(here: Path, tiny_scene: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    seen = []
    monkeypatch.setattr(published, "train", lambda job, **_: seen.append(job.scene) or 1 / 0)
    assert train_main(["--root_dir", str(tiny_scene), *FLAGS, "--split", "trainval", "--scale", "1.0"]) == 1
    names = [view.name for view in seen[0].train]
    assert names == [*(f"r_{i}" for i in range(6)), "val_r_0", "val_r_1"]
    assert len(seen[0].train.normalised_cameras) == 8
    assert seen[0].half_extent == 1.0
    assert seen[0].train.normalised_cameras.sizes[0].tolist() == [32, 32]


@pytest.mark.parametrize(
    ("arguments", "text"),
    [
        (["--ckpt_path", "none.ckpt"], "none.ckpt: no such checkpoint"),
        (["--ckpt_path", "broken.ckpt"], "broken.ckpt: not a checkpoint that train.py of this package wrote"),
        (["--val_only"], "--val_only: needs --ckpt_path"),
        (["--root_dir", "/no/scene"], "/no/scene: no such folder"),
    ],
)
def test_train_reports_bad_input_in_one_line(
    here: Path, tiny_scene: Path, arguments: list[str], text: str, capsys: pytest.CaptureFixture[str]
) -> None:
    (here / "broken.ckpt").write_bytes(b"nothing")
    assert train_main(["--root_dir", str(tiny_scene), *FLAGS, *arguments]) == 2
    assert capsys.readouterr().err.splitlines()[-1] == f"train.py: error: {text}"
    assert [path.name for path in here.iterdir()] == ["broken.ckpt"]


def test_rotated_views_must_exist(here: Path, tiny_scene: Path, capsys: pytest.CaptureFixture[str]) -> None:
    import shutil

    plain = here / "plain"
    for name in ("train", "val"):
        shutil.copytree(tiny_scene / name, plain / name)
        shutil.copyfile(tiny_scene / f"transforms_{name}.json", plain / f"transforms_{name}.json")
    arguments = ["--root_dir", str(plain), "--downsample", "0.04", "--rotate_test"]
    assert train_main(arguments) == 2
    assert "--rotate_test needs transforms_val_rotate.json" in capsys.readouterr().err
    for metric in ("nc", "vc"):
        assert evaluate_main(metric, [str(plain), "OUT"]) == 2
        assert "no ground truth" in capsys.readouterr().err


def test_render_needs_a_checkpoint_and_a_folder(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert render_main(["--root_dir", "R"]) == 2
    assert "render.py: error: render.py: needs --ckpt_path and --render_dir" in capsys.readouterr().err


def test_checkpoints_come_back_whole_or_halved(tmp_path: Path) -> None:
    import torch

    state = {
        "grid.table": torch.rand(8, 2),
        "edges": torch.rand(5),
        "occupancy.occupied": torch.ones(3, dtype=torch.bool),
    }
    written = Checkpoint(7, Config(seed=5), state, None)
    for half, name in ((False, "whole"), (True, "half")):
        write_checkpoint(tmp_path / name, written, half=half)
        found = read_checkpoint(tmp_path / name)
        assert (found.epoch, found.config, found.features) == (7, written.config, None)
        assert (found.geometry["edges"] == state["edges"]).all()
        assert torch.allclose(found.geometry["grid.table"].float(), state["grid.table"], atol=1e-3 if half else 0)
    with pytest.raises(RunError, match="no such checkpoint"):
        read_checkpoint(tmp_path / "none")


def test_a_checkpoint_whose_settings_do_not_say_is_of_the_preset_paper_as_it_was(tmp_path: Path) -> None:
    import torch

    written = Checkpoint(0, preset("paper"), {}, None)
    write_checkpoint(tmp_path / "now", written)
    content = torch.load(tmp_path / "now", weights_only=True)
    for later in ("representation", "near_reach", "exposure"):
        del content["config"]["geometry"][later]
    torch.save(content, tmp_path / "before")
    assert read_checkpoint(tmp_path / "before").config.geometry == written.config.geometry


def test_a_checkpoint_of_another_size_is_refused(
    here: Path, tiny_scene: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    import torch

    write_checkpoint(here / "a.ckpt", Checkpoint(0, Config(), {"grid.table": torch.zeros(3, 2)}, None))
    arguments = ["--root_dir", str(tiny_scene), *FLAGS, "--ckpt_path", "a.ckpt", "--val_only", "--no_save_test"]
    assert train_main(arguments) == 2
    assert "the checkpoint does not fit this scene" in capsys.readouterr().err
    kept = here / "results/nerf/exp/0/views.json"
    kept.parent.mkdir(parents=True)
    kept.touch()
    assert train_main([argument for argument in arguments if argument != "--val_only"]) == 2
    assert kept.exists()


def test_refined_poses_come_with_the_checkpoint(
    here: Path, tiny_scene: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    root = ["--root_dir", str(tiny_scene), "--downsample", "0.04", "--batch_size", "64", "--num_epochs", "0.006"]
    assert train_main([*root, "--optimize_ext", "--render_train"]) == 0
    checkpoint = ["--ckpt_path", "ckpts/nerf/exp/epoch=0.ckpt", "--render_dir", "out", "--render_train"]
    poses = read_checkpoint(here / checkpoint[1]).geometry["train_poses"]
    assert poses.shape == (6, 3, 4)
    assert render_main([*root, *checkpoint]) == 0
    for index in range(3):
        for folder in ("out", "results/nerf/exp/0"):
            np.testing.assert_array_equal(np.load(here / folder / f"train_{index:03d}_p.npy"), poses[2 * index])
    assert render_main([*root, *checkpoint, "--split", "trainval"]) == 2
    assert "refined poses of 6 training views, the scene has 8; give the --split" in capsys.readouterr().err


def test_depth_smoothness_without_masks_is_said_and_left_out(
    here: Path, tiny_scene: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    import shutil

    bare = here / "bare"
    shutil.copytree(tiny_scene, bare, ignore=shutil.ignore_patterns("train_seg*"))
    root = ["--root_dir", str(bare), "--downsample", "0.04", "--batch_size", "64", "--num_epochs", "0.003"]
    assert train_main([*root, "--no_save_test", "--depth_smooth", "--load_seg"]) == 0
    assert "--depth_smooth: no effect, as 6 of 6 training views have no masks" in capsys.readouterr().err
    trained = (here / "results/nerf/exp/config.json").read_bytes()
    assert train_main([*root, "--euclidean_weight", "1"]) == 2
    assert "has no masks" in capsys.readouterr().err.splitlines()[-1]
    assert (here / "results/nerf/exp/config.json").read_bytes() == trained


def test_evaluation_needs_label_maps(here: Path, tiny_scene: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert evaluate_main("nc", [str(tiny_scene), "OUT"]) == 2
    assert "vis/OUT/0: no label maps; run 3dseg.py first" in capsys.readouterr().err


def test_evaluation_of_the_truth_itself(here: Path, tiny_scene: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Label maps made of the ground-truth ids score 1 on every level of NC."""
    from ultrafield.scene import load_ground_truth, load_scene

    scene = load_scene(tiny_scene, progress=False)
    for offset, split in ((0, "val"), (2, "val_rotate")):
        truth = load_ground_truth(scene, split)
        for view in range(2):
            maps = {
                0.01: truth.parts[view],
                0.02: truth.objects[view],
                0.03: (truth.objects[view] > 0).astype(np.int32),
            }
            for threshold, ids in maps.items():
                write_npy(here / "vis" / "T" / str(view + offset) / f"{threshold:.3f}.npy", ids)
    for metric in ("nc", "nc_dense", "vc"):
        assert evaluate_main(metric, [str(tiny_scene), "T", "--sampling", "20", "--seed", "1"]) == 0
    scores = json.loads((here / "eval_results/T/nc_score.json").read_text())
    assert scores["nc_scores_mean"] == pytest.approx(1.0)
    assert json.loads((here / "eval_results/T/vc_score.json").read_text())["vc_scores_mean"] > 0.3


def test_hierarchy_of_mask_folders(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    masks = np.zeros((3, 6, 6), bool)
    masks[0, :4], masks[1, :2], masks[2, 3:] = True, True, True
    for index, mask in enumerate(masks):
        write_image(tmp_path / "seg" / "a" / f"{index}.png", mask.astype(np.uint8) * 255)
    assert hierarchy_main(["--input", str(tmp_path / "seg"), "--output", str(tmp_path / "out")]) == 0
    expected = build_mask_set(masks)
    np.testing.assert_array_equal(np.load(tmp_path / "out" / "a_inside.npy"), expected.inside)
    np.testing.assert_array_equal(np.load(tmp_path / "out" / "a_same.npy"), expected.same)
    write_image(tmp_path / "seg" / "a" / "3.png", np.zeros((6, 6), np.uint8))
    assert hierarchy_main(["--input", str(tmp_path / "seg"), "--output", str(tmp_path / "out")]) == 2
    assert "3.png: mask holds no pixel" in capsys.readouterr().err
    write_image(tmp_path / "seg" / "a" / "3.png", np.ones((5, 6), np.uint8))
    assert hierarchy_main(["--input", str(tmp_path / "seg"), "--output", str(tmp_path / "out")]) == 2
    assert "3.png: expected 6x6 pixels like 0.png, found 6x5 pixels" in capsys.readouterr().err
    (tmp_path / "none").mkdir()
    assert hierarchy_main(["--input", str(tmp_path / "none"), "--output", str(tmp_path / "out")]) == 2
    assert "none: holds no folders of mask pictures" in capsys.readouterr().err


def test_hierarchy_files_fit_the_masks_as_they_are_read(tmp_path: Path) -> None:
    """ "1-a.png" comes before "1.png", but the stem "1" before "1-a"."""
    masks = np.zeros((2, 6, 6), bool)
    masks[0, :4], masks[1, :2] = True, True
    for name, mask in zip(("1", "1-a"), masks, strict=True):
        write_image(tmp_path / "train_seg" / "v" / f"{name}.png", mask.astype(np.uint8) * 255)
    source, target = tmp_path / "train_seg", tmp_path / "train_seg_hierarchy"
    assert hierarchy_main(["--input", str(source), "--output", str(target)]) == 0
    np.testing.assert_array_equal(read_masks(tmp_path, "train", "v").inside, build_mask_set(masks).inside)


def test_parsing_a_view_by_itself() -> None:
    from scipy.ndimage import label

    rng = np.random.default_rng(0)
    patches = np.kron(rng.integers(0, 3, (3, 4)), np.ones((4, 4), int))
    features = np.eye(3, dtype=np.float32)[patches] + rng.normal(scale=1e-3, size=(12, 16, 3)).astype(np.float32)
    features /= np.linalg.norm(features, axis=-1, keepdims=True)
    parsed = dict(parse_view(features, 200))
    assert list(parsed) == pytest.approx(PARSING_THRESHOLDS.tolist())
    expected = sum(label(patches == value)[1] for value in range(3))
    assert parsed[0.5].max() + 1 == expected
    for region in range(expected):
        assert len(np.unique(patches[parsed[0.5] == region])) == 1
    few = dict(parse_view(features, 2))[0.5]
    assert sorted(np.unique(few)) == [0, 1, 2]
    assert (few == 0).sum() >= (few == 1).sum()


def test_thresholds_are_strict() -> None:
    assert below(0.25) < np.float32(0.25) == 0.25
    assert np.nextafter(np.float32(below(0.25)), np.float32(1)) == np.float32(0.25)


@pytest.mark.parametrize(
    ("arguments", "text"),
    [
        (["--seed", "-1"], "--seed: expected a whole number from 0 to 9223372036854775807, got -1"),
        (["--sampling", "0"], "--sampling: expected None, or a whole number from 1 to 1000000, got 0"),
    ],
)
def test_evaluation_checks_its_numbers(arguments: list[str], text: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert evaluate_main("nc", ["scene", "name", *arguments]) == 2
    assert capsys.readouterr().err == f"eval_nc.py: error: {text}\n"


def test_more_gpus_than_there_are(here: Path, tiny_scene: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert train_main(["--root_dir", str(tiny_scene), "--num_gpus", "99"]) == 2
    lines = capsys.readouterr().err.splitlines()
    assert lines[-1].startswith("train.py: error: --num_gpus: this PyTorch sees ")
    assert list(here.iterdir()) == []
