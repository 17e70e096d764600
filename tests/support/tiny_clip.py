"""Small networks for words with random weights, saved as transformers saves them."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import torch

SIDE, LENGTH = 32, 12
WORDS = ["a", "photo", "of", "object", "things", "stuff", "texture", "mug", "handle", "the", "red", "blue", "box"]
SPECIAL = ["<pad>", "<start>", "<end>", "<unk>"]


@pytest.fixture(scope="session")
def word_networks(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """A folder with a small network of random weights for each family."""
    pytest.importorskip("transformers", reason="needs the extra clip")
    root = tmp_path_factory.mktemp("words")
    for kind in ("clip", "siglip"):
        save(kind, root / kind)
    return {kind: root / kind for kind in ("clip", "siglip")}


def save(kind: str, folder: Path) -> None:
    """Save a small network of a family with its tokens; those of SigLIP do not add the end token, as Gemma's do not."""
    import transformers

    transformers.utils.logging.disable_progress_bar()
    torch.manual_seed(0)
    build(kind).eval().save_pretrained(folder)
    write_tokens(folder, ends=kind == "clip")
    transformers.utils.logging.enable_progress_bar()


def build(kind: str) -> Any:
    """A small network of a family, whose published architecture it has."""
    import transformers

    part = {"hidden_size": 32, "intermediate_size": 64, "num_hidden_layers": 2, "num_attention_heads": 4}
    text = part | {
        "vocab_size": len(SPECIAL) + len(WORDS),
        "max_position_embeddings": LENGTH,
        "bos_token_id": 1,
        "eos_token_id": SPECIAL.index("<end>") if kind == "siglip" else 16,
        "pad_token_id": 0,
    }
    vision = part | {"image_size": SIDE, "patch_size": 8}
    if kind == "clip":
        text["projection_dim"] = vision["projection_dim"] = 24
        return transformers.CLIPModel(
            transformers.CLIPConfig(text_config=text, vision_config=vision, projection_dim=24)
        )
    return transformers.SiglipModel(transformers.SiglipConfig(text_config=text, vision_config=vision))


def write_tokens(folder: Path, *, ends: bool) -> None:
    """Write tokenizer.json of whole words; the end token of CLIP is the last one, as published."""
    from tokenizers import Tokenizer, models, normalizers, pre_tokenizers, processors

    order = [*SPECIAL[:2], *SPECIAL[3:], *WORDS, "<end>"] if ends else [*SPECIAL, *WORDS]
    vocabulary = {word: index for index, word in enumerate(order)}
    tokens = Tokenizer(models.WordLevel(vocabulary, unk_token="<unk>"))
    tokens.pre_tokenizer = pre_tokenizers.Whitespace()
    tokens.add_special_tokens(SPECIAL)
    if ends:
        tokens.normalizer = normalizers.Lowercase()
        tokens.post_processor = processors.TemplateProcessing(
            single="<start> $A <end>",
            special_tokens=[("<start>", vocabulary["<start>"]), ("<end>", vocabulary["<end>"])],
        )
    tokens.save(str(folder / "tokenizer.json"))
    settings = {"eos_token": "<end>", "pad_token": "<pad>", "unk_token": "<unk>", "bos_token": "<start>"}
    (folder / "tokenizer_config.json").write_text(json.dumps(settings))
