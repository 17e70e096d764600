"""Settings: presets, the way to JSON and back, and values that cannot be used."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest

from ultrafield.config import (
    Config,
    FeatureConfig,
    GeometryConfig,
    HashGridConfig,
    SegmentConfig,
    from_dict,
    preset,
    to_dict,
)
from ultrafield.errors import ConfigError


@pytest.mark.parametrize("name", ["draft", "standard", "paper"])
def test_settings_survive_json(name):
    config = replace(preset(name), seed=7)
    assert config.preset == name
    assert from_dict(Config, json.loads(json.dumps(to_dict(config)))) == config


def test_the_paper_preset_has_the_published_numbers():
    config = preset("paper")
    geometry, features, segment = config.geometry, config.features, config.segment
    assert geometry.grid == HashGridConfig(levels=17, log2_entries=20, max_resolution=1024)
    assert features.grid == HashGridConfig(levels=17, log2_entries=20, max_resolution=64)
    assert (geometry.hidden, geometry.color_layers, geometry.occupancy_resolution) == (64, 2, 128)
    assert (geometry.occupancy_every, geometry.occupancy_warmup, geometry.occupancy_decay) == (16, 256, 0.95)
    assert (geometry.opacity_weight, geometry.density_weight, geometry.density_every) == (1e-3, 1e-4, 32)
    assert geometry.depth_smooth_from == pytest.approx(2 / 20)  # from the third of twenty epochs
    assert (features.hidden, features.layers, features.bottleneck, features.dim) == (128, 2, 128, 256)
    assert (features.temperature, features.neighbors, features.vote_voxel) == (0.1, 10, None)
    assert (features.border_weighting, features.border_factor, features.border_penalty) == ("any", 0.0, 10.0)
    assert (features.pairs_per_mask, features.negatives, features.min_pixels, features.min_uncovered) == (64, 1, 5, 10)
    assert 0.5 * segment.voxel == pytest.approx(2e-3)
    assert 0.5 * segment.voxel * segment.label_radius == pytest.approx(0.0707, abs=1e-4)
    assert features.border_negatives is False
    assert (segment.linkage, segment.neighbors, segment.label_neighbors) == ("single", 16, 5)


def test_an_unknown_preset_is_an_error():
    with pytest.raises(ConfigError, match=r"^preset: expected draft, standard or paper, got 'best'"):
        preset("best")


def test_a_preset_with_changes():
    config = preset("standard", seed=3, engine="both", geometry={"steps": 200, "grid": {"levels": 4}})
    assert (config.seed, config.engine, config.preset) == (3, "both", "standard")
    assert config.geometry == replace(
        preset("standard").geometry, steps=200, grid=replace(preset("standard").geometry.grid, levels=4)
    )
    assert preset("standard").geometry.steps == 1500
    assert preset("draft", segment=SegmentConfig(cuts=5)).segment.cuts == 5
    with pytest.raises(TypeError, match="stepz"):
        preset("draft", geometry={"stepz": 3})


def test_zero_still_switches_off():
    assert GeometryConfig(samples=0) == GeometryConfig(samples=None)
    assert FeatureConfig(bottleneck=0, vote_voxel=0.0) == FeatureConfig(bottleneck=None, vote_voxel=None)
    segment = from_dict(SegmentConfig, {"voxel": 0.0, "superpoints": 0})  # as version 0.1 stored it
    assert segment == SegmentConfig(voxel=None, superpoints=None)
    assert json.loads(json.dumps(to_dict(segment)))["superpoints"] is None


def test_an_unknown_setting_is_named():
    with pytest.raises(ConfigError, match=r"config.geometry: unknown setting 'stepz'; known are grid, hidden"):
        from_dict(Config, {"geometry": {"stepz": 3}})


@pytest.mark.parametrize(
    ("kind", "values", "message"),
    [
        (GeometryConfig, {"rays": 0}, r"geometry.rays: expected at least 1, got 0"),
        (GeometryConfig, {"max_samples_per_ray": 0}, r"geometry.max_samples_per_ray: expected at least 1, got 0"),
        (GeometryConfig, {"lr": 0.0}, r"geometry.lr: expected more than 0, got 0.0"),
        (GeometryConfig, {"lr": float("nan")}, r"geometry.lr: expected more than 0, got nan"),
        (HashGridConfig, {"levels": 0}, r"grid.levels: expected at least 1, got 0"),
        (HashGridConfig, {"max_resolution": 8}, r"grid.max_resolution: expected at least 16, got 8"),
        (FeatureConfig, {"negatives": 0}, r"features.negatives: expected at least 1, got 0"),
        (FeatureConfig, {"border_factor": -1.0}, r"features.border_factor: expected at least 0, got -1.0"),
        (FeatureConfig, {"border_penalty": -0.5}, r"features.border_penalty: expected at least 0, got -0.5"),
        (FeatureConfig, {"vote_voxel": -0.01}, r"features.vote_voxel: expected at least 0, got -0.01"),
        (FeatureConfig, {"vote_voxel": 5e-5}, r"features.vote_voxel: expected None, or from 0.0001 to 1, got 5e-05"),
        (
            FeatureConfig,
            {"vote_voxel": float("inf")},
            r"features.vote_voxel: expected None, or from 0.0001 to 1, got inf",
        ),
        (FeatureConfig, {"temperature": 0}, r"features.temperature: expected more than 0, got 0"),
        (SegmentConfig, {"neighbors": 0}, r"segment.neighbors: expected at least 1, got 0"),
        (SegmentConfig, {"label_neighbors": 0}, r"segment.label_neighbors: expected at least 1, got 0"),
        (SegmentConfig, {"voxel": -1.0}, r"segment.voxel: expected at least 0, got -1.0"),
    ],
)
def test_values_that_cannot_be_used_name_their_setting(kind, values, message):
    with pytest.raises(ConfigError, match=message) as caught:
        kind(**values)
    option, _, rest = caught.value.for_command_line().partition(":")
    assert option == "--" + message.partition(":")[0].replace("_", "-")
    assert str(caught.value).endswith(rest)
