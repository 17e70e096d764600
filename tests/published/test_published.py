"""The published commands: every flag is there, with its default, and none is silently ignored."""

from __future__ import annotations

import shlex
import subprocess
import sys
from dataclasses import fields, replace
from pathlib import Path

import numpy as np
import pytest

from ultrafield.budget import limit_memory
from ultrafield.cameras import Cameras, Similarity
from ultrafield.config import preset
from ultrafield.errors import ConfigError
from ultrafield.masks import build_mask_set
from ultrafield.published.options import (
    PublishedOptions,
    build_parser,
    parse_options,
    published_config,
    remarks,
    scene_remarks,
)
from ultrafield.scene import Scene, Split, View

ROOT = Path(__file__).parents[2]
TRAIN = shlex.split(
    "--root_dir R --dataset_name nerf --exp_name E --render_feature --downsample 0.25 --num_epochs 20 "
    "--batch_size 4096 --ray_sampling_strategy same_image --feature_dim 128 --load_seg --hierarchical_sampling "
    "--ultrametric_weight 1.0 --euclidean_weight 1.0 --num_seg_samples 64 --depth_smooth --lr 1e-2 "
    "--run_seg_inference --render_train --rotate_test"
)

# Flag, a value to give it (None for a switch), its published default, and what reacts to it: a setting (a path in the
# configuration), a remark, or what else uses it (checked in tests/commands).
TABLE = [
    ("root_dir", "R", None, "scene"),
    ("render_dir", "D", None, "render.py"),
    ("exp_name", "E2", "exp", "folders"),
    ("dataset_name", "partnet", "nerf", "scene"),
    ("split", "trainval", "train", "scene"),
    ("downsample", "0.5", 1.0, "scene"),
    ("scale", "2", 0.5, "geometry.grid.max_resolution"),
    ("batch_size", "512", 8192, "geometry.rays"),
    ("ray_sampling_strategy", "same_image", "all_images", "geometry.ray_sampling"),
    ("num_epochs", "3", 30, "geometry.steps"),
    ("num_gpus", "2", 1, "training"),
    ("lr", "0.5", 1e-2, "geometry.lr"),
    ("accumulate_grad_batches", "4", None, "geometry.rays"),
    ("distortion_loss_w", "0.1", 0, "geometry.distortion_weight"),
    ("optimize_ext", None, False, "geometry.refine_poses"),
    ("random_bg", None, False, "geometry.random_background"),
    ("eval_lpips", None, False, "remark"),
    ("val_only", None, False, "validation"),
    ("no_save_test", None, False, "validation"),
    ("ckpt_path", "C", None, "validation"),
    ("weight_path", "W", None, "training"),
    ("feature_directory", "F", None, "remark"),
    ("feature_dim", "32", None, "features.bottleneck"),
    ("render_feature", None, False, "remark"),
    ("ultrametric_weight", "0.5", 0, "features.ultrametric_weight"),
    ("euclidean_weight", "0.25", 0, "features.euclidean_weight"),
    ("num_seg_samples", "32", 64, "features.pairs_per_mask"),
    ("neg_sample_ratio", "3", 1, "features.negatives"),
    ("hierarchical_sampling", None, False, "features.hierarchical"),
    ("load_seg", None, False, "remark"),
    ("num_seg_test", "50", 200, "validation"),
    ("run_seg_inference", None, False, "validation"),
    ("depth_smooth", None, False, "geometry.depth_smooth"),
    ("render_train", None, False, "validation"),
    ("render_train_subsample", "1", 2, "validation"),
    ("rotate_test", None, False, "validation"),
]


def parsed(*arguments: str) -> PublishedOptions:
    """Options of `train.py --root_dir R` and more."""
    return parse_options("train.py", ["--root_dir", "R", *arguments])


def setting(options: PublishedOptions, path: str) -> object:
    """A value of the configuration that the flags amount to."""
    value: object = published_config(options)
    for name in path.split("."):
        value = getattr(value, name)
    return value


def test_the_table_is_complete() -> None:
    assert sorted(name for name, *_ in TABLE) == sorted(item.name for item in fields(PublishedOptions))


@pytest.mark.parametrize(("name", "value", "default", "use"), TABLE)
def test_every_flag_parses_and_has_its_published_default(
    name: str, value: str | None, default: object, use: str
) -> None:
    given = vars(build_parser("train.py").parse_args(["--root_dir", "R", f"--{name}", *([value] if value else [])]))
    plain = vars(build_parser("train.py").parse_args(["--root_dir", "R"]))
    if name != "root_dir":
        assert plain[name] == default
        assert given[name] != default
    assert {key for key in given if given[key] != plain[key]} <= {name}


@pytest.mark.parametrize(
    ("name", "value", "default", "use"), [row for row in TABLE if "." in row[3] and row[3] != "render.py"]
)
def test_flags_reach_the_configuration(name: str, value: str | None, default: object, use: str) -> None:
    arguments = [f"--{name}", *([value] if value else [])]
    assert setting(parsed(*arguments), use) != setting(parsed(), use)


