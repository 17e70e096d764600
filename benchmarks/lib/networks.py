"""The published architectures of the Segment Anything families, and small ones of the same make."""

from __future__ import annotations

from typing import Any

SMALL_SIDE, SMALL_WIDTH = 128, 64
SMALL_DECODER = {"hidden_size": SMALL_WIDTH, "mlp_dim": 64, "num_attention_heads": 2, "iou_head_hidden_dim": 32}


def sam_huge() -> Any:
    """SAM with the encoder ViT-H.

    The norms of the decoder have the constant of the original package; transformers' own is a tenth of it.
    """
    import transformers

    return transformers.SamModel(
        transformers.SamConfig(
            vision_config={
                "hidden_size": 1280,
                "num_hidden_layers": 32,
                "num_attention_heads": 16,
                "global_attn_indexes": [7, 15, 23, 31],
            },
            mask_decoder_config={"layer_norm_eps": 1e-5},
        )
    )


def sam2_large() -> Any:
    """SAM 2 with the encoder Hiera-L."""
    import transformers

    backbone = {
        "model_type": "sam2_hiera_det_model",
        "hidden_size": 144,
        "num_attention_heads": 2,
        "blocks_per_stage": [2, 6, 36, 4],
        "embed_dim_per_stage": [144, 288, 576, 1152],
        "num_attention_heads_per_stage": [2, 4, 8, 16],
        "window_size_per_stage": [8, 4, 16, 8],
        "global_attention_blocks": [23, 33, 43],
        "window_positional_embedding_background_size": [7, 7],
    }
    vision = {
        "model_type": "sam2_vision_model",
        "backbone_config": backbone,
        "backbone_channel_list": [1152, 576, 288, 144],
    }
    return transformers.Sam2Model(transformers.Sam2Config(vision_config=vision))


def sam_small() -> Any:
    """SAM with two layers and pictures of 128 pixels."""
    import transformers

    return transformers.SamModel(transformers.SamConfig(**sam_small_settings()))


def sam2_small() -> Any:
    """SAM 2 with five blocks and pictures of 128 pixels."""
    import transformers

    return transformers.Sam2Model(transformers.Sam2Config(**sam2_small_settings()))


def sam_small_settings() -> dict[str, Any]:
    """Arguments of the configuration of a small SAM; the norms of the decoder are those of `sam_huge`."""
    vision = {
        "hidden_size": 32,
        "output_channels": SMALL_WIDTH,
        "num_hidden_layers": 2,
        "num_attention_heads": 2,
        "image_size": SMALL_SIDE,
        "window_size": 2,
        "global_attn_indexes": [1],
        "num_pos_feats": SMALL_WIDTH // 2,
    }
    return _with_small_heads(vision, {"layer_norm_eps": 1e-5})


def sam2_small_settings() -> dict[str, Any]:
    """Arguments of the configuration of a small SAM 2."""
    backbone = {
        "model_type": "sam2_hiera_det_model",
        "hidden_size": 16,
        "blocks_per_stage": [1, 1, 2, 1],
        "embed_dim_per_stage": [16, 32, 64, 128],
        "num_attention_heads_per_stage": [1, 2, 2, 2],
        "window_size_per_stage": [4, 4, 4, 4],
        "global_attention_blocks": [3],
        "window_positional_embedding_background_size": [4, 4],
        "image_size": [SMALL_SIDE, SMALL_SIDE],
    }
    vision = {
        "model_type": "sam2_vision_model",
        "backbone_config": backbone,
        "backbone_channel_list": [128, 64, 32, 16],
        "backbone_feature_sizes": [[SMALL_SIDE // stride] * 2 for stride in (4, 8, 16)],
        "fpn_hidden_size": SMALL_WIDTH,
    }
    return _with_small_heads(vision, {})


def _with_small_heads(vision: dict[str, Any], decoder: dict[str, Any]) -> dict[str, Any]:
    return {
        "vision_config": vision,
        "prompt_encoder_config": {"hidden_size": SMALL_WIDTH, "image_size": SMALL_SIDE},
        "mask_decoder_config": SMALL_DECODER | decoder,
    }
