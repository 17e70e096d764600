"""The original package `segment-anything` with the weights of transformers' networks."""

from __future__ import annotations

import re
from functools import partial
from types import SimpleNamespace
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

# In the order in which they are tried; what transformers renamed, the other way round.
_RENAMED = (
    (r"^shared_image_embedding\.positional_embedding$", "prompt_encoder.pe_layer.positional_encoding_gaussian_matrix"),
    (r"^vision_encoder\.patch_embed\.projection\.", "image_encoder.patch_embed.proj."),
    (r"^vision_encoder\.layers\.(\d+)\.layer_norm(\d)\.", r"image_encoder.blocks.\1.norm\2."),
    (r"^vision_encoder\.layers\.(\d+)\.", r"image_encoder.blocks.\1."),
    (r"^vision_encoder\.neck\.conv1\.", "image_encoder.neck.0."),
    (r"^vision_encoder\.neck\.layer_norm1\.", "image_encoder.neck.1."),
    (r"^vision_encoder\.neck\.conv2\.", "image_encoder.neck.2."),
    (r"^vision_encoder\.neck\.layer_norm2\.", "image_encoder.neck.3."),
    (r"^vision_encoder\.pos_embed$", "image_encoder.pos_embed"),
    (r"^prompt_encoder\.point_embed\.", "prompt_encoder.point_embeddings."),
    (r"^prompt_encoder\.mask_embed\.conv1\.", "prompt_encoder.mask_downscaling.0."),
    (r"^prompt_encoder\.mask_embed\.layer_norm1\.", "prompt_encoder.mask_downscaling.1."),
    (r"^prompt_encoder\.mask_embed\.conv2\.", "prompt_encoder.mask_downscaling.3."),
    (r"^prompt_encoder\.mask_embed\.layer_norm2\.", "prompt_encoder.mask_downscaling.4."),
    (r"^prompt_encoder\.mask_embed\.conv3\.", "prompt_encoder.mask_downscaling.6."),
    (r"^mask_decoder\.transformer\.layer_norm_final_attn\.", "mask_decoder.transformer.norm_final_attn."),
    (r"^mask_decoder\.transformer\.layers\.(\d+)\.layer_norm(\d)\.", r"mask_decoder.transformer.layers.\1.norm\2."),
    (r"^mask_decoder\.upscale_conv1\.", "mask_decoder.output_upscaling.0."),
    (r"^mask_decoder\.upscale_layer_norm\.", "mask_decoder.output_upscaling.1."),
    (r"^mask_decoder\.upscale_conv2\.", "mask_decoder.output_upscaling.3."),
    (r"^(mask_decoder\.(?:output_hypernetworks_mlps\.\d+|iou_prediction_head))\.proj_in\.", r"\1.layers.0."),
)
_TIED = "prompt_encoder.shared_embedding.positional_embedding"  # the other name of one that is listed
_LAST = re.compile(r"^(mask_decoder\.(?:output_hypernetworks_mlps\.\d+|iou_prediction_head))\.proj_out\.")
_MIDDLE = re.compile(r"^(mask_decoder\.(?:output_hypernetworks_mlps\.\d+|iou_prediction_head))\.layers\.(\d+)\.")


def original_weights(model: Any) -> dict[str, Tensor]:
    """The weights of a `SamModel` as the state of the original `Sam`, but for its constants of colours."""
    return {_original_name(name, model): weight for name, weight in model.state_dict().items() if name != _TIED}


def _original_name(name: str, model: Any) -> str:
    last, middle = _LAST.match(name), _MIDDLE.match(name)
    if middle:
        return f"{middle[1]}.layers.{int(middle[2]) + 1}.{name[middle.end() :]}"
    if last:
        layers = model.get_submodule(f"{last[1]}.layers")
        return f"{last[1]}.layers.{len(layers) + 1}.{name[last.end() :]}"
    for pattern, original in _RENAMED:
        renamed, count = re.subn(pattern, original, name)
        if count:
            return renamed
    return name


