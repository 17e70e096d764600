"""Settings: presets, the way to JSON and back, and values that cannot be used."""

from __future__ import annotations

import json
import math
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from ultrafield.config import (
    Config,
    FeatureConfig,
    GeometryConfig,
    HashGridConfig,
    SegmentConfig,
    check_memory,
    from_dict,
    preset,
    to_dict,
)
from ultrafield.config.limits import FEATURES, GEOMETRY, GRID, RUN, SEGMENT
from ultrafield.errors import ConfigError
from ultrafield.scene import options as scene
from ultrafield.scene.options import SceneOptions
from ultrafield.synth import SynthConfig
from ultrafield.synth import dataset as synth


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
    assert (features.euclidean_weight, features.ultrametric_weight) == (1.0, 1.0)
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
    assert preset("standard").geometry.steps == 2000
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
    with pytest.raises(ConfigError, match=r"config.geometry: unknown setting 'stepz'; known are grid, representation"):
        from_dict(Config, {"geometry": {"stepz": 3}})


def grid(**values: Any) -> GeometryConfig:
    return GeometryConfig(grid=HashGridConfig(**values))


@pytest.mark.parametrize(
    ("kind", "values", "message"),
    [
        (GeometryConfig, {"rays": 0}, "geometry.rays: expected a whole number from 1 to 4194304, got 0"),
        (GeometryConfig, {"rays": 3.5}, "geometry.rays: expected a whole number from 1 to 4194304, got 3.5"),
        (GeometryConfig, {"rays": True}, "geometry.rays: expected a whole number from 1 to 4194304, got True"),
        (GeometryConfig, {"rays": None}, "geometry.rays: expected a whole number from 1 to 4194304, got None"),
        (
            GeometryConfig,
            {"samples": -1},
            "geometry.samples: expected None, or a whole number from 1 to 16777216, got -1",
        ),
        (
            GeometryConfig,
            {"hidden": 10**12},
            "geometry.hidden: expected a whole number from 1 to 1024, got 1000000000000",
        ),
        (
            GeometryConfig,
            {"hidden": 10**5000},
            "geometry.hidden: expected a whole number from 1 to 1024, got a number of thousands of digits",
        ),
        (GeometryConfig, {"lr": 0.0}, "geometry.lr: expected a number more than 0 and at most 100, got 0.0"),
        (GeometryConfig, {"lr": float("nan")}, "geometry.lr: expected a number more than 0 and at most 100, got nan"),
        (GeometryConfig, {"lr": "0.1"}, "geometry.lr: expected a number more than 0 and at most 100, got '0.1'"),
        (GeometryConfig, {"beta2": 1.0}, "geometry.beta2: expected a number at least 0 and less than 1, got 1.0"),
        (GeometryConfig, {"depth_smooth": 1}, "geometry.depth_smooth: expected True or False, got 1"),
        (
            GeometryConfig,
            {"ray_sampling": "none"},
            "geometry.ray_sampling: expected one of all_images, same_image, got 'none'",
        ),
        (GeometryConfig, {"grid": 5}, "geometry.grid: expected a HashGridConfig, got 5"),
        (grid, {"levels": 0}, "geometry.grid.levels: expected a whole number from 1 to 32, got 0"),
        (grid, {"max_resolution": 8}, r"geometry.grid.max_resolution: expected at least base_resolution (16), got 8"),
        (FeatureConfig, {"negatives": 0}, "features.negatives: expected a whole number from 1 to 1024, got 0"),
        (
            FeatureConfig,
            {"border_factor": -1.0},
            "features.border_factor: expected a number from 0 to 1000000, got -1.0",
        ),
        (
            FeatureConfig,
            {"vote_voxel": 5e-5},
            "features.vote_voxel: expected None, or a number from 0.0001 to 1, got 5e-05",
        ),
        (FeatureConfig, {"temperature": 0}, "features.temperature: expected a number from 0.0001 to 1000, got 0"),
        (
            FeatureConfig,
            {"images": [1] * 99},
            f"features.images: expected a whole number from 1 to 65536, got {'[' + '1, ' * 19}1,…",
        ),
        (SegmentConfig, {"linkage": "both"}, "segment.linkage: expected one of single, average, got 'both'"),
        (SegmentConfig, {"voxel": -1.0}, "segment.voxel: expected None, or a number from 0.0001 to 2, got -1.0"),
        (Config, {"engine": "paper"}, "engine: expected one of field, lift, both, got 'paper'"),
        (Config, {"seed": -1}, "seed: expected a whole number from 0 to 9223372036854775807, got -1"),
    ],
)
def test_values_that_cannot_be_used_name_their_setting(kind, values, message):
    with pytest.raises(ConfigError) as caught:
        kind(**values)
    assert str(caught.value) == message
    setting, _, rest = message.partition(": ")
    assert caught.value.for_command_line() == f"--{setting.replace('_', '-')}: {rest.replace(setting, '')}"


