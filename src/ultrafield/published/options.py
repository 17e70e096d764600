"""The flags of the published `train.py` and `render.py`, and what each means here."""

from __future__ import annotations

import argparse
import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, cast

from ..config import Config, FeatureConfig, GeometryConfig, RaySampling, check_memory, preset
from ..config.ranges import Range, Ranges, number_fault
from ..errors import ConfigError
from ..names import check_name
from ..scene import Scene

STEPS_PER_EPOCH = 1000
PUBLISHED_SIZE = 800  # Blender-HS pictures are resized to this many pixels times --downsample
FEATURE_CHANNELS = 256  # width of the linear layer after the --feature_dim channels of the MLP
DEFAULT_FEATURE_DIM = 128
_DEPTH_SMOOTH_EPOCH = 2  # depth smoothness begins when so many epochs are over
_MAX_RESOLUTION_PER_SCALE = {"geometry": 2048, "features": 128}

_CHOICES: dict[str, tuple[tuple[str, ...], str, str]] = {
    "dataset_name": (("nerf", "partnet"), "nerf", "layout of the dataset"),
    "split": (("train", "trainval", "trainvaltest"), "train", "splits to train on"),
    "ray_sampling_strategy": (("all_images", "same_image"), "all_images", "where the rays of a step come from"),
}

_VALUES: dict[str, tuple[type, Any, str]] = {
    "root_dir": (str, None, "folder of the dataset"),
    "render_dir": (str, None, "folder that render.py writes to"),
    "exp_name": (str, "exp", "name of the experiment"),
    "downsample": (float, 1.0, "picture size as a fraction of 800 pixels (nerf) or of the pictures' own (partnet)"),
    "scale": (float, 0.5, "half extent of the scene box"),
    "distortion_loss_w": (float, 0.0, "weight of the distortion loss"),
    "batch_size": (int, 8192, "rays, and pixels of the contrastive losses, per step"),
    "num_epochs": (float, 30, "epochs of 1000 steps; fractions are allowed"),
    "num_gpus": (int, 1, "GPUs of this machine that share the training"),
    "lr": (float, 1e-2, "first learning rate"),
    "accumulate_grad_batches": (int, None, "batches whose gradients make one step"),
    "ckpt_path": (
        str,
        None,
        "checkpoint to render, or whose weights the epochs it lacks start from; it holds no optimiser state",
    ),
    "weight_path": (str, None, "checkpoint whose weights all epochs start from"),
    "feature_directory": (str, None, "distilled features; the method has no use for them"),
    "feature_dim": (int, None, "channels of the feature MLP"),
    "ultrametric_weight": (float, 0.0, "weight of the contrastive loss in ultrametric distance"),
    "euclidean_weight": (float, 0.0, "weight of the contrastive loss in Euclidean distance"),
    "num_seg_samples": (int, 64, "pairs per mask"),
    "neg_sample_ratio": (int, 1, "negatives per positive"),
    "num_seg_test": (int, 200, "segments kept by --run_seg_inference"),
    "render_train_subsample": (int, 2, "every how many-th training view --render_train renders"),
}

_MOST_RAYS = 1 << 22
_WEIGHT = Range(0, 10**6)
_LIMITS: Ranges = {
    "downsample": Range(0, 16, above=True),
    "scale": Range(0.125, 64),  # below, the finest level of the features' grid would be coarser than the coarsest
    "distortion_loss_w": _WEIGHT,
    "batch_size": Range(2, _MOST_RAYS),
    "num_epochs": Range(0, 10_000, above=True),
    "num_gpus": Range(1, 1024),
    "lr": Range(0, 100, above=True),
    "accumulate_grad_batches": Range(1, 1024),
    "feature_dim": Range(1, 1024),
    "ultrametric_weight": _WEIGHT,
    "euclidean_weight": _WEIGHT,
    "num_seg_samples": Range(1, 1 << 14),
    "neg_sample_ratio": Range(1, 1024),
    "num_seg_test": Range(1, 10**6),
    "render_train_subsample": Range(1, 10**6),
}
_DECIDED_BY = {  # settings that may take too much memory, and the flags that decide them
    "geometry.rays": "batch_size",
    "features.pixels": "batch_size",
    "features.pairs_per_mask": "num_seg_samples",
}

