"""Fields and training states on disk."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from ..config import FeatureConfig, GeometryConfig, from_dict, to_dict
from ..errors import ConfigError, RunError
from ..field import FeatureField, RadianceField
from ..io import atomic_write
from ..scene import Scene

FIELD_FILE = "field.safetensors"
STATE_FILE = "state.pt"


@dataclass(frozen=True)
class Fields:
    """The trained fields of a run.

    Attributes:
        geometry: Density and colour.
        features: Features; None with the engine "lift", which needs none.
    """

    geometry: RadianceField
    features: FeatureField | None = None


def far_bound(scene: Scene) -> float:
    """Upper bound of the distance from any camera to the far side of the outermost box, normalised units."""
    half = 0.5 * 2 ** (scene.cascades - 1)
    reach = max(np.linalg.norm(split.normalised_cameras.c2w[:, :, 3], axis=1).max() for split in scene.splits.values())
    return float(reach + half * 3**0.5)


def new_geometry(scene: Scene, config: GeometryConfig, generator: torch.Generator) -> RadianceField:
    """An untrained radiance field for a scene, on the CPU."""
    background = None if scene.background is None else torch.as_tensor(scene.background, dtype=torch.float32)
    return RadianceField(
        config,
        cascades=scene.cascades,
        near=scene.near,
        far=far_bound(scene),
        background=background,
        generator=generator,
    )


def start_from(field: nn.Module, initial: nn.Module | None) -> None:
    """Copy parameters and buffers of `initial`, if it is not None, into `field`.

    Raises:
        RunError: Their shapes differ.
    """
    if initial is None:
        return
    if isinstance(field, RadianceField) and isinstance(initial, RadianceField):
        field.train_poses = initial.train_poses.to(field.device)
    try:
        field.load_state_dict(initial.state_dict())
    except RuntimeError as error:
        reason = str(error).splitlines()[-1].strip()
        raise RunError(f"the fields to start from do not fit the scene or the settings ({reason})") from None


@dataclass(frozen=True)
class StoredSettings:
    """The settings a field file was trained with; `features` is None if it holds geometry only."""

    geometry: GeometryConfig
    features: FeatureConfig | None
    seed: int
    cascades: int
    near: float
    far: float


def save_fields(path: Path, fields: Fields, *, seed: int = 0) -> None:
    """Write the fields as one safetensors file, whose metadata hold the settings needed to rebuild them."""
    from safetensors.torch import save

    geometry = fields.geometry
    tensors = {f"geometry.{name}": value.contiguous() for name, value in geometry.state_dict().items()}
    meta: dict[str, Any] = {
        "geometry": to_dict(geometry.config),
        "features": None if fields.features is None else to_dict(fields.features.config),
        "seed": seed,
        "cascades": geometry.occupancy.cascades,
        "near": float(geometry.edges[0]),
        "far": float(geometry.edges[-1]),
    }
    if fields.features is not None:
        tensors |= {f"features.{name}": value.contiguous() for name, value in fields.features.state_dict().items()}
    payload = save({name: value.cpu() for name, value in tensors.items()}, metadata={"ultrafield": json.dumps(meta)})
    with atomic_write(path) as file:
        file.write(payload)


def stored_settings(path: Path) -> StoredSettings:
    """Read the settings that a field file was trained with.

    Raises:
        RunError: This version cannot read the file.
    """
    return _read(path)[0]


def load_fields(run: Path, *, device: torch.device | str = "cpu") -> Fields:
    """Read the fields of a run folder (or of a safetensors file itself).

    Raises:
        RunError: There is no trained field, or this version cannot read it.
    """
    run = Path(run)
    path = run / FIELD_FILE if run.is_dir() else run
    if not path.is_file():
        raise RunError(f"{path}: no trained field; run `ultrafield train SCENE --out {run}` first")
    stored, tensors = _read(path)
    generator = torch.Generator()
    geometry = RadianceField(
        stored.geometry,
        cascades=stored.cascades,
        near=stored.near,
        far=stored.far,
        background=torch.zeros(3),
        generator=generator,
    )
    # Steps computed from near and far would differ from the stored ones by rounding.
    geometry.edges = tensors["geometry.edges"]
    geometry.train_poses = tensors["geometry.train_poses"]
    geometry.load_state_dict(_under("geometry.", tensors))
    features = None
    if stored.features is not None:
        features = FeatureField(stored.features, bounded=geometry.bounded, generator=generator)
        features.load_state_dict(_under("features.", tensors))
        features = features.to(device)
    return Fields(geometry.to(device), features)


def _read(path: Path) -> tuple[StoredSettings, dict[str, Tensor]]:
    from safetensors import SafetensorError, safe_open

    try:
        with safe_open(path, framework="pt") as archive:
            meta = json.loads((archive.metadata() or {})["ultrafield"])
            tensors = {name: archive.get_tensor(name) for name in archive.keys()}  # noqa: SIM118
        features = meta["features"]
        stored = StoredSettings(
            from_dict(GeometryConfig, meta["geometry"], where=str(path)),
            None if features is None else from_dict(FeatureConfig, features, where=str(path)),
            int(meta["seed"]),
            int(meta["cascades"]),
            float(meta["near"]),
            float(meta["far"]),
        )
    except (SafetensorError, KeyError, ValueError, ConfigError) as error:
        raise RunError(f"{path}: not a field of this version ({error})") from None
    return stored, tensors


def _under(prefix: str, tensors: dict[str, Tensor]) -> dict[str, Tensor]:
    return {name.removeprefix(prefix): value for name, value in tensors.items() if name.startswith(prefix)}


def fingerprint(seed: int, *settings: GeometryConfig | FeatureConfig) -> str:
    """Seed and settings as a text; a training continues from a state only if the texts of both are equal."""
    return json.dumps([seed, *(to_dict(part) for part in settings)])


def save_state(out: Path, state: dict[str, Any]) -> None:
    """Write a training state, atomically."""
    with atomic_write(out / STATE_FILE) as file:
        torch.save(state, file)


def belongs_to(state: dict[str, Any], stage: str, settings: str) -> bool:
    """Whether a training state is one of this stage and of settings with this fingerprint."""
    return (state["stage"], state["settings"]) == (stage, settings)


def load_state(out: Path) -> dict[str, Any] | None:
    """Read the training state of a run folder; None if it holds none.

    Raises:
        RunError: The file cannot be read.
    """
    path = out / STATE_FILE
    if not path.is_file():
        return None
    try:
        return torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:  # torch raises many kinds for a broken archive
        raise RunError(f"{path}: cannot be read ({error}); delete it to start afresh") from None
