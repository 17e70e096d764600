"""The published `train.py` and `render.py`: their flags, on Ultrafield's own stages.

    ckpts/<dataset_name>/<exp_name>/epoch=N.ckpt, epoch=N_slim.ckpt
    results/<dataset_name>/<exp_name>/        a run folder, for `ultrafield segment` and `ultrafield render`
    results/<dataset_name>/<exp_name>/N/      the files of `published_views`

N counts the epochs from 0; it is the last one. Both checkpoints hold weights, the slim one in 16 bits, and no optimiser
state.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from ..cameras import Cameras
from ..config import Config
from ..errors import ConfigError, RunError, SceneError
from ..io import fresh_folder
from ..pipeline.console import Report
from ..pipeline.folder import RunFolder
from ..pipeline.guard import guarded
from ..pipeline.job import Job, open_scene
from ..pipeline.stages import Source, Stages, fingerprint
from ..pipeline.train import is_trained, keep_fields, train
from ..reading import read_bytes
from ..removal import check_ours, kinds, remove_ours, sweep
from ..scene import Scene, Split
from ..scene.options import SceneOptions
from ..sharing import Team
from ..sharing.gpus import gpu_team
from .checkpoint import Checkpoint, build_fields, read_checkpoint, write_checkpoint
from .options import PUBLISHED_SIZE, PublishedOptions, parse_options, published_config, remarks, scene_remarks
from .stored import VIEW_FILES, epoch_folders
from .views import write_views

if TYPE_CHECKING:
    from ..training import Fields

_CHECKPOINT_FILES = kinds(r"epoch=\d+(_slim)?\.ckpt")
_CPU_SAMPLES = 1 << 17  # a step of about a second on two cores with the published sizes


def train_main(arguments: Sequence[str] | None = None) -> int:
    """`python train.py …`; returns the exit code."""
    return guarded("train.py", lambda: _train(parse_options("train.py", arguments)))


def render_main(arguments: Sequence[str] | None = None) -> int:
    """`python render.py … --ckpt_path CKPT --render_dir DIR`; returns the exit code."""
    return guarded("render.py", lambda: _render(parse_options("render.py", arguments)))


def _train(options: PublishedOptions) -> None:
    report = Report()
    for line in remarks(options):
        report.note(line)
    with gpu_team(options.num_gpus, "auto", option="--num_gpus") as team:
        _train_with(options, team, report)


def _train_with(options: PublishedOptions, team: Team | None, report: Report) -> None:
    start = options.ckpt_path or options.weight_path
    checkpoint = None if start is None else read_checkpoint(Path(start))
    scene, data = open_published(options, report)
    for line in scene_remarks(options, scene):
        report.note(line)
    run = RunFolder(result_folder(options))
    run.claim(Path(options.root_dir), takeover=True)
    writes = not (options.val_only and checkpoint is not None and options.no_save_test)
    with run.owned() if writes else nullcontext():
        _train_and_validate(options, scene, data, checkpoint, team, report)


def _train_and_validate(
    options: PublishedOptions,
    scene: Scene,
    data: SceneOptions,
    checkpoint: Checkpoint | None,
    team: Team | None,
    report: Report,
) -> None:
    if options.val_only and checkpoint is not None:
        epoch, fields = checkpoint.epoch, build_fields(scene, checkpoint)
    else:
        epoch, config, fields = _fit(options, scene, data, checkpoint, team, report)
        _write_checkpoints(options, epoch, config, fields)
    folder = None if options.no_save_test else result_folder(options) / str(epoch)
    _validate(options, scene, fields, folder, report)


def _render(options: PublishedOptions) -> None:
    if options.ckpt_path is None or options.render_dir is None:
        raise ConfigError("render.py: needs --ckpt_path and --render_dir")
    report = Report()
    report.note("render.py only renders: the flags of training have no effect here")
    checkpoint = read_checkpoint(Path(options.ckpt_path))
    scene, _ = open_published(options, report)
    folder = Path(options.render_dir)
    if folder.resolve() == result_folder(options).resolve():
        folder = folder / str(checkpoint.epoch)  # where 3dseg.py looks
    _validate(options, scene, build_fields(scene, checkpoint), folder, report)


def result_folder(options: PublishedOptions) -> Path:
    """results/<dataset_name>/<exp_name>."""
    return Path("results") / options.dataset_name / options.exp_name


def open_published(options: PublishedOptions, report: Report) -> tuple[Scene, SceneOptions]:
    """The scene with the published working size, box and splits, and the options it was read with."""
    half_extent = None if options.scale == 0.5 else options.scale
    if options.dataset_name == "nerf":
        data = SceneOptions(width=max(1, round(PUBLISHED_SIZE * options.downsample)), half_extent=half_extent)
    else:
        data = SceneOptions(layout="partnet", downsample=options.downsample, half_extent=half_extent)
    scene = open_scene(Path(options.root_dir), data, report)
    if options.rotate_test and "val_rotate" not in scene.splits:
        raise SceneError(f"{scene.source}: --rotate_test needs transforms_val_rotate.json")
    if options.split != "train" and "val" in scene.splits:
        scene = replace(scene, splits=scene.splits | {"train": _joined(scene.train, scene.splits["val"])})
    return scene, data


def _joined(train_split: Split, val: Split) -> Split:
    """Both splits' views for training; validation views keep apart by a prefix, as names are unique in a split."""
    views = (*train_split.views, *(view.changed(name=f"val_{view.name}") for view in val))
    first, second = train_split.normalised_cameras, val.normalised_cameras
    arrays = (np.concatenate(pair) for pair in zip(vars(first).values(), vars(second).values(), strict=True))
    return Split(views, Cameras(*arrays), train_split.to_user)


