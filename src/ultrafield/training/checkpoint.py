"""Fields and training states on disk."""

from __future__ import annotations

import hashlib
import io
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from zipfile import ZIP_STORED, ZipFile

import numpy as np
import torch
from torch import Tensor, nn

from ..budget import array_limit
from ..config import FeatureConfig, GeometryConfig, from_dict, to_dict
from ..errors import ConfigError, RunError, first_line, in_shell, shortened
from ..field import FeatureField, RadianceField
from ..io import atomic_write
from ..scene import Scene

FIELD_FILE = "field.safetensors"
STATE_FILE = "state.pt"
_MOST_STRUCTURE = 1 << 24  # bytes of names, numbers and shapes in a file of torch's
# What geometry was whose settings do not say:
UNSAID: dict[str, Any] = {"representation": "density", "near_reach": 0.0, "outline_share": 0.0}
_SHOWN = 100  # characters of a reader's complaint in a message


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
    """The settings a field file was trained with.

    Attributes:
        geometry: Settings of the radiance field.
        features: Settings of the feature field; None if the file holds geometry only.
        seed: Seed of every random draw.
        cascades: Nested boxes.
        near: Where rays begin.
        far: Where rays end.
        source: Digest of what the geometry was trained on.
        masks: Digest of the masks that the features were trained on.
        digests: Digest of the parameters of "geometry" and, if there are any, "features".
    """

    geometry: GeometryConfig
    features: FeatureConfig | None
    seed: int
    cascades: int
    near: float
    far: float
    source: str
    masks: str
    digests: dict[str, str]


def save_fields(path: Path, fields: Fields, *, seed: int = 0, source: str = "", masks: str = "") -> None:
    """Write the fields as one safetensors file.

    Its metadata hold the settings needed to rebuild them, digests of what geometry (`source`) and features (`masks`)
    were trained on, and digests of parameters.
    """
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
    tensors = {name: value.cpu() for name, value in tensors.items()}
    parts = ("geometry",) if fields.features is None else ("geometry", "features")
    meta |= {"source": source, "masks": masks}
    meta |= {"digests": {part: content_digest(_under(f"{part}.", tensors)) for part in parts}}
    payload = save(tensors, metadata={"ultrafield": json.dumps(meta)})
    with atomic_write(path) as file:
        file.write(payload)


def stored_settings(path: Path) -> StoredSettings:
    """Read the settings that a field file was trained with; its parameters are not looked at.

    Raises:
        RunError: This version cannot read the file.
    """
    return _read(path, parameters=False)[0]


def load_fields(run: Path, *, device: torch.device | str = "cpu") -> Fields:
    """Read the fields of a run folder (or of a safetensors file itself).

    Raises:
        RunError: There is no trained field, or this version cannot read it.
    """
    run = Path(run)
    path = run / FIELD_FILE if run.is_dir() else run
    if not path.is_file():
        raise RunError(f"{path}: no trained field; run `ultrafield train SCENE --out {in_shell(run)}` first")
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
    try:
        geometry.edges = tensors["geometry.edges"]
        geometry.train_poses = tensors["geometry.train_poses"]
        geometry.load_state_dict(_under("geometry.", tensors))
        features = None
        if stored.features is not None:
            features = FeatureField(stored.features, bounded=geometry.bounded, generator=generator)
            features.load_state_dict(_under("features.", tensors))
    except (KeyError, RuntimeError) as error:
        raise RunError(
            f"{path}: its parameters do not fit its settings ({str(error).splitlines()[-1].strip()})"
        ) from None
    return Fields(geometry.to(device), None if features is None else features.to(device))


def _read(path: Path, *, parameters: bool = True) -> tuple[StoredSettings, dict[str, Tensor]]:
    from safetensors import SafetensorError, safe_open

    try:
        with safe_open(path, framework="pt") as archive:
            meta = json.loads((archive.metadata() or {})["ultrafield"])
            names = archive.keys() if parameters else ()
            tensors = {name: archive.get_tensor(name) for name in names}
        features = meta["features"]
        stored = StoredSettings(
            from_dict(GeometryConfig, UNSAID | meta["geometry"], where=str(path)),
            None if features is None else from_dict(FeatureConfig, features, where=str(path)),
            int(meta["seed"]),
            int(meta["cascades"]),
            float(meta["near"]),
            float(meta["far"]),
            str(meta["source"]),
            str(meta["masks"]),
            {part: str(digest) for part, digest in meta["digests"].items()},
        )
        for part, digest in stored.digests.items():
            if parameters and content_digest(_under(f"{part}.", tensors)) != digest:
                raise ValueError(f"the parameters of its {part} are not those that were written")
    except (
        SafetensorError,
        KeyError,
        ValueError,
        TypeError,
        AttributeError,
        OSError,
        RecursionError,
        ConfigError,
    ) as error:
        raise RunError(f"{path}: not a field of this version, or damaged ({error})") from None
    return stored, tensors