_SWITCHES: dict[str, str] = {
    "optimize_ext": "refine the camera poses",
    "random_bg": "train with random background colours",
    "eval_lpips": "evaluate LPIPS",
    "val_only": "validate only; needs --ckpt_path",
    "no_save_test": "save no pictures of the test views",
    "render_feature": "render features",
    "load_seg": "load the masks",
    "depth_smooth": "depth smoothness inside the masks",
    "hierarchical_sampling": "pairs along the hierarchy of masks",
    "run_seg_inference": "2D parsing of the test views, each by itself",
    "render_train": "render training views too; 3dseg.py needs them",
    "rotate_test": "render the rotated validation views too",
}


@dataclass(frozen=True)
class PublishedOptions:
    """The published flags under their published names; `build_parser` explains each."""

    root_dir: str
    render_dir: str | None
    exp_name: str
    dataset_name: str
    split: str
    downsample: float
    scale: float
    distortion_loss_w: float
    batch_size: int
    ray_sampling_strategy: str
    num_epochs: float
    num_gpus: int
    lr: float
    accumulate_grad_batches: int | None
    optimize_ext: bool
    random_bg: bool
    eval_lpips: bool
    val_only: bool
    no_save_test: bool
    ckpt_path: str | None
    weight_path: str | None
    feature_directory: str | None
    feature_dim: int | None
    render_feature: bool
    ultrametric_weight: float
    euclidean_weight: float
    num_seg_samples: int
    neg_sample_ratio: int
    num_seg_test: int
    load_seg: bool
    depth_smooth: bool
    hierarchical_sampling: bool
    run_seg_inference: bool
    render_train: bool
    render_train_subsample: int
    rotate_test: bool

    @property
    def contrastive(self) -> bool:
        """Whether features are trained."""
        return self.ultrametric_weight > 0 or self.euclidean_weight > 0

    @property
    def last_epoch(self) -> int:
        """Number of the last epoch, counted from 0; it names checkpoints and result folders."""
        return math.ceil(self.num_epochs) - 1

    @property
    def batches(self) -> int:
        """Batches per optimiser step."""
        return self.accumulate_grad_batches or 1

    @property
    def steps(self) -> int:
        """Optimiser steps."""
        return max(1, round(self.num_epochs * STEPS_PER_EPOCH / self.batches))


def build_parser(program: str) -> argparse.ArgumentParser:
    """The parser of `train.py` and `render.py`: every published flag with its published default."""
    parser = argparse.ArgumentParser(prog=program, description="The published command, on Ultrafield.")
    for name, (kind, default, text) in _VALUES.items():
        parser.add_argument(f"--{name}", type=kind, default=default, required=name == "root_dir", help=text)
    for name, (choices, default, text) in _CHOICES.items():
        parser.add_argument(f"--{name}", choices=choices, default=default, help=text)
    for name, text in _SWITCHES.items():
        parser.add_argument(f"--{name}", action="store_true", help=text)
    return parser


def parse_options(program: str, arguments: Sequence[str] | None = None) -> PublishedOptions:
    """Read the flags.

    Raises:
        SystemExit: Wrong usage (code 2), or `--help`.
        ConfigError: Values that cannot be used, or that contradict each other.
    """
    options = PublishedOptions(**vars(build_parser(program).parse_args(arguments)))
    _check(options)
    return options


def check_flag(name: str, value: Any, kind: type, limits: Range, *, optional: bool = False) -> None:
    """Raise `ConfigError`, naming the flag, unless its value is an int or a float (`kind`) in a range."""
    fault = number_fault(value, kind, limits, optional=optional)
    if fault is not None:
        raise ConfigError(f"--{name}: {fault}")


def _check(options: PublishedOptions) -> None:
    check_name(options.exp_name, "--exp_name", ConfigError)
    for name, limits in _LIMITS.items():
        kind, default, _ = _VALUES[name]
        check_flag(name, getattr(options, name), kind, limits, optional=default is None)
    if options.batch_size * options.batches > _MOST_RAYS:
        text = f"expected at most {_MOST_RAYS} rays in all batches of a step, got {options.batch_size}"
        raise ConfigError(f"--batch_size: {text} in each of {options.batches}")
    if options.val_only and options.ckpt_path is None:
        raise ConfigError("--val_only: needs --ckpt_path")


def published_config(options: PublishedOptions, *, smoothable: bool = True) -> Config:
    """The `paper` preset with everything the flags decide.

    Args:
        options: The flags.
        smoothable: Whether every training view has masks, without which depth is not smoothed.

    Raises:
        ConfigError: They take more memory than the program may.
    """
    base = preset("paper")
    config = replace(
        base,
        engine="field" if options.contrastive else "lift",
        geometry=_geometry(base.geometry, options, smoothable=smoothable),
        features=_features(base.features, options),
    )
    try:
        check_memory(config)
    except ConfigError as error:
        flag = _DECIDED_BY.get(error.setting or "", "scale")
        raise ConfigError(f"--{flag}: {str(error).partition(': ')[2]}") from None
    return config


