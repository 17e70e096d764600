"""Options and what they become."""

from __future__ import annotations

from pathlib import Path

import pytest

from ultrafield.commands.options import MethodOptions, SceneOptions, choose_preset, with_shorthands
from ultrafield.config import SegmentConfig, preset
from ultrafield.errors import ConfigError


def test_scene_options_survive_json(tmp_path: Path) -> None:
    options = SceneOptions(layout="nerfstudio", width=64, masks=tmp_path, allow_missing=True, hold_out=0)
    assert SceneOptions.from_json(options.to_json()) == options


def test_paths_are_stored_absolute(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert SceneOptions(masks=Path("m")).to_json()["masks"] == str(tmp_path.resolve() / "m")


def test_missing_pictures_are_tolerated_within_reason_unless_asked() -> None:
    assert SceneOptions().arguments()["allow_missing"] is None
    assert SceneOptions(allow_missing=True).arguments()["allow_missing"] is True


@pytest.mark.parametrize("name", ["draft", "standard", "paper"])
def test_a_preset_goes_through_unchanged(name: str) -> None:
    assert MethodOptions.of_preset(name).config(name) == preset(name)


def test_shorthands_only_where_given() -> None:
    base = SegmentConfig(linkage="single", cuts=7)
    assert with_shorthands(base, None, None) == base
    assert with_shorthands(base, "average", 3) == SegmentConfig(linkage="average", cuts=3)


def test_no_cut_is_refused() -> None:
    with pytest.raises(ConfigError, match="cuts: expected None, or a whole number from 1 to 1000, got 0"):
        with_shorthands(SegmentConfig(), None, 0)


@pytest.mark.parametrize(
    ("choice", "device", "expected"),
    [
        ("paper", "auto", ("paper", "as asked")),
        ("auto", "cpu", ("draft", "the device is the CPU")),
        ("auto", "cuda", ("standard", "the device is CUDA")),
    ],
)
def test_choice_of_the_preset(choice: str, device: str, expected: tuple[str, str]) -> None:
    assert choose_preset(choice, device) == expected


def test_auto_without_cuda_is_draft(monkeypatch: pytest.MonkeyPatch) -> None:
    import torch

    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    assert choose_preset("auto", "auto") == ("draft", "there is no CUDA device")
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    assert choose_preset("auto", "auto") == ("standard", "the device is CUDA")
