"""Training of what a run needs: geometry first, then features on its surfaces."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from types import NoneType
from typing import Any

import numpy as np
import torch
from torch import Tensor

from ..config import Config, preset
from ..devices import current_device, resolve_device
from ..errors import RunError, TrainingError, UltrafieldError, check_type
from ..field.model import FeatureField, RadianceField
from ..parallel import in_threads
from ..reading import read_json
from ..scene import Scene, View
from ..scene.digest import SceneDigest, digest_scene
from ..sharing import ALONE, Team
from .checkpoint import (
    FIELD_FILE,
    STATE_FILE,
    Fields,
    load_fields,
    load_state,
    save_fields,
    start_from,
    stored_settings,
)
from .contrast.mask_pool import check_masks
from .features.affordable import affordable
from .features.base import FeatureTrainer
from .geometry.base import GeometryTrainer
from .geometry.poses import posed
from .log import LOG_FILE, is_log
from .loop import Journal, Trainer, begin, run_steps
from .members import check_shared, checksum, prepare_features, prepare_geometry, start_steps
from .trainers import feature_trainer, geometry_trainer

_SMALL_SPREAD = 1e-3  # variance of pictures below which their colours say nothing about learning


def fit(
    scene: Scene,
    config: Config | None = None,
    *,
    device: str | torch.device = "auto",
    out: str | Path | None = None,
    resume: bool = True,
    initial: Fields | None = None,
    source: SceneDigest | None = None,
    note: Callable[[str], None] | None = None,
    under_way: Callable[[], None] | None = None,
    progress: bool = True,
    team: Team | None = None,
) -> Fields:
    """Train what `config.engine` needs: geometry, and features for the engines "field" and "both".

    Args:
        scene: Pictures, cameras and, for features, masks.
        config: All settings; by default the preset "standard" on CUDA and "draft" on the CPU.
        device: Where to train: "auto", "cpu", "cuda", "cuda:1", …
        out: Run folder, which receives field.safetensors, log.jsonl and, while training, state.pt; None keeps
            everything in memory.
        resume: Whether to continue from what `out` holds of the same scene, settings and seed: finished fields are
            kept, an interrupted training continues from its last state. If False, fields and state in `out` are deleted
            first.
        initial: Fields of the same sizes to start from instead of random ones. Pass `resume=False` with them, as what
            `out` holds would take precedence.
        source: Digest of the scene, where it is known already.
        note: Told what is kept and what is trained anew, line by line.
        under_way: Called after the first steps of each training; it may begin something that goes on beside the others.
        progress: Whether to show progress bars.
        team: Processes that share the training, a GPU each; None trains in this one alone.

    Returns:
        The trained fields; with the engine "lift" also the features that `out` happens to hold.

    Raises:
        SceneError: Features, or depth smoothness, need masks that a training view lacks.
        TrainingError: A loss or a parameter is not finite, or the field became empty.
        RunError: `initial` does not fit the scene or the settings, a file in `out` cannot be read, or `out` holds files
            of others that are called like its own.
        BackendError: CUDA was asked for by name and cannot run here; or regions of pictures are asked for
            (`config.geometry.regions`), and higra, which finds them, is not installed.
        ConfigError: A training that the team's GPUs cannot share.
    """
    check_type("scene", scene, Scene, hint="load_scene reads a folder")
    check_type("config", config, Config, NoneType, hint='preset("draft") makes one')
    out = None if out is None else Path(out)
    target = resolve_device(device)
    config = config or preset("standard" if target.type == "cuda" else "draft")
    if config.engine != "lift":
        check_masks(scene)  # now, not after the geometry is trained
    check_shared(scene, config, team)
    digest = digest_scene(scene) if source is None else source
    journal = Journal(out, geometry_source(digest, config), note or (lambda text: None), progress, under_way)
    if out is not None:
        _prepare(out, resume=resume)
    fields = _stored_fields(journal, config, digest.masks, target)
    trained = fields is None
    if fields is None:
        start = None if initial is None else initial.geometry
        fields = Fields(_fit_geometry(scene, config, target, start, journal, team))
    if config.engine != "lift" and fields.features is None:
        _save(journal, fields, config, digest.masks)
        if trained and out is not None:
            (out / STATE_FILE).unlink(missing_ok=True)  # of the geometry, which is whole now
        start_features = None if initial is None else initial.features
        seen = posed(scene, fields.geometry)
        featured = replace(journal, source=digest.whole)
        features = _fit_features(fields.geometry, seen, config, target, start_features, featured, team)
        fields = Fields(fields.geometry, features)
    _save(journal, fields, config, digest.masks)
    if out is not None:
        (out / STATE_FILE).unlink(missing_ok=True)
    return fields


def geometry_source(digest: SceneDigest, config: Config) -> str:
    """Digest of what geometry is trained on: masks belong to it if they say what depth shall be inside them."""
    return digest.whole if config.geometry.uses_masks else digest.pictures


def fit_geometry(
    scene: Scene,
    config: Config,
    *,
    device: str | torch.device = "cpu",
    out: Path | None = None,
    initial: RadianceField | None = None,
    progress: bool = True,
) -> RadianceField:
    """Train a radiance field on the training views.

    Args:
        scene: Pictures and cameras; masks for depth inside them and for where rays go.
        config: `config.geometry` and the seed.
        device: Where to train, as `resolve_device` takes it.
        out: Run folder for log.jsonl and the state from which an interrupted training continues.
        initial: Field to start from, of the same sizes; a random one if None.
        progress: Whether to show a progress bar.

    Returns:
        The trained field, on `device`; its `train_poses` are the refined ones, if poses were refined.

    Raises:
        SceneError: Depth smoothness is wanted and a training view has no masks.
        BackendError: Regions of pictures are asked for, and higra, which finds them, is not installed.
        TrainingError: A loss or a parameter is not finite, or the field became empty.
        RunError: `initial` has other sizes.
    """
    return _fit_geometry(scene, config, resolve_device(device), initial, _journal(scene, out, progress=progress))


def fit_features(
    geometry: RadianceField,
    scene: Scene,
    config: Config,
    *,
    device: str | torch.device = "cpu",
    out: Path | None = None,
    initial: FeatureField | None = None,
    progress: bool = True,
) -> FeatureField:
    """Train a feature field on the surfaces of a finished radiance field.

    Args:
        geometry: Density and occupancy, not changed.
        scene: The scene it was trained on, with refined poses if there are any (`posed`); every training view needs
            masks.
        config: `config.features` and the seed.
        device: Where to train, as `resolve_device` takes it; that of `geometry`.
        out: Run folder for log.jsonl and the state from which an interrupted training continues.
        initial: Field to start from, of the same sizes; a random one if None.
        progress: Whether to show progress bars.

    Returns:
        The trained field, on `device`.

    Raises:
        SceneError: A training view has no masks.
        TrainingError: A loss or a parameter is not finite.
        RunError: `initial` has other sizes.
    """
    return _fit_features(
        geometry, scene, config, resolve_device(device), initial, _journal(scene, out, progress=progress)
    )


def _fit_geometry(
    scene: Scene,
    config: Config,
    device: torch.device,
    initial: RadianceField | None,
    journal: Journal,
    team: Team | None = None,
) -> RadianceField:
    def make() -> GeometryTrainer:
        if team is not None:
            prepare_geometry(team, scene, config)
        trainer = geometry_trainer(scene, config, device, ALONE if team is None else team.group)
        start_from(trainer.field, initial)
        return trainer

    steps = config.geometry.steps
    if config.geometry.uses_regions and config.geometry.regions == "pictures":
        journal.note(f"geometry: regions of {len(scene.train)} pictures stand in for masks")
    with current_device(device):
        trainer, first = begin(make, steps, journal)
        losses = _steps(trainer, first, steps, journal, team, fresh=initial is None)
        field = trainer.finished()
    if trainer.exposure is not None:
        journal.note(f"geometry: {trainer.exposure.said()}")
    if not bool(field.occupancy.occupied.any()):
        raise TrainingError("geometry: the density field is empty; are poses and scale of the scene right?")
    _check_learned(scene, losses, journal)
    return field


def _check_learned(scene: Scene, losses: Mapping[str, Tensor], journal: Journal) -> None:
    """Say so if pictures are reproduced no better than by one colour: then training has diverged, finite as it is."""
    error = float(losses["color"].detach())
    spread = float(np.mean(list(in_threads(_spread, scene.train)))) / 255.0**2 if error > _SMALL_SPREAD else 0.0
    if error > max(spread, _SMALL_SPREAD):
        found, plain = (-10.0 * math.log10(value) for value in (error, max(spread, _SMALL_SPREAD)))
        journal.note(
            f"warning: geometry: training pictures are reproduced at {found:.1f} dB, no better than by one colour "
            f"({plain:.1f} dB): training was too short (geometry.steps) or has diverged (geometry.lr)"
        )


def _spread(view: View) -> float:
    """Variance of a training view's colours, 0 … 255, mean of the channels."""
    import cv2

    image = view.image
    assert image is not None
    return float((cv2.meanStdDev(image)[1] ** 2).mean())


