"""Where a network's weights are, and of which family it is."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path

from ...checkpoints import Color, Shelf, digest_network
from ...errors import ConfigError, shortened
from ...extras import require
from .families import FAMILIES, Family, FamilyName, family_of

EXTRA = "sam"
_SETTING = "checkpoint"
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
        return digest_network(self.folder, (self.mean, self.std))


def shelf_of(family: Family) -> Shelf:
    """Where networks of a family are looked for."""
    return Shelf(EXTRA, _SETTING, family.published)


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
    shelf, name = shelf_of(family), given or family.published
    folder = _published(shelf, family) if given is None else shelf.find(given)
    _check_family(shelf.config(folder, name).get("model_type"), family, name)
    shelf.check_weights(folder, name)
    return Checkpoint(name, folder, family, *shelf.colors(folder, (family.mean, family.std)))


def _published(shelf: Shelf, family: Family) -> Path:
    """Where an earlier download left the family's published model."""
    folder = shelf.cached(family.published)
    if folder is None:
        raise shelf.fault(
            f"no weights of {family.name} are here; {{setting}} {family.published} downloads them, {{setting}} FOLDER "
            f"reads them from a folder; {shelf.advice(family.published)}"
        )
    return folder


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


def _fault(text: str) -> ConfigError:
    return ConfigError(text, setting=_SETTING)