@pytest.mark.parametrize(
    ("arguments", "text"),
    [
        (["--eval_lpips"], "--eval_lpips: LPIPS needs downloaded weights; PSNR and SSIM are reported"),
        (["--feature_directory", "F"], "--feature_directory: the method has no use for distilled features"),
        (["--render_feature", "--load_seg"], "--render_feature, --load_seg: no features are trained"),
        (
            ["--num_seg_test", "9", "--run_seg_inference"],
            "--run_seg_inference, --num_seg_test: no features are trained",
        ),
        (["--depth_smooth", "--num_epochs", "1"], "--depth_smooth: begins with the third epoch; this run has 1"),
        (["--ultrametric_weight", "1"], "--load_seg: not given; the masks are read all the same, as the contrastive"),
        (["--depth_smooth"], "--load_seg: not given; the masks are read all the same, as --depth_smooth"),
        (["--split", "trainvaltest"], "--split trainvaltest: Blender-HS has no third split"),
        (["--ckpt_path", "C", "--weight_path", "W"], "--weight_path: --ckpt_path holds the weights too"),
        (["--no_save_test", "--render_train"], "nothing is saved because of --no_save_test"),
        (["--load_seg", "--euclidean_weight", "1"], "--render_feature: not needed"),
        (["--load_seg", "--euclidean_weight", "1"], "--feature_dim: not given; the features' MLP has 128 channels"),
    ],
)
def test_what_is_not_needed_says_so_in_one_line(arguments: list[str], text: str) -> None:
    said = remarks(parsed(*arguments))
    assert sum(text in line for line in said) == 1
    assert all("\n" not in line for line in said)


def test_the_published_command_needs_no_remark() -> None:
    assert remarks(parse_options("train.py", TRAIN)) == []


def test_the_published_command_amounts_to_the_paper_preset() -> None:
    assert published_config(parse_options("train.py", TRAIN)) == replace(
        preset("paper"), geometry=replace(preset("paper").geometry, depth_smooth_from=0.1)
    )


def test_accumulated_batches_are_one_larger_batch() -> None:
    plain, accumulated = parsed("--num_epochs", "2"), parsed("--num_epochs", "2", "--accumulate_grad_batches", "4")
    assert setting(accumulated, "geometry.rays") == 4 * 8192
    assert setting(accumulated, "features.pixels") == 4 * 8192
    assert setting(accumulated, "geometry.steps") * 4 == setting(plain, "geometry.steps") == 2000


def test_resolutions_follow_the_scale() -> None:
    assert setting(parsed("--scale", "2"), "geometry.grid.max_resolution") == 4096
    assert setting(parsed("--scale", "2"), "features.grid.max_resolution") == 256


@pytest.mark.parametrize(
    ("epochs", "steps", "last"), [("20", 20000, 19), ("1", 1000, 0), ("0.1", 100, 0), ("1.5", 1500, 1)]
)
def test_epochs(epochs: str, steps: int, last: int) -> None:
    options = parsed("--num_epochs", epochs)
    assert (options.steps, options.last_epoch) == (steps, last)


def test_without_contrastive_losses_no_features_are_trained() -> None:
    assert published_config(parsed()).engine == "lift"
    assert published_config(parsed("--load_seg", "--ultrametric_weight", "1")).engine == "field"


@pytest.mark.parametrize(
    ("arguments", "text"),
    [
        (["--val_only"], "--val_only: needs --ckpt_path"),
        (["--num_epochs", "0"], "--num_epochs: expected a number more than 0 and at most 10000, got 0"),
        (["--downsample", "-1"], "--downsample: expected a number more than 0 and at most 16, got -1.0"),
        (["--euclidean_weight", "-1", "--load_seg"], "--euclidean_weight: expected a number from 0 to 1000000, got -1"),
        (["--lr", "nan"], "--lr: expected a number more than 0 and at most 100, got nan"),
        (["--scale", "inf"], "--scale: expected a number from 0.125 to 64, got inf"),
        (["--feature_dim", "0"], "--feature_dim: expected None, or a whole number from 1 to 1024, got 0"),
        (
            ["--batch_size", "4000000", "--accumulate_grad_batches", "2"],
            "--batch_size: expected at most 4194304 rays in all batches of a step, got 4000000 in each of 2",
        ),
    ],
)
def test_values_that_cannot_be_used(arguments: list[str], text: str) -> None:
    with pytest.raises(ConfigError, match=text):
        parsed(*arguments)


