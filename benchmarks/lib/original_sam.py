"""Weights of transformers' SAM under the names of the original package `segment-anything`."""

from __future__ import annotations

import re
from typing import Any

from torch import Tensor

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
