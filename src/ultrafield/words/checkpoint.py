"""Where a network for words is, and what is particular to its family."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ..checkpoints import Color, Shelf, digest_network
from ..errors import shortened
from ..extras import require

EXTRA = "clip"
SHELF = Shelf(
    EXTRA,
    "model",
    "google/siglip2-base-patch16-224",
    ("*.json", "*.safetensors", "*.txt"),
)
_CLIP_MEAN: Color = (0.48145466, 0.4578275, 0.40821073)
_CLIP_STD: Color = (0.26862954, 0.26130258, 0.27577711)
_HALF: Color = (0.5, 0.5, 0.5)


@dataclass(frozen=True)
class WordFamily:
    """What the networks of one family have in common.

    Attributes:
        kind: Class of transformers.
        mean: Of the colours in [0, 1], unless the checkpoint says otherwise.
        std: Their standard deviation, likewise.
        lower: Whether texts are put into small letters before they are divided into tokens.
    """

    kind: str
    mean: Color
    std: Color
    lower: bool


FAMILIES = {  # by model_type
    "clip": WordFamily("CLIPModel", _CLIP_MEAN, _CLIP_STD, False),
    "siglip": WordFamily("SiglipModel", _HALF, _HALF, True),
}


@dataclass(frozen=True)
class WordCheckpoint:
    """A network on disk.

    Attributes:
        name: What the user called it.
        folder: Folder with config.json, tokenizer.json and weights as safetensors.
        family: Its family.
        mean: Mean of the colours in [0, 1] that the network was trained on.
        std: Their standard deviation.
    """

    name: str
    folder: Path
    family: WordFamily
    mean: Color
    std: Color

    def digest(self) -> str:
        """A short digest of the settings and of samples of the weights, by which results tell what made them."""
        return digest_network(self.folder, (self.mean, self.std))


def open_words(given: str) -> WordCheckpoint:
    """Find a network that a user named; the network (of computers) is used only for a model of the hub.

    Args:
        given: A folder as transformers saves a model, or the id of a model on the Hugging Face hub.

    Raises:
        ConfigError: There is no such folder or model, a file of it is missing, or it is of no family that is known.
        BackendError: The extra `clip` is not installed.
    """
    require("transformers", EXTRA)
    folder = SHELF.find(given)
    family = _family(SHELF.config(folder, given), given)
    SHELF.check_weights(folder, given)
    if not (folder / "tokenizer.json").is_file():
        raise SHELF.fault(f"{given}: holds no tokenizer.json, by which texts are divided into tokens")
    return WordCheckpoint(given, folder, family, *SHELF.colors(folder, (family.mean, family.std)))


def _family(config: dict[str, Any], name: str) -> WordFamily:
    model_type = config.get("model_type")
    family = FAMILIES.get(model_type) if isinstance(model_type, str) else None
    if family is not None:
        return family
    known = " or ".join(FAMILIES)
    if model_type == "siglip2":
        raise SHELF.fault(
            f"{name}: is a SigLIP 2 for pictures of any shape (NaFlex); expected one of a fixed size, such as "
            f"{SHELF.example}"
        )
    shown = shortened(json.dumps(model_type, default=str), 60)
    raise SHELF.fault(f"{name}: model_type {shown} is none that compares pictures with words; expected {known}")