def numbers() -> list[Any]:
    """Every setting that is a number, with its range."""
    tables = [(HashGridConfig, GRID), (GeometryConfig, GEOMETRY), (FeatureConfig, FEATURES), (SegmentConfig, SEGMENT)]
    tables += [(Config, RUN), (SynthConfig, synth.LIMITS), (SceneOptions, scene.LIMITS)]
    return [
        pytest.param(kind, name, table[name], id=f"{kind.__name__}.{name}") for kind, table in tables for name in table
    ]


@pytest.mark.parametrize(("kind", "name", "limits"), numbers())
def test_every_number_has_a_range(kind, name, limits):
    partners = {"base_resolution": {"max_resolution": 1 << 20}, "max_resolution": {"base_resolution": 1}}
    partners |= {"lowest": {"highest": 89.0}, "highest": {"lowest": -89.0}}
    partners |= {"least_turn": {"most_turn": 180.0}, "most_turn": {"least_turn": 0.0}}

    def build(value: Any) -> None:
        settings = kind(**{name: value}, **partners.get(name, {}))
        if kind is HashGridConfig:
            GeometryConfig(grid=settings)

    for value in (limits.least - 1, limits.most + 1, -(10**12), 1e308, math.inf, -math.inf, math.nan, "1", [], True):
        if value != 0:  # switches some settings off
            with pytest.raises(ConfigError, match=rf"{name}: expected "):
                build(value)
    for value, excluded in ((limits.least, limits.above), (limits.most, limits.below)):
        if not excluded:
            build(value)


def test_numbers_are_stored_as_plain_ones():
    geometry = GeometryConfig(lr=1, rays=np.int64(64), lr_floor=np.float32(0.5), samples=np.int32(0))
    assert [type(value) for value in (geometry.lr, geometry.rays, geometry.lr_floor)] == [float, int, float]
    assert geometry.samples is None
    assert geometry == GeometryConfig(lr=1.0, rays=64, lr_floor=0.5, samples=None)


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ([], "config: expected an object of settings, got []"),
        ({"geometry": None}, "config.geometry: expected an object of settings, got None"),
        ({"geometry": {"lr": "fast"}}, "config.geometry.lr: expected a number more than 0 and at most 100, got 'fast'"),
        (
            {"features": {"grid": {"levels": 0}}},
            "config.features.grid.levels: expected a whole number from 1 to 32, got 0",
        ),
        ({"preset": "best"}, "config.preset: expected one of draft, standard, paper, got 'best'"),
        ({3: 4}, "config: unknown setting 3; known are engine, preset, seed, geometry, features, segment"),
    ],
)
def test_stored_settings_that_cannot_be_used(values, message):
    with pytest.raises(ConfigError) as caught:
        from_dict(Config, values)
    assert str(caught.value) == message


@pytest.mark.usefixtures("one_gibibyte")
@pytest.mark.parametrize(
    ("changes", "setting"),
    [
        ({"geometry": {"grid": {"log2_entries": 24, "max_resolution": 1024}}}, "geometry.grid.log2_entries"),
        ({"geometry": {"occupancy_resolution": 1024}}, "geometry.occupancy_resolution"),
        ({"geometry": {"samples": 1 << 24}}, "geometry.samples"),
        ({"geometry": {"rays": 1 << 22}}, "geometry.rays"),
        ({"features": {"grid": {"log2_entries": 24, "max_resolution": 1024}}}, "features.grid.log2_entries"),
        ({"features": {"pixels": 1 << 20}}, "features.pixels"),
        ({"features": {"pairs_per_mask": 1 << 14, "negatives": 100}}, "features.pairs_per_mask"),
    ],
)
def test_settings_that_need_too_much_memory(changes, setting):
    with pytest.raises(ConfigError, match=rf"^{setting}: takes about [\d.]+ GiB, more than the 1.0 that may be taken"):
        check_memory(preset("draft", engine="field", **changes))
    if setting.startswith("features"):
        check_memory(preset("draft", engine="lift", **changes))


@pytest.mark.usefixtures("one_gibibyte")
def test_the_draft_needs_little_memory():
    check_memory(preset("draft", engine="both"))