def _fit(
    options: PublishedOptions,
    scene: Scene,
    data: SceneOptions,
    checkpoint: Checkpoint | None,
    team: Team | None,
    report: Report,
) -> tuple[int, Config, Fields]:
    """Train in the run folder of the experiment, from `checkpoint` if there is one.

    Returns:
        The last epoch that the fields have seen, their settings, and the fields.
    """
    from ..training.contrast.mask_pool import check_masks

    config = _affordable(published_config(options, smoothable=scene.has_masks), report)
    # What can be refused is refused before anything of an earlier training is removed.
    if options.contrastive:
        check_masks(scene)
    initial = None if checkpoint is None else build_fields(scene, checkpoint)
    job = replace(_open_job(options, scene, data, config, report), team=team)
    if checkpoint is not None and options.ckpt_path is not None and checkpoint.epoch < options.last_epoch:
        job = job.with_config(_remaining(options, config, checkpoint))
    job.write_config(takeover=True)
    if checkpoint is None or initial is None:
        _forget_views(job)
        return options.last_epoch, config, train(job)
    if options.ckpt_path is not None and checkpoint.epoch >= options.last_epoch:
        return _keep(job, options, checkpoint, initial)
    _forget_views(job)
    report.note(
        f"{options.ckpt_path or options.weight_path}: training starts from the weights of epoch {checkpoint.epoch} for "
        f"{job.config.geometry.steps} steps; optimiser and learning rate begin anew"
    )
    return options.last_epoch, job.config, train(job, initial=initial)


def _open_job(options: PublishedOptions, scene: Scene, data: SceneOptions, config: Config, report: Report) -> Job:
    """The experiment's job; weights that its training starts from are part of its source."""
    run = RunFolder(result_folder(options))
    for folder in epoch_folders(run.root):
        check_ours(folder, VIEW_FILES)
    source = Source.of(Path(options.root_dir), data, scene, run=run.root)
    start = options.ckpt_path or options.weight_path
    if start is not None:
        weights = hashlib.sha256(read_bytes(Path(start), error=RunError)).hexdigest()
        pictures = fingerprint(source.content.pictures, weights)
        source = replace(source, content=replace(source.content, pictures=pictures))
    return Job(run, scene, source, config, Stages.of(source, config), "auto", report)