def original_model(model: Any) -> Any:
    """The original package's network with the architecture and the weights of a `SamModel`."""
    from segment_anything.modeling import ImageEncoderViT, MaskDecoder, PromptEncoder, Sam, TwoWayTransformer

    vision, prompts, decoder = (
        getattr(model.config, f"{part}_config") for part in ("vision", "prompt_encoder", "mask_decoder")
    )
    side = vision.image_size // vision.patch_size
    encoder = ImageEncoderViT(
        depth=vision.num_hidden_layers,
        embed_dim=vision.hidden_size,
        img_size=vision.image_size,
        mlp_ratio=vision.mlp_dim / vision.hidden_size,
        norm_layer=partial(torch.nn.LayerNorm, eps=vision.layer_norm_eps),
        num_heads=vision.num_attention_heads,
        patch_size=vision.patch_size,
        qkv_bias=vision.qkv_bias,
        use_rel_pos=vision.use_rel_pos,
        global_attn_indexes=tuple(vision.global_attn_indexes),
        window_size=vision.window_size,
        out_chans=vision.output_channels,
    )
    prompt_encoder = PromptEncoder(
        embed_dim=prompts.hidden_size,
        image_embedding_size=(side, side),
        input_image_size=(vision.image_size, vision.image_size),
        mask_in_chans=prompts.mask_input_channels,
    )
    transformer = TwoWayTransformer(
        depth=decoder.num_hidden_layers,
        embedding_dim=decoder.hidden_size,
        mlp_dim=decoder.mlp_dim,
        num_heads=decoder.num_attention_heads,
    )
    mask_decoder = MaskDecoder(
        num_multimask_outputs=decoder.num_multimask_outputs,
        transformer=transformer,
        transformer_dim=decoder.hidden_size,
        iou_head_depth=decoder.iou_head_depth,
        iou_head_hidden_dim=decoder.iou_head_hidden_dim,
    )
    sam = Sam(encoder, prompt_encoder, mask_decoder)
    sam.load_state_dict(original_weights(model))
    return sam.eval()


class StretchedPredictor:
    """What the original generator asks, answered by a SAM 2 of transformers.

    The generator of SAM 2 is that of the first Segment Anything but for two things: pictures are stretched to the
    network's square, and masks are brought to the picture's size in one step.

    Args:
        model: A `Sam2Model`.
        mean: Of the colours in [0, 1].
        std: Their standard deviation.
    """

    def __init__(self, model: Any, mean: tuple[float, ...], std: tuple[float, ...]) -> None:
        self.device = next(model.parameters()).device
        self.model = SimpleNamespace(mask_threshold=0.0)
        self.transform = self
        self._network, self._side = model, int(model.prompt_encoder.input_image_size)
        self._mean, self._std = (torch.tensor(values, device=self.device)[:, None, None] for values in (mean, std))
        self._embeddings: list[Tensor] = []
        self._size = (0, 0)

    @torch.no_grad()
    def set_image(self, picture: np.ndarray) -> None:
        """Look at a picture [H, W, 3] uint8."""
        self._size = picture.shape[0], picture.shape[1]
        pixels = torch.from_numpy(picture.copy()).to(self.device).permute(2, 0, 1)[None] / 255
        pixels = functional.interpolate(
            pixels, (self._side, self._side), mode="bilinear", align_corners=False, antialias=True
        )
        self._embeddings = self._network.get_image_embeddings((pixels - self._mean) / self._std)

    def apply_coords(self, points: np.ndarray, size: tuple[int, int]) -> np.ndarray:
        """Points of a picture in the network's square."""
        return points / np.array(size)[::-1] * self._side

    @torch.no_grad()
    def predict_torch(
        self, points: Tensor, labels: Tensor, multimask_output: bool, return_logits: bool
    ) -> tuple[Tensor, Tensor, Tensor]:
        """Logits [P, 3, H, W], qualities [P, 3] and small logits for points [P, 1, 2]."""
        assert return_logits
        made = self._network(
            image_embeddings=list(self._embeddings),
            input_points=points[None].float(),
            input_labels=labels[None],
            multimask_output=multimask_output,
        )
        small = made.pred_masks[0]
        full = functional.interpolate(small, self._size, mode="bilinear", align_corners=False)
        return full, made.iou_scores[0], small

    def reset_image(self) -> None:
        """Forget the picture."""
        self._embeddings = []


def stretched_generator(predictor: StretchedPredictor, **options: Any) -> Any:
    """The original generator asking a `StretchedPredictor`; options as for `SamAutomaticMaskGenerator`."""
    from segment_anything import SamAutomaticMaskGenerator

    generator = SamAutomaticMaskGenerator(SimpleNamespace(image_encoder=SimpleNamespace(img_size=1)), **options)
    generator.predictor = predictor
    return generator
