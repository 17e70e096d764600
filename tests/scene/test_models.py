"""One scene, exported in every form, is the same scene."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from exported import EXPORTERS, poses

from ultrafield.cameras import pixel_directions, project
from ultrafield.scene import load_scene


@pytest.mark.parametrize("form", EXPORTERS)
def test_every_form_loads_to_the_rays_that_it_documents(tmp_path: Path, form: str) -> None:
    root = tmp_path / "scene"
    root.mkdir()
    projections = EXPORTERS[form](root)
    scene = load_scene(root, hold_out=None, warn=lambda _: None)
    assert scene.layout == form.removesuffix("-binary")
    cameras, truth = scene.train.cameras, poses()
    assert len(cameras) == len(truth)
    np.testing.assert_allclose(cameras.c2w, truth, atol=1e-9)
    columns, rows = np.meshgrid(np.arange(64) + 0.5, np.arange(48) + 0.5)
    pixels = np.stack([columns, rows], axis=-1).reshape(-1, 2)
    for index, projection in enumerate(projections):
        directions = pixel_directions(cameras, index).reshape(-1, 3) @ cameras.c2w[index, :, :3].T
        for depth in (0.5, 3.0):
            points = cameras.c2w[index, :, 3] + depth * directions
            np.testing.assert_allclose(projection(points), pixels, atol=1e-4)
            np.testing.assert_allclose(project(cameras, index, points)[0], pixels, atol=1e-4)
