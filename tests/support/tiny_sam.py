"""Small networks of the Segment Anything families, saved as transformers saves them."""

from __future__ import annotations

import sys
from importlib import util
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import save_file

SIDE = 128  # pixels of the network's square input
FAMILIES = {
    "sam": "sam",
    "sam_hq": "sam",
    "sam2": "sam2",
    "sam2_video": "sam2",
    "sam3_tracker": "sam3",
    "sam3_video": "sam3",
}  # by model_type
_DRAWS = {  # seed, and part of the logits inside masks, by which tests have masks enough
    "sam": (1, 0.15),
    "sam_hq": (5, 0.15),
    "sam2": (3, 0.06),
    "sam2_video": (3, 0.06),
    "sam3_tracker": (3, 0.06),
    "sam3_video": (3, 0.06),
}
_WIDTH = 64
_MEMORY = {
    "memory_attention_hidden_size": _WIDTH,
    "memory_attention_num_layers": 1,
    "memory_attention_feed_forward_hidden_size": 32,
    "memory_encoder_hidden_size": _WIDTH,
    "memory_encoder_output_channels": 16,
    "mask_downsampler_embed_dim": _WIDTH,
    "memory_fuser_num_layers": 1,
    "memory_fuser_embed_dim": _WIDTH,
    "memory_fuser_intermediate_dim": 32,
}


def random_sam() -> ModuleType:
    """The module of the benchmarks that draws weights."""
    return _of_benchmarks("random_sam")


def original_sam() -> ModuleType:
    """The module of the benchmarks that gives the original package's networks."""
    return _of_benchmarks("original_sam")


def _of_benchmarks(name: str) -> ModuleType:
    if name not in sys.modules:
        spec = util.spec_from_file_location(name, Path(__file__).parents[2] / f"benchmarks/lib/{name}.py")
        assert spec is not None
        assert spec.loader is not None
        module = util.module_from_spec(spec)
        sys.modules[name] = module
        spec.loader.exec_module(module)
    return sys.modules[name]


@pytest.fixture(scope="session")
def checkpoints(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """A folder with a small network of random weights for every model_type."""
    pytest.importorskip("transformers", reason="needs the extra sam")
    root = tmp_path_factory.mktemp("checkpoints")
    for kind in FAMILIES:
        save(kind, root / kind)
    return {kind: root / kind for kind in FAMILIES}


def save(kind: str, folder: Path) -> None:
    """Save a small network of a model_type, with weights by which pictures have dozens of masks."""
    import transformers

    transformers.utils.logging.disable_progress_bar()
    model = build(kind).eval()
    asked = model
    if kind == "sam2_video":  # as published: with the memory that videos need
        asked = transformers.Sam2Model(model.config).eval()
    if kind == "sam3_video":  # as published: with the detector too
        asked = build("sam3_tracker").eval()
    seed, inside = _DRAWS[kind]
    random_sam().randomise(asked, seed)
    pixels = torch.from_numpy(blobs(SIDE, SIDE)).permute(2, 0, 1)[None].float() / 127.5 - 1
    random_sam().fit_heads(asked, pixels, spread=60.0, inside=inside, quality=0.86)
    if asked is not model:
        _copy(asked, model, kind)
    model.save_pretrained(folder)
    if kind == "sam3_video":  # transformers 5.24 saves it with the prefix of the tracker twice, unlike as published
        state = {name: value.clone() for name, value in model.state_dict().items()}
        save_file(state, folder / "model.safetensors", {"format": "pt"})


def _copy(asked: Any, model: Any, kind: str) -> None:
    """Copy the weights of what answers points to where the published model has them."""
    weights = model.state_dict()
    for name, value in asked.state_dict().items():
        if kind == "sam3_video":
            name = name.replace("vision_encoder.backbone.", "detector_model.vision_encoder.backbone.")
            name = name.replace("vision_encoder.neck.", "tracker_neck.", 1)
            name = name if name.startswith(("detector_model.", "tracker_neck.")) else f"tracker_model.{name}"
        weights[name].copy_(value)


def blobs(height: int, width: int, seed: int = 0) -> np.ndarray:
    """A picture of a dozen discs on grey, with a little noise."""
    generator = np.random.default_rng(seed)
    picture = np.full((height, width, 3), 90.0)
    rows, columns = np.mgrid[:height, :width]
    for _ in range(12):
        row, column = generator.uniform(0, height), generator.uniform(0, width)
        radius = generator.uniform(0.05, 0.2) * max(height, width)
        picture[(rows - row) ** 2 + (columns - column) ** 2 < radius**2] = generator.uniform(0, 255, 3)
    return (picture + generator.normal(0, 4, picture.shape)).clip(0, 255).astype(np.uint8)


def build(kind: str) -> Any:
    """A small network of a model_type."""
    import transformers

    networks = _of_benchmarks("networks")
    if kind == "sam":
        return networks.sam_small()
    if kind == "sam2":
        return networks.sam2_small()
    if kind == "sam_hq":
        settings = networks.sam_small_settings()
        settings["mask_decoder_config"] = networks.SMALL_DECODER | {"vit_dim": 32}
        return transformers.SamHQModel(transformers.SamHQConfig(**settings))
    if kind == "sam2_video":
        return transformers.Sam2VideoModel(transformers.Sam2VideoConfig(**networks.sam2_small_settings(), **_MEMORY))
    return _sam3(kind, {"hidden_size": _WIDTH, "image_size": SIDE, "patch_size": 16}, networks.SMALL_DECODER)


def _sam3(kind: str, prompts: dict[str, Any], decoder: dict[str, Any]) -> Any:
    import transformers

    backbone = {
        "model_type": "sam3_vit_model",
        "hidden_size": 32,
        "intermediate_size": 64,
        "num_hidden_layers": 2,
        "num_attention_heads": 2,
        "image_size": SIDE,
        "patch_size": 16,
        "window_size": 4,
        "global_attn_indexes": [1],
        "pretrain_image_size": SIDE,
    }
    vision = {
        "model_type": "sam3_vision_model",
        "backbone_config": backbone,
        "fpn_hidden_size": _WIDTH,
        "backbone_feature_sizes": [[SIDE // stride] * 2 for stride in (4, 8, 16)],
        "scale_factors": [4.0, 2.0, 1.0],
    }
    options = {"vision_config": vision, "prompt_encoder_config": prompts, "mask_decoder_config": decoder}
    if kind == "sam3_tracker":
        return transformers.Sam3TrackerModel(transformers.Sam3TrackerConfig(**options))
    text = {"hidden_size": 32, "intermediate_size": 32, "num_hidden_layers": 1, "num_attention_heads": 2}
    part = {"hidden_size": _WIDTH, "num_layers": 1, "num_attention_heads": 2, "intermediate_size": 32}
    detector = {
        "vision_config": vision | {"scale_factors": [4.0, 2.0, 1.0, 0.5]},
        "text_config": text | {"model_type": "clip_text_model", "vocab_size": 64, "projection_dim": 32},
        "geometry_encoder_config": part,
        "detr_encoder_config": part,
        "detr_decoder_config": part | {"num_queries": 4},
        "mask_decoder_config": {"hidden_size": _WIDTH, "num_attention_heads": 2},
    }
    config = transformers.Sam3VideoConfig(detector_config=detector, tracker_config=options | _MEMORY)
    config.image_size = SIDE
    return transformers.Sam3VideoModel(config)