def _under(prefix: str, tensors: dict[str, Tensor]) -> dict[str, Tensor]:
    return {name.removeprefix(prefix): value for name, value in tensors.items() if name.startswith(prefix)}


def settings_text(seed: int, *settings: GeometryConfig | FeatureConfig) -> str:
    """Seed and settings as a text; a training continues from a state only if the texts of both are equal."""
    return json.dumps([seed, *(to_dict(part) for part in settings)])


def content_digest(content: Any) -> str:
    """Digest of nested dictionaries and lists of tensors, arrays and JSON values; the order of keys does not count."""
    digest = hashlib.sha256()
    _add(digest, content)
    return digest.hexdigest()[:32]


def _add(digest: hashlib._Hash, content: Any) -> None:
    if isinstance(content, dict):
        digest.update(f"dict{len(content)}".encode())
        for key, value in sorted(content.items(), key=lambda item: repr(item[0])):
            digest.update(repr(key).encode())
            _add(digest, value)
    elif isinstance(content, list | tuple):
        digest.update(f"list{len(content)}".encode())
        for value in content:
            _add(digest, value)
    elif isinstance(content, Tensor):
        array = content.detach().cpu().contiguous()
        digest.update(f"{array.dtype}{tuple(array.shape)}".encode())
        digest.update(array.reshape(-1).view(torch.uint8).numpy().data)
    else:
        digest.update(repr(content).encode())


def load_archive(path: Path) -> Any:
    """What a file that `torch.save` wrote holds: numbers, texts, and tensors on the CPU; nothing else is loaded.

    Raises:
        RunError: The file cannot be read, holds other things, or takes more memory than the limit.
    """
    try:
        with ZipFile(path) as archive:
            items = archive.infolist()
        size = sum(item.file_size for item in items)
        if size > array_limit():
            raise ValueError(f"takes {size / 1e6:,.0f} MB; a larger --memory raises the limit")
        if any(item.compress_type != ZIP_STORED for item in items):
            raise ValueError("is compressed, as torch.save writes no file")
        if any(item.file_size > _MOST_STRUCTURE for item in items if item.filename.endswith(".pkl")):
            raise ValueError("its structure takes too much memory")
        content = torch.load(path, map_location="cpu", weights_only=True)
        _check_extents(content)
    except Exception as failure:  # torch raises many kinds for a broken archive
        raise RunError(f"{path}: cannot be read ({shortened(first_line(failure), _SHOWN)})") from None
    return content


def _check_extents(content: Any) -> None:
    """Raise `ValueError` for a tensor of more elements than are stored, as views that repeat them may have."""
    if isinstance(content, dict):
        content = list(content.values())
    if isinstance(content, list | tuple):
        for item in content:
            _check_extents(item)
    elif isinstance(content, Tensor) and content.numel() * content.element_size() > content.untyped_storage().nbytes():
        raise ValueError("a tensor has more elements than are stored")


def save_state(out: Path, state: dict[str, Any]) -> None:
    """Write a training state with a digest of its content, atomically."""
    archive = io.BytesIO()  # torch turns a full disk into an error of its own
    torch.save(state | {"digest": content_digest(state)}, archive)
    with atomic_write(out / STATE_FILE) as file:
        file.write(archive.getbuffer())


def load_state(out: Path) -> dict[str, Any] | None:
    """Read the training state of a run folder; None if it holds none.

    Raises:
        RunError: The file cannot be read, or is not what `save_state` wrote.
    """
    path = out / STATE_FILE
    if not path.is_file():
        return None
    try:
        state = load_archive(path)
        digest = state.pop("digest")
        intact = digest == content_digest(state)
    except Exception:  # torch raises many kinds for a broken archive
        intact = False
    if not intact:
        raise RunError(f"{path}: damaged, or not a training state of this version")
    return state