def _keep(job: Job, options: PublishedOptions, checkpoint: Checkpoint, fields: Fields) -> tuple[int, Config, Fields]:
    """The fields of a checkpoint that has all epochs already, put into the run folder; returns what `_fit` does."""
    job.report.note(
        f"{options.ckpt_path}: already holds epoch {checkpoint.epoch}, and --num_epochs {options.num_epochs:g} "
        f"ends with epoch {options.last_epoch}: nothing is left to train"
    )
    job = job.with_config(checkpoint.config)
    job.write_config(takeover=True)
    _forget_views(job)
    keep_fields(job, fields)
    return checkpoint.epoch, checkpoint.config, fields


def _affordable(config: Config, report: Report) -> Config:
    """On the CPU, the same settings with as many rays in a step as it can carry.

    At the start everything is fog and a ray has hundreds of samples, later some ten.
    """
    from ..training import resolve_device

    if resolve_device("auto").type != "cpu":
        return config
    report.note(
        f"--batch_size: on the CPU a step takes as many rays as make about {_CPU_SAMPLES} samples; "
        f"{config.geometry.rays} only in the first"
    )
    return replace(config, geometry=replace(config.geometry, samples=_CPU_SAMPLES))


def _forget_views(job: Job) -> None:
    """Remove rendered views of an earlier training unless this one is done already."""
    if not is_trained(job):
        for folder in epoch_folders(job.run.root):
            remove_ours(folder, VIEW_FILES)


def _remaining(options: PublishedOptions, config: Config, checkpoint: Checkpoint) -> Config:
    """The settings for the epochs that `checkpoint` does not have yet; at least one is missing."""
    left = options.last_epoch - checkpoint.epoch
    steps = max(1, round(options.steps * left / (options.last_epoch + 1)))
    return replace(
        config, geometry=replace(config.geometry, steps=steps), features=replace(config.features, steps=steps)
    )


def _validate(options: PublishedOptions, scene: Scene, fields: Fields, folder: Path | None, report: Report) -> None:
    """Render the test views, print PSNR and SSIM, and write the published files into `folder` unless it is None.

    A folder of the experiment's results is replaced as a whole; one that the user chose may hold the user's own files.
    """
    place: AbstractContextManager[Path | None] = nullcontext(folder)
    if folder is not None and folder.parent.resolve() == result_folder(options).resolve():
        place = fresh_folder(folder, VIEW_FILES)
    elif folder is not None:
        _check_render_folder(folder)
    with report.stage("validation"), place as target:
        quality = write_views(target, scene, fields, options, report)
    if quality is not None:
        report.result(str(quality))
    if folder is not None:
        report.result(f"{folder}: written")


def _check_render_folder(folder: Path) -> None:
    """Raise `ConfigError` if files of a folder that no rendering has been written to would be overwritten."""
    if not folder.is_dir() or (folder / "to_user.npy").is_file():  # the first file that a rendering writes
        return
    for entry in sorted(folder.iterdir()):
        if any(VIEW_FILES.fullmatch(name) for name in (entry.name, f"{entry.name}/0.010.png")):
            raise ConfigError(f"--render_dir: {entry} could be overwritten; choose another folder")


def _write_checkpoints(options: PublishedOptions, epoch: int, config: Config, fields: Fields) -> None:
    folder = Path("ckpts") / options.dataset_name / options.exp_name
    sweep(folder, _CHECKPOINT_FILES)
    features = None if fields.features is None else fields.features.state_dict()
    checkpoint = Checkpoint(epoch, config, fields.geometry.state_dict(), features)
    write_checkpoint(folder / f"epoch={epoch}.ckpt", checkpoint)
    write_checkpoint(folder / f"epoch={epoch}_slim.ckpt", checkpoint, half=True)
