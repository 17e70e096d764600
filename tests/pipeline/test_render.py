"""Renderings that are compared with photographs."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from ultrafield.config import preset
from ultrafield.field import render_view
from ultrafield.pipeline.render import _rendered
from ultrafield.scene import Photograph, load_scene
from ultrafield.training import Fields
from ultrafield.training.checkpoint import new_geometry


def test_colours_of_held_out_views_are_averaged_like_their_photographs(tiny_scene: Path) -> None:
    loaded = load_scene(tiny_scene)
    height, width = loaded.train.views[0].shape or (0, 0)
    photograph = Photograph(np.zeros((2 * height, 2 * width, 3), np.uint8))
    views = tuple(replace(view, photograph=photograph) for view in loaded.train)
    split = replace(loaded.train, views=views)
    scene = replace(loaded, splits={"train": split, "val": split})
    config = preset("draft", geometry={"hidden": 16, "max_samples_per_ray": 64, "occupancy_resolution": 16})
    field = new_geometry(scene, config.geometry, torch.Generator().manual_seed(0))
    (_, _, plain), (_, _, averaged) = _rendered(scene, Fields(field), [("train", 1), ("val", 1)])
    cameras = split.normalised_cameras
    large = render_view(field, cameras.resized(cameras.sizes * 2), 1).color
    expected = large.reshape(height, 2, width, 2, 3).mean(axis=(1, 3))
    assert averaged.color == pytest.approx(expected, abs=1e-5)
    assert not np.allclose(plain.color, expected, atol=1e-5)
    np.testing.assert_array_equal(plain.depth, averaged.depth)