def _geometry(base: GeometryConfig, options: PublishedOptions, *, smoothable: bool) -> GeometryConfig:
    finest = round(_MAX_RESOLUTION_PER_SCALE["geometry"] * options.scale)
    return replace(
        base,
        grid=replace(base.grid, max_resolution=finest),
        steps=options.steps,
        rays=options.batch_size * options.batches,
        lr=options.lr,
        distortion_weight=options.distortion_loss_w,
        depth_smooth=options.depth_smooth and smoothable,
        depth_smooth_from=min(1.0, _DEPTH_SMOOTH_EPOCH / options.num_epochs),
        random_background=options.random_bg,
        ray_sampling=cast(RaySampling, options.ray_sampling_strategy),
        refine_poses=options.optimize_ext,
    )


def _features(base: FeatureConfig, options: PublishedOptions) -> FeatureConfig:
    finest = round(_MAX_RESOLUTION_PER_SCALE["features"] * options.scale)
    return replace(
        base,
        grid=replace(base.grid, max_resolution=finest),
        bottleneck=options.feature_dim or DEFAULT_FEATURE_DIM,
        dim=FEATURE_CHANNELS,
        steps=options.steps,
        pixels=options.batch_size * options.batches,
        pairs_per_mask=options.num_seg_samples,
        negatives=options.neg_sample_ratio,
        euclidean_weight=options.euclidean_weight,
        ultrametric_weight=options.ultrametric_weight,
        hierarchical=options.hierarchical_sampling,
        lr=options.lr,
    )


def remarks(options: PublishedOptions) -> list[str]:
    """One line for each given flag that is not needed any more, or has nothing to act on."""
    said = []
    if options.eval_lpips:
        said.append("--eval_lpips: LPIPS needs downloaded weights; PSNR and SSIM are reported")
    if options.feature_directory is not None:
        said.append("--feature_directory: the method has no use for distilled features; nothing is read")
    if not options.load_seg and (options.contrastive or options.depth_smooth):
        why = "the contrastive losses" if options.contrastive else "--depth_smooth"
        said.append(f"--load_seg: not given; the masks are read all the same, as {why} cannot do without")
    if options.contrastive and not options.render_feature:
        said.append("--render_feature: not needed; features are rendered whenever they are trained")
    if options.contrastive and options.feature_dim is None:
        said.append(f"--feature_dim: not given; the features' MLP has {DEFAULT_FEATURE_DIM} channels")
    if options.depth_smooth and options.num_epochs <= _DEPTH_SMOOTH_EPOCH:
        said.append(f"--depth_smooth: begins with the third epoch; this run has {options.num_epochs:g}")
    if options.ckpt_path is not None and options.weight_path is not None:
        said.append("--weight_path: --ckpt_path holds the weights too and is used instead")
    if options.split == "trainvaltest":
        said.append("--split trainvaltest: Blender-HS has no third split; train and val are used")
    if options.no_save_test and (options.render_train or options.run_seg_inference):
        said.append("--render_train, --run_seg_inference: nothing is saved because of --no_save_test")
    idle = _without_features(options)
    if idle:
        said.append(f"{', '.join(idle)}: no features are trained, as both loss weights are 0")
    return said


def scene_remarks(options: PublishedOptions, scene: Scene) -> list[str]:
    """One line for each given flag that has nothing to act on in this scene."""
    said = []
    bare = sum(view.masks is None for view in scene.train)
    if options.depth_smooth and bare:
        said.append(f"--depth_smooth: no effect, as {bare} of {len(scene.train)} training views have no masks")
    if options.random_bg and scene.background is None:
        said.append("--random_bg: not needed; real captures are always trained before random colours")
    elif options.random_bg and all(view.alpha is None for view in scene.train):
        said.append("--random_bg: no training picture has an alpha channel, so all pixels count as opaque")
    return said


def _without_features(options: PublishedOptions) -> list[str]:
    """Flags that only matter when features are trained, given although none are."""
    if options.contrastive:
        return []
    names = [
        "render_feature",
        "hierarchical_sampling",
        "run_seg_inference",
        "feature_dim",
        "num_seg_samples",
        "neg_sample_ratio",
        "num_seg_test",
    ]
    if not options.depth_smooth:
        names.append("load_seg")
    defaults = {name: default for name, (_, default, _) in _VALUES.items()}
    return [f"--{name}" for name in names if getattr(options, name) != defaults.get(name, False)]
