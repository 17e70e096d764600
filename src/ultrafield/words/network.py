"""A network that puts pictures and texts into one space, where what belongs together lies close."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from ..checkpoints import quiet
from ..errors import first_line, shortened
from ..extras import require
from .checkpoint import EXTRA, SHELF, WordCheckpoint

_AT_ONCE = 32  # pictures or texts


class WordNetwork:
    """A network with its weights on a device, in float32.

    Args:
        checkpoint: Where it is.
        device: Where to compute.

    Raises:
        ConfigError: Weights or tokens cannot be read, or are not those of the network that config.json describes.
    """

    def __init__(self, checkpoint: WordCheckpoint, device: torch.device) -> None:
        self.checkpoint, self.device = checkpoint, device
        self._model = SHELF.load(checkpoint.family.kind, checkpoint.folder, checkpoint.name).to(device)
        self._tokens = _tokens(checkpoint)
        vision, text = self._model.config.vision_config, self._model.config.text_config
        self.side, self._length = vision.image_size, text.max_position_embeddings
        if not isinstance(self.side, int) or not isinstance(self._length, int):
            raise SHELF.fault(f"{checkpoint.name}: expected square pictures of one size, got {self.side}")
        self._known = int(text.vocab_size)

    @property
    def scale(self) -> float:
        """What cosines are multiplied with to become logits."""
        return float(self._model.logit_scale.detach().exp())

    @torch.inference_mode()
    def pictures(self, pictures: Sequence[np.ndarray]) -> np.ndarray:
        """Embeddings of square pictures [E, E, 3] uint8, of any sizes: unit vectors [N, D], float32."""
        parts = [
            self._unit(self._model.get_image_features(pixel_values=torch.cat([self._prepared(item) for item in some])))
            for some in _batches(pictures)
        ]
        return np.concatenate(parts) if parts else np.zeros((0, 1), np.float32)

    @torch.inference_mode()
    def texts(self, texts: Sequence[str]) -> np.ndarray:
        """Embeddings of texts: unit vectors [N, D], float32. What is longer than the network reads is cut off."""
        parts = [
            self._unit(self._model.get_text_features(input_ids=torch.tensor(self._ids(some), device=self.device)))
            for some in _batches(texts)
        ]
        return np.concatenate(parts) if parts else np.zeros((0, 1), np.float32)

    def _prepared(self, picture: np.ndarray) -> Tensor:
        """The network's input [1, 3, S, S] for a picture, resampled as Pillow's bicubic filter does."""
        pixels = torch.from_numpy(np.ascontiguousarray(picture)).to(self.device).permute(2, 0, 1)[None].float()
        if pixels.shape[-1] != self.side:
            pixels = functional.interpolate(
                pixels, (self.side, self.side), mode="bicubic", align_corners=False, antialias=True
            )
        pixels = pixels.round().clamp(0.0, 255.0) / 255.0
        mean, std = (
            torch.tensor(values, device=self.device)[:, None, None]
            for values in (self.checkpoint.mean, self.checkpoint.std)
        )
        return (pixels - mean) / std

    def _ids(self, texts: Sequence[str]) -> list[list[int]]:
        """Tokens of texts [N, L]: each ends with the end token, whatever it was cut to, and is filled up after it."""
        end = self._tokens.eos_token_id
        fill = end if self._tokens.pad_token_id is None else self._tokens.pad_token_id
        rows = []
        for text in texts:
            ids = list(self._tokens(text.lower() if self.checkpoint.family.lower else text)["input_ids"])
            ids = ids[: self._length]
            if end not in ids:
                ids = [*ids[: self._length - 1], end]
            if max(*ids, fill) >= self._known:
                raise SHELF.fault(f"{self.checkpoint.name}: tokenizer.json has tokens that the network does not know")
            rows.append(ids + [fill] * (self._length - len(ids)))
        return rows

    def _unit(self, made: Any) -> np.ndarray:
        features: Tensor = made if isinstance(made, Tensor) else made.pooler_output
        if not bool(torch.isfinite(features).all()):
            raise SHELF.fault(f"{self.checkpoint.name}: makes numbers that are not finite; its weights are broken")
        unit: np.ndarray = functional.normalize(features.float(), dim=1).cpu().numpy()
        return unit


def _batches(items: Sequence[Any]) -> list[Sequence[Any]]:
    return [items[first : first + _AT_ONCE] for first in range(0, len(items), _AT_ONCE)]


def _tokens(checkpoint: WordCheckpoint) -> Any:
    """What divides texts into tokens, from tokenizer.json alone, whatever class it was saved by."""
    transformers: Any = require("transformers", EXTRA)
    try:
        with quiet(transformers):
            tokens = transformers.PreTrainedTokenizerFast.from_pretrained(checkpoint.folder, local_files_only=True)
    except Exception as failure:  # many kinds for files that are broken
        reason = shortened(first_line(failure), 200)
        raise SHELF.fault(f"{checkpoint.name}: tokenizer.json cannot be used ({reason})") from None
    if tokens.eos_token_id is None:
        raise SHELF.fault(f"{checkpoint.name}: tokenizer_config.json names no eos_token, with which texts end")
    return tokens
