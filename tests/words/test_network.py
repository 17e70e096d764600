"""Networks for words, held against transformers' own way with random weights."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from safetensors.torch import load_file, save_file
from tiny_clip import LENGTH, SIDE

from ultrafield.errors import ConfigError
from ultrafield.words.checkpoint import open_words
from ultrafield.words.network import WordNetwork

pytest.importorskip("transformers", reason="needs the extra clip")
KINDS = ("clip", "siglip")


def network(folder: Path) -> WordNetwork:
    return WordNetwork(open_words(str(folder)), torch.device("cpu"))


def picture(edge: int, seed: int = 0) -> np.ndarray:
    """A smooth picture."""
    coarse = np.random.default_rng(seed).integers(0, 256, (6, 6, 3), dtype=np.uint8)
    return np.array(Image.fromarray(coarse).resize((edge, edge), Image.Resampling.BICUBIC))


def unit(features: Any) -> np.ndarray:
    features = features.pooler_output
    return (features / features.norm(dim=1, keepdim=True)).detach().numpy()


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("edge", [SIDE, 77, 20])
def test_pictures_are_embedded_as_by_the_published_processor(
    word_networks: dict[str, Path], kind: str, edge: int
) -> None:
    import transformers

    shown = [picture(edge), picture(edge, 1)]
    processor = {
        "clip": lambda: transformers.CLIPImageProcessorPil(size={"shortest_edge": SIDE}, crop_size=SIDE),
        "siglip": lambda: transformers.SiglipImageProcessorPil(size={"height": SIDE, "width": SIDE}, resample=3),
    }[kind]()
    pixels = processor(images=[Image.fromarray(item) for item in shown], return_tensors="pt")["pixel_values"]
    made = network(word_networks[kind])
    prepared = torch.cat([made._prepared(item) for item in shown])
    assert prepared.shape == pixels.shape == (2, 3, SIDE, SIDE)
    assert (prepared - pixels).abs().max() < 2.5 / 255 / 0.26  # Pillow rounds between its two passes
    found = made.pictures(shown)
    assert found.dtype == np.float32
    np.testing.assert_allclose(np.linalg.norm(found, axis=1), 1.0, atol=1e-6)
    assert ((found * unit(made._model.get_image_features(pixel_values=pixels))).sum(axis=1) > 0.999).all()


@pytest.mark.parametrize("kind", KINDS)
def test_texts_are_embedded_as_published(word_networks: dict[str, Path], kind: str) -> None:
    """CLIP reads up to the end token, SigLIP at the last of all places, filled up."""
    made = network(word_networks[kind])
    if kind == "clip":  # start, a, red, mug, end
        rows = [[1, 3, 13, 10, 16] + [0] * (LENGTH - 5)]
        rows[0][1:4] = [made._tokens.convert_tokens_to_ids(word) for word in ("a", "red", "mug")]
    else:
        rows = [
            [made._tokens.convert_tokens_to_ids(word) for word in ("a", "red", "mug", "<end>")] + [0] * (LENGTH - 4)
        ]
    expected = unit(made._model.get_text_features(input_ids=torch.tensor(rows)))
    np.testing.assert_allclose(made.texts(["a RED mug"]), expected, atol=1e-6)
    several = made.texts(["mug", "a red mug", "handle of the mug"])
    np.testing.assert_allclose(several[1], expected[0], atol=1e-5)
    assert several.shape == (3, 24 if kind == "clip" else 32)


@pytest.mark.parametrize("kind", KINDS)
def test_long_and_odd_texts_end_with_the_end_token(word_networks: dict[str, Path], kind: str) -> None:
    made = network(word_networks[kind])
    end = made._tokens.eos_token_id
    for row in made._ids(["mug " * 99, "", "Ωμέγα ☕", "mug"]):
        assert len(row) == LENGTH
        assert row.count(end) == 1
    assert made._ids(["mug " * 99])[0][-1] == end
    assert np.isfinite(made.texts(["mug " * 99, ""])).all()


@pytest.mark.parametrize("kind", KINDS)
def test_results_do_not_depend_on_company(word_networks: dict[str, Path], kind: str) -> None:
    made = network(word_networks[kind])
    shown = [picture(40, seed) for seed in range(35)]  # more than a batch
    np.testing.assert_allclose(made.pictures(shown)[[3, 34]], made.pictures([shown[3], shown[34]]), atol=1e-5)
    np.testing.assert_array_equal(made.pictures(shown), network(word_networks[kind]).pictures(shown))
    assert made.pictures([]).shape[0] == made.texts([]).shape[0] == 0
    assert made.scale > 0


@pytest.fixture
def copy(word_networks: dict[str, Path], tmp_path: Path) -> Path:
    return Path(shutil.copytree(word_networks["clip"], tmp_path / "copy"))


def fault(given: str | Path) -> str:
    """What is said about a network, as the command line prints it."""
    with pytest.raises(ConfigError) as raised:
        WordNetwork(open_words(str(given)), torch.device("cpu"))
    text = raised.value.for_command_line()
    assert raised.value.exit_code == 2
    assert "\n" not in text
    assert "--model" in text
    return text


def test_folders_that_cannot_be_used(copy: Path) -> None:
    tokens = (copy / "tokenizer.json").read_text()
    (copy / "tokenizer_config.json").write_text("{}")
    assert "tokenizer_config.json names no eos_token" in fault(copy)
    (copy / "tokenizer.json").write_text("{}")
    assert f"{copy}: tokenizer.json cannot be used (" in fault(copy)
    (copy / "tokenizer.json").unlink()
    assert f"{copy}: holds no tokenizer.json" in fault(copy)
    (copy / "tokenizer.json").write_text(tokens)
    config = json.loads((copy / "config.json").read_text())
    for kind, text in (
        ("siglip2", "is a SigLIP 2 for pictures of any shape (NaFlex); expected one of a fixed size, such as google/"),
        ("bert", 'model_type "bert" is none that compares pictures with words; expected clip or siglip'),
        (["clip"], 'model_type ["clip"] is none'),
    ):
        (copy / "config.json").write_text(json.dumps(config | {"model_type": kind}))
        assert text in fault(copy)
    (copy / "config.json").unlink()
    assert "holds no config.json" in fault(copy)


def test_weights_that_do_not_fit_are_refused(copy: Path) -> None:
    settings = {"eos_token": "<end>", "pad_token": "<pad>"}
    state = load_file(copy / "model.safetensors")
    name = "text_model.embeddings.token_embedding.weight"
    save_file({key: value for key, value in state.items() if key != "logit_scale"}, copy / "model.safetensors")
    assert "lacks 1 of the network's weights (first: logit_scale)" in fault(copy)
    save_file(state | {name: torch.full_like(state[name], torch.nan)}, copy / "model.safetensors")
    made = network(copy)
    with pytest.raises(ConfigError, match="makes numbers that are not finite"):
        made.texts(["mug"])
    config = json.loads((copy / "config.json").read_text())
    config["text_config"]["vocab_size"] = 10
    (copy / "config.json").write_text(json.dumps(config))
    save_file(state | {name: state[name][:10].clone()}, copy / "model.safetensors")
    (copy / "tokenizer_config.json").write_text(json.dumps(settings))
    with pytest.raises(ConfigError, match=r"tokenizer\.json has tokens that the network does not know"):
        network(copy).texts(["mug"])
    (copy / "model.safetensors").unlink()
    assert "holds no weights in the form of safetensors" in fault(copy)


def test_offline_it_is_said_what_to_download(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import huggingface_hub.constants as constants

    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path / "cache"))
    text = fault("openai/clip-vit-base-patch32")
    assert "no such folder, nor could it be downloaded (" in text
    assert "type: hf download openai/clip-vit-base-patch32 --local-dir clip-vit-base-patch32; then copy" in text
    assert "name it: --model clip-vit-base-patch32" in text
    assert "nowhere: no such folder, and no name of a model on the Hugging Face hub" in fault("nowhere")


def test_colours_and_digest_follow_the_folder(copy: Path, word_networks: dict[str, Path]) -> None:
    before = open_words(str(copy))
    assert before.digest() == open_words(str(word_networks["clip"])).digest()
    assert before.mean == (0.48145466, 0.4578275, 0.40821073)
    values = {"image_mean": [0.1, 0.2, 0.3], "image_std": [0.4, 0.5, 0.6]}
    (copy / "preprocessor_config.json").write_text(json.dumps(values))
    after = open_words(str(copy))
    assert (after.mean, after.std) == ((0.1, 0.2, 0.3), (0.4, 0.5, 0.6))
    assert after.digest() != before.digest()


def test_the_extra_is_named_where_it_is_missing(
    word_networks: dict[str, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    import sys

    from ultrafield.errors import BackendError

    monkeypatch.setitem(sys.modules, "transformers", None)
    with pytest.raises(BackendError, match=r'pip install "ultrafield\[clip\]"'):
        open_words(str(word_networks["clip"]))
