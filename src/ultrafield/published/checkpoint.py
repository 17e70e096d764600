"""Checkpoints of the published commands: weights and settings as one `torch.save` file."""

from __future__ import annotations

import io as bytes_io
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..config import Config, from_dict, to_dict
from ..errors import RunError
from ..io import atomic_write
from ..scene import Scene

if TYPE_CHECKING:
    from ..training import Fields


@dataclass(frozen=True)
class Checkpoint:
    """Trained fields as one `torch.save` file.

    Attributes:
        epoch: Number of the last epoch that was trained, counted from 0.
        config: Settings of the training.
        geometry: State of the radiance field.
        features: State of the feature field, or None.
    """

    epoch: int
    config: Config
    geometry: dict[str, Any]
    features: dict[str, Any] | None


def write_checkpoint(path: Path, checkpoint: Checkpoint, *, half: bool = False) -> None:
    """Write a checkpoint, atomically; `half` stores parameters in 16 bits."""
    import torch

    def stored(state: dict[str, Any]) -> dict[str, Any]:
        tensors = {name: value.detach().cpu() for name, value in state.items()}
        # The edges of the ray's steps are buffers that rendering depends on to the last bit.
        small = {name: value.half() for name, value in tensors.items() if half and name.endswith(("table", "weight"))}
        return tensors | small

    features = None if checkpoint.features is None else stored(checkpoint.features)
    content = {
        "epoch": checkpoint.epoch,
        "config": to_dict(checkpoint.config),
        "geometry": stored(checkpoint.geometry),
        "features": features,
    }
    buffer = bytes_io.BytesIO()
    torch.save(content, buffer)
    with atomic_write(path) as file:
        file.write(buffer.getbuffer())


def read_checkpoint(path: Path) -> Checkpoint:
    """Read what `write_checkpoint` wrote.

    Raises:
        RunError: The file is missing, or no checkpoint of ours.
    """
    from ..training.checkpoint import UNSAID, load_archive

    if not path.is_file():
        raise RunError(f"{path}: no such checkpoint")
    try:
        content = load_archive(path)
        settings = content["config"] | {"geometry": UNSAID | content["config"]["geometry"]}
        config = from_dict(Config, settings, where=str(path))
        features = None if content["features"] is None else _state(content["features"])
        return Checkpoint(int(content["epoch"]), config, _state(content["geometry"]), features)
    except Exception:  # torch raises many kinds for a file that is not its own
        raise RunError(f"{path}: not a checkpoint that train.py of this package wrote") from None


def _state(tensors: dict[str, Any]) -> dict[str, Any]:
    """The tensors of a field by name; `ValueError` if one is not finite."""
    for name, tensor in tensors.items():
        if not tensor.isfinite().all():
            raise ValueError(f"{name}: not finite")
    return tensors


def build_fields(scene: Scene, checkpoint: Checkpoint) -> Fields:
    """The fields of a checkpoint, on the best device."""
    import torch

    from ..field import FeatureField
    from ..training import Fields, resolve_device
    from ..training.checkpoint import new_geometry

    device, generator = resolve_device("auto"), torch.Generator()
    geometry = new_geometry(scene, checkpoint.config.geometry, generator)
    refined = checkpoint.geometry.get("train_poses", geometry.train_poses)
    if len(refined) not in (0, len(scene.train)):
        raise RunError(
            f"the checkpoint holds refined poses of {len(refined)} training views, the scene has {len(scene.train)}; "
            "give the --split of the training"
        )
    geometry.train_poses = refined
    try:
        geometry.load_state_dict(checkpoint.geometry)
        if checkpoint.features is None:
            return Fields(geometry.to(device))
        features = FeatureField(checkpoint.config.features, bounded=geometry.bounded, generator=generator)
        features.load_state_dict(checkpoint.features)
    except RuntimeError as error:
        raise RunError(f"the checkpoint does not fit this scene ({str(error).splitlines()[0]})") from None
    return Fields(geometry.to(device), features.to(device))