def _fit_features(
    geometry: RadianceField,
    scene: Scene,
    config: Config,
    device: torch.device,
    initial: FeatureField | None,
    journal: Journal,
    team: Team | None = None,
) -> FeatureField:
    check_masks(scene)
    if device.type == "cpu":
        scene = affordable(scene, journal.note)

    def make() -> FeatureTrainer:
        if team is not None:
            prepare_features(team, scene, config, geometry)
        group = ALONE if team is None else team.group
        trainer = feature_trainer(geometry, scene, config, device, progress=journal.progress, group=group)
        start_from(trainer.field, initial)
        return trainer

    steps = config.features.steps
    with current_device(device):
        trainer, first = begin(make, steps, journal)
        _steps(trainer, first, steps, journal, team, fresh=initial is None)
    return trainer.field


def _steps(
    trainer: Trainer[Any], first: int, steps: int, journal: Journal, team: Team | None, *, fresh: bool
) -> Mapping[str, Tensor]:
    """`run_steps`, with the other processes of a team."""
    if team is None:
        return run_steps(trainer, first, steps, journal)
    team.finish()
    start_steps(team, trainer, first, steps, fresh=fresh)
    losses = run_steps(trainer, first, steps, journal)
    if any(found != checksum(trainer.field) for found in team.finish()):
        journal.note(f"warning: {trainer.stage}: the GPUs have drifted apart; those of the first one count")
    return losses


