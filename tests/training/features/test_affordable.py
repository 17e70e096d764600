"""Training views that shrink to the memory that may be taken."""

from __future__ import annotations

import numpy as np
import pytest

from ultrafield.cameras.projection import project
from ultrafield.scene import Scene
from ultrafield.training.contrast.mask_pool import MaskPool
from ultrafield.training.features.affordable import affordable


def test_views_that_fit_stay_as_they_are(balls: Scene):
    notes: list[str] = []
    assert affordable(balls, notes.append) is balls
    assert notes == []


def test_views_that_do_not_fit_shrink_by_a_whole_number(balls: Scene, monkeypatch: pytest.MonkeyPatch):
    pixels = 8 * 24 * 24
    monkeypatch.setattr("ultrafield.training.features.affordable.memory", lambda: 256 * pixels / 3)
    notes: list[str] = []
    small = affordable(balls, notes.append)
    assert len(notes) == 1
    assert "1/2 of their size" in notes[0]
    assert "--memory" in notes[0]
    assert MaskPool(small).starts[-1] == pixels // 4
    for view, old in zip(small.train, balls.train, strict=True):
        assert view.shape == view.masks.shape == (12, 12)
        assert np.abs(view.image.astype(int) - old.image.reshape(12, 2, 12, 2, 3).mean(axis=(1, 3))).max() <= 1
        shares = [masks.areas / np.prod(masks.shape) for masks in (view.masks, old.masks)]
        np.testing.assert_allclose(*shares, atol=0.05)
    points = np.random.default_rng(0).uniform(-0.2, 0.2, (20, 3))
    for index in range(8):
        cameras = (small.train.normalised_cameras, balls.train.normalised_cameras)
        new, old = (project(camera, index, points)[0] for camera in cameras)
        np.testing.assert_allclose(2 * new, old)