@pytest.mark.parametrize("script", ["train.py", "render.py"])
@pytest.mark.parametrize(
    "arguments", [[], ["--root_dir", "R", "--warp_speed", "9"], ["--root_dir", "R", "--split", "half"]]
)
def test_wrong_usage_is_exit_code_2(script: str, arguments: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as end:
        parse_options(script, arguments)
    assert end.value.code == 2
    assert f"{script}: error:" in capsys.readouterr().err


@pytest.mark.parametrize(
    "script",
    [
        "train.py",
        "render.py",
        "3dseg.py",
        *(f"scripts/{name}.py" for name in ("get_hierarchy", "get_seg", "eval_nc", "eval_nc_dense", "eval_vc")),
    ],
)
def test_every_script_answers_help(script: str) -> None:
    done = subprocess.run([sys.executable, str(ROOT / script), "--help"], capture_output=True, text=True, check=False)
    assert done.returncode == 0
    assert done.stdout.startswith(f"usage: {Path(script).name}")


def test_sam_is_refused_in_one_line(tmp_path: Path) -> None:
    command = f"{ROOT / 'scripts' / 'get_seg.py'} --input I --output O --model-type vit_h --checkpoint sam.pth"
    command += " --resize-fact 0.5 --points-per-side 32 --pred-iou-thresh 0.9 --crop-n-layers 1 --convert-to-rle"
    done = subprocess.run(
        [sys.executable, *shlex.split(command)], capture_output=True, text=True, check=False, cwd=tmp_path
    )
    assert done.returncode == 2
    assert done.stderr == (
        "get_seg.py: error: sam.pth: this form of SAM's weights is not read; `ultrafield masks SCENE --model sam "
        "--checkpoint DIR` takes them as transformers stores them, and without --model it makes masks without weights\n"
    )
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("name", ["ckpt_path", "weight_path"])
def test_the_help_promises_weights_only(name: str) -> None:
    (action,) = (item for item in build_parser("train.py")._actions if item.dest == name)
    assert "whose weights" in action.help
    assert "with optimiser state" not in action.help


@pytest.mark.parametrize(
    ("arguments", "masks", "alpha", "expected"),
    [
        (["--depth_smooth", "--random_bg"], True, True, []),
        (["--depth_smooth"], False, True, ["--depth_smooth: no effect, as 1 of 2 training views have no masks"]),
        (
            ["--random_bg"],
            False,
            False,
            ["--random_bg: no training picture has an alpha channel, so all pixels count as opaque"],
        ),
        ([], False, False, []),
    ],
)
def test_flags_without_anything_to_act_on_say_so(
    arguments: list[str], masks: bool, alpha: bool, expected: list[str]
) -> None:
    image, one = np.zeros((2, 2, 3), np.uint8), build_mask_set(np.ones((1, 2, 2), bool))
    coverage = np.full((2, 2), 128, np.uint8) if alpha else None
    views = (View("a", image, one, alpha=coverage), View("b", image, one if masks else None, alpha=coverage))
    assert scene_remarks(parsed(*arguments), scene_of(views, (1.0, 1.0, 1.0))) == expected


def test_depth_is_not_smoothed_without_masks() -> None:
    options = parsed("--depth_smooth")
    assert published_config(options).geometry.depth_smooth
    assert not published_config(options, smoothable=False).geometry.depth_smooth


def test_random_colours_are_no_choice_for_captures() -> None:
    said = scene_remarks(parsed("--random_bg"), scene_of((View("a"), View("b")), None))
    assert said == ["--random_bg: not needed; real captures are always trained before random colours"]


def scene_of(views: tuple[View, ...], background: tuple[float, float, float] | None) -> Scene:
    """A scene of two training views, as far as remarks look at it."""
    cameras = Cameras(
        np.tile(np.eye(3, 4), (2, 1, 1)),
        np.tile([2.0, 2.0, 1.0, 1.0], (2, 1)),
        np.full((2, 2), 2),
        np.zeros(2, np.int64),
        np.zeros((2, 8)),
    )
    return Scene(
        name="s",
        root=Path("s"),
        layout="blender-hs",
        splits={"train": Split(views, cameras)},
        to_user=Similarity(),
        background=background,
    )


def test_a_script_reports_errors_as_one_line(tmp_path: Path) -> None:
    command = [sys.executable, str(ROOT / "3dseg.py"), "nothing", "out"]
    done = subprocess.run(command, capture_output=True, text=True, check=False, cwd=tmp_path)
    assert done.returncode == 2
    assert done.stderr == (
        "3dseg.py: error: results/nerf/nothing: no results; run train.py with --exp_name nothing --render_train first\n"
    )
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("arguments", "text"),
    [
        (["--batch_size", "4000000"], "--batch_size: takes about "),
        (["--num_seg_samples", "16384", "--neg_sample_ratio", "1024"], "--num_seg_samples: takes about "),
    ],
)
@pytest.mark.usefixtures("default_memory")
def test_values_that_take_too_much_memory(arguments: list[str], text: str) -> None:
    limit_memory(2)
    with pytest.raises(ConfigError, match=f"^{text}"):
        published_config(parsed("--load_seg", "--ultrametric_weight", "1", *arguments))