def _journal(scene: Scene, out: Path | None, *, progress: bool) -> Journal:
    if out is not None:
        _check_own(out)
    return Journal(out, "" if out is None else digest_scene(scene).whole, progress=progress)


def _prepare(out: Path, *, resume: bool) -> None:
    """Make the run folder, without fields and state of an earlier training unless it is to be resumed."""
    _check_own(out)
    out.mkdir(parents=True, exist_ok=True)
    if not resume:
        for name in (FIELD_FILE, STATE_FILE):
            (out / name).unlink(missing_ok=True)


def _check_own(out: Path) -> None:
    """Raise `RunError` if a folder that is neither a run nor has a training's log holds others' files of our names."""
    log = out / LOG_FILE
    if is_log(log) or _is_run(out):
        return
    try:
        if log.is_file() and log.stat().st_size:
            raise RunError(f"{log}: not the log of a training")
        load_state(out)
        if (out / FIELD_FILE).exists():
            stored_settings(out / FIELD_FILE)
    except RunError as error:
        raise RunError(f"{error}; it is not replaced: give the training a folder of its own") from None


def _is_run(folder: Path) -> bool:
    """Whether a folder has the settings of a run, whatever else lies in it."""
    with suppress(UltrafieldError):
        settings = read_json(folder / "config.json")
        return isinstance(settings, dict) and {"scene", "config"} <= settings.keys()
    return False


def _stored_fields(journal: Journal, config: Config, masks: str, device: torch.device) -> Fields | None:
    """Fields in the run folder that were trained on this scene with these settings, without features of other ones."""
    if journal.out is None or not (journal.out / FIELD_FILE).exists():
        return None
    try:
        stored = stored_settings(journal.out / FIELD_FILE)
        if (stored.geometry, stored.seed, stored.source) != (config.geometry, config.seed, journal.source):
            return None
        fields = load_fields(journal.out, device=device)
    except RunError as error:
        journal.note(f"{error}; trained again")
        return None
    # "lift" needs no features: those of an earlier "field" training on the same masks stay, whatever their settings.
    fit = stored.masks == masks and (config.engine == "lift" or stored.features == config.features)
    return fields if fit else Fields(fields.geometry)


def _save(journal: Journal, fields: Fields, config: Config, masks: str) -> None:
    if journal.out is not None:
        save_fields(journal.out / FIELD_FILE, fields, seed=config.seed, source=journal.source, masks=masks)
