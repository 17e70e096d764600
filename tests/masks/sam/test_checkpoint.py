"""Finding weights, and what is said where there are none."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file
from tiny_sam import FAMILIES

from ultrafield.errors import ConfigError
from ultrafield.masks.sam.checkpoint import open_checkpoint
from ultrafield.masks.sam.families import FAMILIES as KNOWN
from ultrafield.masks.sam.families import FamilyName
from ultrafield.masks.sam.network import Network

pytest.importorskip("transformers", reason="needs the extra sam")


@pytest.fixture
def offline(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """No network, and a hub's cache with nothing in it."""
    import huggingface_hub.constants as constants

    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path / "cache"))


@pytest.fixture
def copy(checkpoints: dict[str, Path], tmp_path: Path) -> Path:
    """A copy of the smallest checkpoint."""
    return Path(shutil.copytree(checkpoints["sam"], tmp_path / "copy"))


def fault(model: FamilyName, given: str | None) -> str:
    """What is said about a checkpoint, as the command line prints it."""
    with pytest.raises(ConfigError) as raised:
        Network(open_checkpoint(model, given), torch.device("cpu"), "float32")
    assert raised.value.exit_code == 2
    text = raised.value.for_command_line()
    assert "\n" not in text
    assert "--checkpoint" in text
    return text


@pytest.mark.parametrize("kind", FAMILIES)
def test_a_folder_is_recognised_by_its_settings(checkpoints: dict[str, Path], kind: str) -> None:
    checkpoint = open_checkpoint(FAMILIES[kind], str(checkpoints[kind]))
    assert checkpoint.family is KNOWN[FAMILIES[kind]]
    assert checkpoint.folder == checkpoints[kind]


def test_a_digest_tells_weights_and_settings_apart(checkpoints: dict[str, Path], copy: Path) -> None:
    original = open_checkpoint("sam", str(checkpoints["sam"])).digest()
    assert open_checkpoint("sam", str(copy)).digest() == original
    state = load_file(copy / "model.safetensors")
    save_file({name: value + 1e-3 for name, value in state.items()}, copy / "model.safetensors")
    changed = open_checkpoint("sam", str(copy)).digest()
    config = json.loads((copy / "config.json").read_text()) | {"initializer_range": 0.5}
    (copy / "config.json").write_text(json.dumps(config))
    assert len({original, changed, open_checkpoint("sam", str(copy)).digest()}) == 3


@pytest.mark.parametrize("file", ["preprocessor_config.json", "processor_config.json"])
def test_colours_are_those_of_the_checkpoints_processor(copy: Path, file: str) -> None:
    assert open_checkpoint("sam", str(copy)).mean == (0.485, 0.456, 0.406)
    values = {"image_mean": [0.1, 0.2, 0.3], "image_std": [0.4, 0.5, 0.6]}
    (copy / file).write_text(json.dumps(values if file.startswith("pre") else {"image_processor": values}))
    checkpoint = open_checkpoint("sam", str(copy))
    assert (checkpoint.mean, checkpoint.std) == ((0.1, 0.2, 0.3), (0.4, 0.5, 0.6))
    for wrong in ({"image_mean": [0.1]}, {"image_mean": [1, 2, 3], "image_std": [1, 1, 1]}, {"image_mean": "grey"}):
        (copy / file).write_text(json.dumps(wrong))
        assert f"{file}: expected image_mean and image_std" in fault("sam", str(copy))


def test_nothing_is_downloaded_that_was_not_named(offline: None) -> None:
    text = fault("sam2", None)
    assert "no weights of sam2 are here; --checkpoint facebook/sam2.1-hiera-large downloads them" in text
    assert "hf download facebook/sam2.1-hiera-large --local-dir sam2.1-hiera-large" in text


def test_offline_it_is_said_what_to_download_and_where_to_put_it(offline: None) -> None:
    text = fault("sam", "someone/some-sam")
    assert "someone/some-sam: no such folder, nor could it be downloaded (" in text
    assert "type: hf download someone/some-sam --local-dir some-sam; then copy the folder some-sam here" in text
    assert "name it: --checkpoint some-sam" in text


