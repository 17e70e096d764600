"""A tiny scene and a run on it, made once: 6 views of 32 x 32 pixels, trained for a few steps."""

from __future__ import annotations

from pathlib import Path

import pytest

from ultrafield import cli
from ultrafield.config import HashGridConfig, preset

TINY = [
    *("--device", "cpu", "--cuts", "6", "--geometry.steps", "20", "--geometry.lr", "0.05"),
    *("--geometry.rays", "256", "--geometry.samples", "4096", "--geometry.hidden", "16"),
    *("--geometry.grid.levels", "2", "--geometry.grid.log2-entries", "12", "--geometry.occupancy-resolution", "32"),
    *("--geometry.max-samples-per-ray", "128", "--features.steps", "5", "--features.pixels", "256"),
    *("--features.images", "1", "--features.pairs-per-mask", "8", "--features.dim", "8", "--features.hidden", "16"),
]


@pytest.fixture(scope="session")
def tiny() -> list[str]:
    """Options that make a run take seconds."""
    return TINY


@pytest.fixture(scope="session")
def tiny_scene(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A Blender-HS dataset with ground truth and rotated views."""
    from ultrafield.synth import SynthConfig, synthesize

    folder = tmp_path_factory.mktemp("data") / "tiny"
    options = SynthConfig(
        size=32, train_views=6, val_views=2, supersampling=1, light_samples=1, sky_samples=1, threads=1
    )
    synthesize(None, folder, options, progress=False)
    return folder


@pytest.fixture(scope="session")
def tiny_run(tiny_scene: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The run folder of `ultrafield run` with the engine `field`; tests must not change it."""
    folder = tmp_path_factory.mktemp("runs") / "field"
    assert cli.main(["run", str(tiny_scene), "--out", str(folder), "--engine", "field", *TINY]) == 0
    return folder


@pytest.fixture
def small_paper(monkeypatch: pytest.MonkeyPatch) -> None:
    """Shrinks what the published commands take for the `paper` preset."""
    from dataclasses import replace

    from ultrafield.published import options as published_options

    paper = preset("paper")
    geometry = replace(
        paper.geometry, grid=HashGridConfig(4, 2, 12, 8, 64), occupancy_resolution=32, max_samples_per_ray=64
    )
    features = replace(paper.features, grid=HashGridConfig(3, 2, 10, 8, 16), hidden=16)
    small = replace(paper, geometry=geometry, features=features)
    monkeypatch.setattr(published_options, "preset", lambda name: small)
    monkeypatch.setattr(published_options, "FEATURE_CHANNELS", 16)
