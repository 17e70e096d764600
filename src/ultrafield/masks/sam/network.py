"""A network of the Segment Anything families: a picture once, then points, each of which is answered by three masks."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from ...errors import ConfigError
from ..sizes import Size
from .checkpoint import Checkpoint, shelf_of
from .families import Precision

if TYPE_CHECKING:
    from collections.abc import Sequence

_EXACT = ("prompt_encoder", "shared_image_embedding")  # parts that stay in float32: small, and positions need it


@dataclass(frozen=True, eq=False)
class Embedding:
    """What a network has seen in a picture.

    Attributes:
        features: The map that the decoder attends to [1, C, h, w].
        extras: Further maps for the decoder, by the names of its arguments.
        size: Height and width of the picture.
        shown: The part of the network's square input that the picture fills.
    """

    features: Tensor
    extras: dict[str, Any]
    size: Size
    shown: Size


class Network:
    """A network with its weights on a device.

    Encoder and decoder compute in the chosen precision; positions of points, predicted qualities and everything that
    follows the decoder are in float32.

    Args:
        checkpoint: The weights.
        device: Where to compute.
        precision: Floats to compute in.

    Raises:
        ConfigError: The weights cannot be read, or are not those of the network that config.json describes.
    """

    def __init__(self, checkpoint: Checkpoint, device: torch.device, precision: Precision) -> None:
        self.checkpoint, self.device = checkpoint, device
        self.dtype: torch.dtype = getattr(torch, precision)
        self._model = _load(checkpoint).to(device)
        self.input_size = _input_size(self._model, checkpoint)
        _convert(self._model, self.dtype)
        with torch.inference_mode():
            self._positions = self._model.get_image_wide_positional_embeddings().to(self.dtype)

    @property
    def family(self) -> Any:
        """Family of the network."""
        return self.checkpoint.family

    @property
    def frame(self) -> Size | None:
        """Size to which logits are brought before the part that the picture fills is cut out; None if it fills all."""
        return None if self.family.stretched else (self.input_size, self.input_size)

    def shown(self, size: Sequence[int]) -> Size:
        """The part of the network's square input that a picture of a size fills, from its top left corner."""
        return (self.input_size, self.input_size) if self.family.stretched else longest_side(size, self.input_size)

    @torch.inference_mode()
    def encode(self, picture: np.ndarray) -> Embedding:
        """Look at a picture [H, W, 3] uint8.

        Raises:
            ConfigError: The numbers of this network do not fit into floats of 16 bits.
        """
        pixels, shown = self._prepared(picture)
        made = self._model.get_image_embeddings(pixels.to(self.dtype))
        kind = self._model.config.model_type
        if kind == "sam":
            features, extras = made, {}
        elif kind == "sam_hq":
            features, extras = made[0], {"intermediate_embeddings": made[1], "hq_token_only": False}
        else:
            features, extras = made[-1], {"high_resolution_features": list(made[:-1])}
        if not bool(torch.isfinite(features).all()):
            name = str(self.dtype).removeprefix("torch.")
            raise ConfigError(
                f"{self.checkpoint.name}: {name} cannot hold its numbers; use another", setting="precision"
            )
        return Embedding(features, extras, (picture.shape[0], picture.shape[1]), shown)

    @torch.inference_mode()
    def decode(self, embedding: Embedding, points: Tensor) -> tuple[Tensor, Tensor]:
        """Masks for points, each for itself.

        Args:
            embedding: The picture.
            points: Their (x, y) in pixels of the picture [P, 2].

        Returns:
            logits: Maps of logits [P, K, h, w] of the network's output size, in the network's precision.
            scores: Their IoU with what is meant, as the network predicts it [P, K], float32.
        """
        (height, width), (shown_height, shown_width) = embedding.size, embedding.shown
        factors = torch.tensor([shown_width / width, shown_height / height], dtype=torch.float64, device=self.device)
        placed = (points.to(self.device, torch.float64) * factors).float()[None, :, None]
        labels = torch.ones(placed.shape[:3], dtype=torch.int32, device=self.device)
        sparse, dense = self._model.prompt_encoder(
            input_points=placed, input_labels=labels, input_boxes=None, input_masks=None
        )
        logits, scores, *_ = self._model.mask_decoder(
            image_embeddings=embedding.features,
            image_positional_embeddings=self._positions,
            sparse_prompt_embeddings=sparse.to(self.dtype),
            dense_prompt_embeddings=dense.to(self.dtype),
            multimask_output=True,
            **embedding.extras,
        )
        return logits[0], scores[0].float()

    def _prepared(self, picture: np.ndarray) -> tuple[Tensor, Size]:
        """The network's input [1, 3, S, S] float32 for a picture, and the part of it that the picture fills."""
        side, shown = self.input_size, self.shown(picture.shape[:2])
        if self.family.stretched:
            pixels = _tensor(picture, self.device)
            if picture.shape[:2] != shown:
                pixels = functional.interpolate(pixels, shown, mode="bilinear", align_corners=False, antialias=True)
        else:
            pixels = _tensor(_resized(picture, shown), self.device)
        mean, std = (
            torch.tensor(values, dtype=torch.float32, device=self.device)[:, None, None]
            for values in (
                [255 * value for value in self.checkpoint.mean],
                [255 * value for value in self.checkpoint.std],
            )
        )
        pixels = (pixels - mean) / std
        return functional.pad(pixels, (0, side - shown[1], 0, side - shown[0])), shown


def longest_side(size: Sequence[int], side: int) -> Size:
    """A picture's size with its longer side made `side` pixels, the other one rounded."""
    scale = side / max(size)
    return int(size[0] * scale + 0.5), int(size[1] * scale + 0.5)


def _tensor(picture: np.ndarray, device: torch.device) -> Tensor:
    """A picture [H, W, 3] uint8 as [1, 3, H, W] float32."""
    return torch.from_numpy(np.ascontiguousarray(picture)).to(device).permute(2, 0, 1)[None].float()


def _resized(picture: np.ndarray, size: Size) -> np.ndarray:
    """A picture resampled as the first Segment Anything does it: by Pillow, in 8 bits."""
    if picture.shape[:2] == size:
        return picture
    from PIL import Image

    return np.array(Image.fromarray(picture).resize(size[::-1], Image.Resampling.BILINEAR))


def _load(checkpoint: Checkpoint) -> Any:
    """The model with its weights in float32."""
    shelf = shelf_of(checkpoint.family)
    return shelf.load("AutoModelForMaskGeneration", checkpoint.folder, checkpoint.name)


def _input_size(model: Any, checkpoint: Checkpoint) -> int:
    size = model.prompt_encoder.input_image_size
    if not isinstance(size, int):
        raise ConfigError(f"{checkpoint.name}: expected a square input, got {size}", setting="checkpoint")
    return size


def _convert(model: Any, dtype: torch.dtype) -> None:
    """Bring encoder and decoder into a precision; the head that predicts qualities stays in float32."""
    for name, part in model.named_children():
        part.to(torch.float32 if name in _EXACT else dtype)
    for parameter in model.parameters(recurse=False):
        parameter.data = parameter.data.to(dtype)
    head = model.mask_decoder.iou_prediction_head.to(torch.float32)
    head.register_forward_pre_hook(lambda module, inputs: (inputs[0].float(),))