@pytest.mark.parametrize("given", ["a/b/c", "nowhere", "./a/b", "a b/c", "/nowhere/at/all"])
def test_what_is_neither_a_folder_nor_a_name_on_the_hub_is_refused(given: str) -> None:
    assert f"{given}: no such folder, and no name of a model" in fault("sam", given)


def test_a_name_that_cannot_be_looked_up_is_refused() -> None:
    assert "File name too long" in fault("sam", "a" * 5000)
    assert "no such folder" in fault("sam", "a\0b")


def test_a_file_is_no_checkpoint(tmp_path: Path) -> None:
    (tmp_path / "sam_vit_h.pth").touch()
    assert "sam_vit_h.pth: is a file; expected a folder" in fault("sam", str(tmp_path / "sam_vit_h.pth"))


def test_a_folder_without_settings_or_weights_is_refused(copy: Path) -> None:
    (copy / "model.safetensors").rename(copy / "pytorch_model.bin")
    assert "holds no weights in the form of safetensors" in fault("sam", str(copy))
    for content in ("[]", "{", "1"):
        (copy / "config.json").write_text(content)
        with pytest.raises(ConfigError, match=r"config\.json"):
            open_checkpoint("sam", str(copy))
    (copy / "config.json").unlink()
    assert f"{copy}: holds no config.json" in fault("sam", str(copy))


@pytest.mark.parametrize(
    ("model_type", "text"),
    [
        ("sam2", "is a checkpoint of sam2, not of sam; add --model sam2"),
        ("sam3_video", "is a checkpoint of sam3, not of sam; add --model sam3"),
        ("sam3", "is the detector of SAM 3, which is asked with words alone"),
        ("bert", 'model_type "bert" is none that makes masks from points; expected one of sam, sam_hq, sam2'),
        (None, "model_type null is none"),
        (["sam"], 'model_type ["sam"] is none'),
    ],
)
def test_checkpoints_of_other_families_are_refused(copy: Path, model_type: object, text: str) -> None:
    (copy / "config.json").write_text(json.dumps({"model_type": model_type}))
    assert f"{copy}: {text}" in fault("sam", str(copy))


def test_weights_that_do_not_fit_are_refused(copy: Path) -> None:
    state = load_file(copy / "model.safetensors")
    save_file({name: value for name, value in state.items() if "iou_token" not in name}, copy / "model.safetensors")
    assert "lacks 1 of the network's weights (first: mask_decoder.iou_token.weight)" in fault("sam", str(copy))
    save_file({name: value[..., :1].clone() for name, value in state.items()}, copy / "model.safetensors")
    assert f"{copy}: cannot be loaded (" in fault("sam", str(copy))
    (copy / "model.safetensors").write_bytes(b"no weights")
    assert f"{copy}: cannot be loaded (" in fault("sam", str(copy))


def test_settings_that_make_no_network_are_refused(copy: Path) -> None:
    config = json.loads((copy / "config.json").read_text())
    config["mask_decoder_config"]["num_attention_heads"] = 7
    (copy / "config.json").write_text(json.dumps(config))
    assert f"{copy}: cannot be loaded (" in fault("sam", str(copy))


def test_numbers_that_overflow_in_16_bits_are_noticed(copy: Path) -> None:
    state = load_file(copy / "model.safetensors")
    save_file(
        {name: value * (1e5 if "neck" in name else 1) for name, value in state.items()}, copy / "model.safetensors"
    )
    network = Network(open_checkpoint("sam", str(copy)), torch.device("cpu"), "float16")
    with pytest.raises(ConfigError, match="float16 cannot hold its numbers; use another") as raised:
        network.encode(torch.zeros(8, 8, 3, dtype=torch.uint8).numpy())
    assert raised.value.for_command_line().startswith("--precision: ")
