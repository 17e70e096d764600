"""Training: geometry first, then features on its surfaces."""

from __future__ import annotations

from importlib.util import find_spec
from pathlib import Path

import torch

from ..config import Config
from ..errors import BackendError
from ..scene import Scene
from .checkpoint import FIELD_FILE, STATE_FILE, Fields, load_fields, save_fields, stored_settings
from .contrast.mask_pool import check_masks
from .features.trainer import fit_features
from .geometry.poses import posed
from .geometry.trainer import fit_geometry

__all__ = [
    "FIELD_FILE",
    "STATE_FILE",
    "Fields",
    "fit",
    "fit_features",
    "fit_geometry",
    "load_fields",
    "posed",
    "resolve_device",
    "save_fields",
]


def resolve_device(device: str) -> torch.device:
    """The device called "auto" (CUDA where there is one, with Triton), "cpu" or "cuda".

    Raises:
        BackendError: CUDA was asked for by name and cannot run here.
    """
    if device == "auto":
        return torch.device("cuda" if torch.cuda.is_available() and find_spec("triton") is not None else "cpu")
    if device.startswith("cuda") and not torch.cuda.is_available():
        raise BackendError("--device cuda: this PyTorch sees no CUDA device; use --device cpu")
    if device.startswith("cuda") and find_spec("triton") is None:
        raise BackendError("--device cuda: the kernels need Triton; pip install triton, or use --device cpu")
    return torch.device(device)


def fit(
    scene: Scene,
    config: Config,
    *,
    device: str = "auto",
    out: Path | None = None,
    resume: bool = True,
    initial: Fields | None = None,
    progress: bool = True,
) -> Fields:
    """Train what `config.engine` needs: geometry, and features for the engines "field" and "both".

    Args:
        scene: Pictures, cameras and, for features, masks.
        config: All settings.
        device: "auto", "cpu" or "cuda".
        out: Run folder, which receives field.safetensors, log.jsonl and state.pt; None keeps everything in memory.
        resume: Go on from what `out` holds of the same settings and seed: finished fields are kept, an interrupted
            training continues from its last state. The folder must belong to this scene.
        initial: Fields of the same sizes to start from instead of random ones; give `resume=False` with them, as what
            `out` holds would be taken first.
        progress: Whether to show progress bars.

    Returns:
        The trained fields; with the engine "lift" also the features that `out` happens to hold.

    Raises:
        SceneError: Features, or depth smoothness, need masks that a training view lacks.
        TrainingError: A loss or a parameter is not finite, or the field became empty.
        RunError: `initial` does not fit the scene or the settings.
    """
    target = resolve_device(device)
    if config.engine != "lift":
        check_masks(scene)  # now, not after the geometry is trained
    if out is not None:
        out.mkdir(parents=True, exist_ok=True)
        if not resume:
            for name in (FIELD_FILE, STATE_FILE):
                (out / name).unlink(missing_ok=True)
    options = {"device": target, "out": out, "progress": progress}
    kept = _kept_fields(out, config, target)
    if kept is not None:
        geometry = kept.geometry
    else:
        geometry = fit_geometry(scene, config, initial=initial and initial.geometry, **options)
    features = None if kept is None else kept.features
    if config.engine != "lift" and features is None:
        if out is not None:
            save_fields(out / FIELD_FILE, Fields(geometry), seed=config.seed)
        features = fit_features(
            geometry, posed(scene, geometry), config, initial=initial and initial.features, **options
        )
    fields = Fields(geometry, features)
    if out is not None:
        save_fields(out / FIELD_FILE, fields, seed=config.seed)
        (out / STATE_FILE).unlink(missing_ok=True)
    return fields


def _kept_fields(out: Path | None, config: Config, device: torch.device) -> Fields | None:
    """Fields that `out` already holds of these settings; without features if those are missing or were other ones."""
    if out is None or not (out / FIELD_FILE).is_file():
        return None
    stored = stored_settings(out / FIELD_FILE)
    if (stored.geometry, stored.seed) != (config.geometry, config.seed):
        return None
    fields = load_fields(out, device=device)
    # "lift" needs no features: those of an earlier "field" training stay, whatever their settings.
    return fields if config.engine == "lift" or stored.features == config.features else Fields(fields.geometry)
