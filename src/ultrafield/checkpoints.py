"""Networks of others as transformers saves them: a folder, or a model of the Hugging Face hub if the user named one."""

from __future__ import annotations

import hashlib
import os
import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from .errors import ConfigError, first_line, reason_of, shortened
from .extras import require
from .reading import read_bytes, read_json

if TYPE_CHECKING:
    from collections.abc import Sequence

Color = tuple[float, float, float]

_HUB_ID = re.compile(r"[A-Za-z0-9][\w.-]*/[\w.-]+")
_SAMPLES, _SAMPLE_BYTES = 64, 1 << 16  # of each file of weights, which tell it from others


@dataclass(frozen=True)
class Shelf:
    """Where networks of a kind are looked for, and what is said of those that cannot be used.

    Attributes:
        extra: Extra of the distribution that reads them.
        setting: The option that names one.
        example: A model of this kind on the hub.
        files: Patterns of the files that are needed of a model on the hub.
    """

    extra: str
    setting: str
    example: str
    files: tuple[str, ...] = ("*.json", "*.safetensors")

    def fault(self, text: str) -> ConfigError:
        """An error that names the option."""
        return ConfigError(text, setting=self.setting)

    def advice(self, hub_id: str) -> str:
        """What to type where there is a network, and here afterwards."""
        name = hub_id.rpartition("/")[2]
        return (
            f"where there is a network, type: hf download {hub_id} --local-dir {name}; "
            f"then copy the folder {name} here and name it: --{self.setting} {name}"
        )

    def find(self, given: str) -> Path:
        """The folder that a user means: one that is there, or a model on the hub, downloaded if need be.

        Raises:
            ConfigError: There is neither, or the model cannot be downloaded.
        """
        place = Path(given).expanduser()
        try:
            if place.is_dir():
                return place
            exists = place.exists()
        except (OSError, ValueError) as failure:
            raise self.fault(f"{shortened(given, 100)!r}: {reason_of(failure)}") from None
        if exists:
            raise self.fault(
                f"{given}: is a file; expected a folder with config.json and model.safetensors, as transformers saves "
                f"a model, or a model on the Hugging Face hub such as {self.example}"
            )
        if not _HUB_ID.fullmatch(given):
            raise self.fault(f"{given}: no such folder, and no name of a model on the Hugging Face hub (OWNER/NAME)")
        return self._downloaded(given)

    def cached(self, hub_id: str) -> Path | None:
        """Where an earlier download left a model of the hub, None if there was none; without a network."""
        hub: Any = require("huggingface_hub", self.extra)
        try:
            return Path(hub.snapshot_download(hub_id, allow_patterns=list(self.files), local_files_only=True))
        except OSError:
            return None

    def _downloaded(self, hub_id: str) -> Path:
        hub: Any = require("huggingface_hub", self.extra)
        try:
            return Path(hub.snapshot_download(hub_id, allow_patterns=list(self.files)))
        except Exception as failure:  # of the network, of the hub, of the disk: many kinds
            reason = shortened(first_line(failure), 200)
            raise self.fault(
                f"{hub_id}: no such folder, nor could it be downloaded ({reason}); {self.advice(hub_id)}"
            ) from None

    def config(self, folder: Path, name: str) -> dict[str, Any]:
        """The content of config.json; `name` is what the user calls the folder."""
        file = folder / "config.json"
        if not file.is_file():
            raise self.fault(f"{name}: holds no config.json; expected a folder as transformers saves a model")
        config = read_json(file, error=ConfigError)
        if not isinstance(config, dict):
            raise self.fault(f"{file}: expected an object with a model_type")
        return config

    def check_weights(self, folder: Path, name: str) -> None:
        """Raise `ConfigError` unless there are weights as safetensors, which hold nothing that could be run."""
        if not _weights(folder):
            raise self.fault(f"{name}: holds no weights in the form of safetensors, the only one that is read")

    def colors(self, folder: Path, default: tuple[Color, Color]) -> tuple[Color, Color]:
        """Mean and standard deviation of colours in [0, 1], as the model's processor has them."""
        for name in ("preprocessor_config.json", "processor_config.json"):
            if not (folder / name).is_file():
                continue
            values = read_json(folder / name, error=ConfigError)
            values = values.get("image_processor", values) if isinstance(values, dict) else {}
            given = (values.get("image_mean"), values.get("image_std")) if isinstance(values, dict) else (None, None)
            if given != (None, None):
                return self._color(given[0], folder / name), self._color(given[1], folder / name, least=1e-6)
        return default

    def _color(self, value: Any, file: Path, least: float = 0.0) -> Color:
        numbers = value if isinstance(value, list) else []
        if len(numbers) != 3 or not all(isinstance(item, int | float) and least <= item <= 1 for item in numbers):
            raise self.fault(f"{file}: expected image_mean and image_std of three numbers in [0, 1], got {value!r}")
        return float(numbers[0]), float(numbers[1]), float(numbers[2])

    def load(self, kind: str, folder: Path, name: str) -> Any:
        """A network with its weights in float32, ready to be asked.

        Args:
            kind: Class of transformers that builds it.
            folder: Where it is.
            name: What the user calls it.

        Raises:
            ConfigError: The weights cannot be read, or are not those of the network that config.json describes.
        """
        import torch

        transformers: Any = require("transformers", self.extra)
        try:
            with quiet(transformers):
                model, info = getattr(transformers, kind).from_pretrained(
                    folder, local_files_only=True, use_safetensors=True, dtype=torch.float32, output_loading_info=True
                )
        except Exception as failure:  # transformers and safetensors raise many kinds for files that do not fit
            reason = shortened(first_line(failure), 200)
            raise self.fault(f"{name}: cannot be loaded ({reason})") from None
        missing = sorted(info["missing_keys"])
        if missing:
            raise self.fault(f"{name}: lacks {len(missing)} of the network's weights (first: {missing[0]})")
        return model.eval()


def digest_network(folder: Path, used: Sequence[object] = ()) -> str:
    """A short digest of a network's settings and of samples of its weights, by which results tell what made them.

    Args:
        folder: Where it is.
        used: What else results depend on.
    """
    digest = hashlib.sha256(read_bytes(folder / "config.json"))
    digest.update(repr(tuple(used)).encode())
    for file in _weights(folder):
        digest.update(f"{file.name}{file.stat().st_size}".encode())
        with file.open("rb") as stream:
            for index in range(_SAMPLES):
                stream.seek(file.stat().st_size * index // _SAMPLES)
                digest.update(stream.read(_SAMPLE_BYTES))
    return digest.hexdigest()[:16]


@contextmanager
def quiet(transformers: Any) -> Iterator[None]:
    """Let transformers neither draw bars nor print warnings: what matters, we say ourselves."""
    logging = transformers.utils.logging
    level, bars = logging.get_verbosity(), logging.is_progress_bar_enabled()
    logging.set_verbosity_error()
    logging.disable_progress_bar()
    try:
        yield
    finally:
        logging.set_verbosity(level)
        if bars:
            logging.enable_progress_bar()


def _weights(folder: Path) -> list[Path]:
    return sorted(Path(entry.path) for entry in os.scandir(folder) if entry.name.endswith(".safetensors"))
