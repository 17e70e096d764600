"""Training of what a run needs: geometry first, then features on its surfaces."""

from __future__ import annotations

from pathlib import Path

import torch

from ..config import Config, preset
from ..devices import current_device, resolve_device
from ..errors import TrainingError
from ..field.model import FeatureField, RadianceField
from ..scene import Scene
from .checkpoint import FIELD_FILE, STATE_FILE, Fields, load_fields, save_fields, start_from, stored_settings
from .contrast.mask_pool import check_masks
from .geometry.poses import posed
from .loop import run_steps
from .trainers import feature_trainer, geometry_trainer


def fit(
    scene: Scene,
    config: Config | None = None,
    *,
    device: str | torch.device = "auto",
    out: Path | None = None,
    resume: bool = True,
    initial: Fields | None = None,
    progress: bool = True,
) -> Fields:
    """Train what `config.engine` needs: geometry, and features for the engines "field" and "both".

    Args:
        scene: Pictures, cameras and, for features, masks.
        config: All settings; by default the preset "standard" on CUDA and "draft" on the CPU.
        device: Where to train, as `resolve_device` takes it.
        out: Run folder, which receives field.safetensors, log.jsonl and, while training, state.pt; None keeps
            everything in memory.
        resume: Whether to continue from what `out` holds of the same settings and seed: finished fields are kept, an
            interrupted training continues from its last state. The folder must belong to this scene. If False, fields
            and state in `out` are deleted first.
        initial: Fields of the same sizes to start from instead of random ones. Pass `resume=False` with them, as what
            `out` holds would take precedence.
        progress: Whether to show progress bars.

    Returns:
        The trained fields; with the engine "lift" also the features that `out` happens to hold.

    Raises:
        SceneError: Features, or depth smoothness, need masks that a training view lacks.
        TrainingError: A loss or a parameter is not finite, or the field became empty.
        RunError: `initial` does not fit the scene or the settings, or a file in `out` cannot be read.
        BackendError: CUDA was asked for by name and cannot run here.
    """
    target = resolve_device(device)
    config = config or preset("standard" if target.type == "cuda" else "draft")
    if config.engine != "lift":
        check_masks(scene)  # now, not after the geometry is trained
    if out is not None:
        _prepare(out, resume=resume)
    fields = _stored_fields(out, config, target)
    if fields is None:
        start = None if initial is None else initial.geometry
        fields = Fields(fit_geometry(scene, config, device=target, out=out, initial=start, progress=progress))
    if config.engine != "lift" and fields.features is None:
        _save(out, fields, config)
        geometry, start_features = fields.geometry, None if initial is None else initial.features
        features = fit_features(
            geometry,
            posed(scene, geometry),
            config,
            device=target,
            out=out,
            initial=start_features,
            progress=progress,
        )
        fields = Fields(geometry, features)
    _save(out, fields, config)
    if out is not None:
        (out / STATE_FILE).unlink(missing_ok=True)
    return fields


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
        scene: Pictures and cameras; masks only for depth smoothness.
        config: `config.geometry` and the seed.
        device: Where to train, as `resolve_device` takes it.
        out: Run folder for log.jsonl and the state from which an interrupted training continues.
        initial: Field to start from, of the same sizes; a random one if None.
        progress: Whether to show a progress bar.

    Returns:
        The trained field, on `device`; its `train_poses` are the refined ones, if poses were refined.

    Raises:
        SceneError: Depth smoothness is wanted and a training view has no masks.
        TrainingError: A loss or a parameter is not finite, or the field became empty.
        RunError: `initial` has other sizes.
    """
    target = resolve_device(device)
    with current_device(target):
        trainer = geometry_trainer(scene, config, target)
        start_from(trainer.field, initial)
        run_steps(trainer, config.geometry.steps, out=out, progress=progress)
        field = trainer.finished()
    if not bool(field.occupancy.occupied.any()):
        raise TrainingError("geometry: the density field is empty; are poses and scale of the scene right?")
    return field


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
    target = resolve_device(device)
    with current_device(target):
        trainer = feature_trainer(geometry, scene, config, target, progress=progress)
        start_from(trainer.field, initial)
        run_steps(trainer, config.features.steps, out=out, progress=progress)
    return trainer.field


def _prepare(out: Path, *, resume: bool) -> None:
    """Make the run folder, without fields and state of an earlier training unless it is to be resumed."""
    out.mkdir(parents=True, exist_ok=True)
    if not resume:
        for name in (FIELD_FILE, STATE_FILE):
            (out / name).unlink(missing_ok=True)


def _stored_fields(out: Path | None, config: Config, device: torch.device) -> Fields | None:
    """Fields in `out` that were trained with these settings, without features that were trained with others."""
    if out is None or not (out / FIELD_FILE).is_file():
        return None
    stored = stored_settings(out / FIELD_FILE)
    if (stored.geometry, stored.seed) != (config.geometry, config.seed):
        return None
    fields = load_fields(out, device=device)
    # "lift" needs no features: those of an earlier "field" training stay, whatever their settings.
    return fields if config.engine == "lift" or stored.features == config.features else Fields(fields.geometry)


def _save(out: Path | None, fields: Fields, config: Config) -> None:
    if out is not None:
        save_fields(out / FIELD_FILE, fields, seed=config.seed)
