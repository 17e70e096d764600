"""Where a network's weights are: a folder, or a model of the Hugging Face hub if the user named one."""

from __future__ import annotations

import hashlib
import json
import os
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ...errors import ConfigError, first_line, reason_of, shortened
from ...extras import require
from ...reading import read_bytes, read_json
from .families import FAMILIES, Color, Family, FamilyName, family_of

EXTRA = "sam"
_SETTING = "checkpoint"
_HUB_ID = re.compile(r"[A-Za-z0-9][\w.-]*/[\w.-]+")
_FILES = ["*.json", "*.safetensors"]  # of a model on the hub
_SAMPLES, _SAMPLE_BYTES = 64, 1 << 16  # of each file of weights, which tell it from others
_TEXT_ONLY = "is the detector of SAM 3, which is asked with words alone; expected one that holds the tracker too"


@dataclass(frozen=True)
class Checkpoint:
    """Weights on disk.

    Attributes:
        name: What the user called it.
        folder: Folder with config.json and weights as safetensors.
        family: Family of the network.
        mean: Mean of the colours in [0, 1] that the network was trained on.
        std: Their standard deviation.
    """

    name: str
    folder: Path
    family: Family
    mean: Color
    std: Color

    def digest(self) -> str:
        """A short digest of the settings and of samples of the weights, by which results tell what made them."""
        digest = hashlib.sha256(read_bytes(self.folder / "config.json"))
        digest.update(repr((self.mean, self.std)).encode())
        for file in _weights(self.folder):
            digest.update(f"{file.name}{file.stat().st_size}".encode())
            with file.open("rb") as stream:
                for index in range(_SAMPLES):
                    stream.seek(file.stat().st_size * index // _SAMPLES)
                    digest.update(stream.read(_SAMPLE_BYTES))
        return digest.hexdigest()[:16]


def open_checkpoint(model: FamilyName, given: str | None = None) -> Checkpoint:
    """Find the weights of a network of a family; the network is used only for a model that the user named.

    Args:
        model: The family.
        given: A folder, or the id of a model on the hub. By default the family's published model, if an earlier
            download has left it in the hub's cache.

    Raises:
        ConfigError: There is no such folder or model, it has no config.json or no weights, or it is of another family.
        BackendError: The extra `sam` is not installed.
    """
    require("transformers", EXTRA)
    family = FAMILIES[model]
    name = given or family.published
    folder = _cached(family) if given is None else _folder(given, family)
    config = _config(folder, name)
    _check_family(config.get("model_type"), family, name)
    if not _weights(folder):
        raise _fault(f"{name}: holds no weights in the form of safetensors, the only one that is read")
    return Checkpoint(name, folder, family, *_colors(folder, family))


def advice(hub_id: str) -> str:
    """What to type where there is a network, and here afterwards."""
    name = hub_id.rpartition("/")[2]
    return (
        f"where there is a network, type: hf download {hub_id} --local-dir {name}; "
        f"then copy the folder {name} here and name it: --checkpoint {name}"
    )


def _fault(text: str) -> ConfigError:
    return ConfigError(text, setting=_SETTING)


def _folder(given: str, family: Family) -> Path:
    """The folder that a user means, downloaded if need be."""
    place = Path(given).expanduser()
    try:
        if place.is_dir():
            return place
        exists = place.exists()
    except (OSError, ValueError) as failure:
        raise _fault(f"{shortened(given, 100)!r}: {reason_of(failure)}") from None
    if exists:
        raise _fault(
            f"{given}: is a file; expected a folder with config.json and model.safetensors, as transformers saves a "
            f"model, or a model on the Hugging Face hub such as {family.published}"
        )
    if not _HUB_ID.fullmatch(given):
        raise _fault(f"{given}: no such folder, and no name of a model on the Hugging Face hub (OWNER/NAME)")
    return _download(given)


def _download(hub_id: str) -> Path:
    hub: Any = require("huggingface_hub", EXTRA)
    try:
        return Path(hub.snapshot_download(hub_id, allow_patterns=_FILES))
    except Exception as failure:  # of the network, of the hub, of the disk: many kinds
        reason = shortened(first_line(failure), 200)
        raise _fault(f"{hub_id}: no such folder, nor could it be downloaded ({reason}); {advice(hub_id)}") from None


def _cached(family: Family) -> Path:
    """Where an earlier download left the family's published model."""
    hub: Any = require("huggingface_hub", EXTRA)
    try:
        return Path(hub.snapshot_download(family.published, allow_patterns=_FILES, local_files_only=True))
    except OSError:
        raise _fault(
            f"no weights of {family.name} are here; {{setting}} {family.published} downloads them, {{setting}} FOLDER "
            f"reads them from a folder; {advice(family.published)}"
        ) from None


def _config(folder: Path, name: str) -> dict[str, Any]:
    file = folder / "config.json"
    if not file.is_file():
        raise _fault(f"{name}: holds no config.json; expected a folder as transformers saves a model")
    config = read_json(file, error=ConfigError)
    if not isinstance(config, dict):
        raise _fault(f"{file}: expected an object with a model_type")
    return config


def _check_family(model_type: object, family: Family, name: str) -> None:
    other = family_of(model_type)
    if other is family:
        return
    if other is not None:
        raise _fault(f"{name}: is a checkpoint of {other.name}, not of {family.name}; add --model {other.name}")
    if model_type == "sam3":
        raise _fault(f"{name}: {_TEXT_ONLY} (model_type {' or '.join(FAMILIES['sam3'].model_types)})")
    known = ", ".join(kind for one in FAMILIES.values() for kind in one.model_types)
    found = shortened(json.dumps(model_type, default=str), 60)
    raise _fault(f"{name}: model_type {found} is none that makes masks from points; expected one of {known}")


def _weights(folder: Path) -> list[Path]:
    return sorted(Path(entry.path) for entry in os.scandir(folder) if entry.name.endswith(".safetensors"))


def _colors(folder: Path, family: Family) -> tuple[Color, Color]:
    """Mean and standard deviation of colours, as the checkpoint's processor has them."""
    for name in ("preprocessor_config.json", "processor_config.json"):
        if not (folder / name).is_file():
            continue
        values = read_json(folder / name, error=ConfigError)
        values = values.get("image_processor", values) if isinstance(values, dict) else {}
        given = (values.get("image_mean"), values.get("image_std")) if isinstance(values, dict) else (None, None)
        if given != (None, None):
            return _color(given[0], folder / name), _color(given[1], folder / name, least=1e-6)
    return family.mean, family.std


def _color(value: Any, file: Path, least: float = 0.0) -> Color:
    numbers = value if isinstance(value, list) else []
    if len(numbers) != 3 or not all(isinstance(number, int | float) and least <= number <= 1 for number in numbers):
        raise _fault(f"{file}: expected image_mean and image_std of three numbers in [0, 1], got {value!r}")
    return float(numbers[0]), float(numbers[1]), float(numbers[2])
