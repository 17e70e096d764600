"""Depth smoothness: planes cost nothing, waves do."""

from __future__ import annotations

import pytest
import torch

from ultrafield.training.geometry.smoothness import smoothness_loss

PAPER = {"min_opacity": 0.9, "tolerance": 0.1}


def test_parabolas_are_free_and_waves_are_not():
    x = torch.arange(4.0)
    depth = torch.stack([1 + 0.1 * x, 1 + 0.05 * x**2, 1 + 0.2 * (x % 2)])
    opaque = torch.ones(3, 4)
    wave = abs(1.0 - 3 * 1.2 + 3 * 1.0 - 1.2) / (1.2 + 0.01) ** 3 - 0.1
    assert float(smoothness_loss(depth, opaque, **PAPER)) == pytest.approx(wave / 3, rel=1e-4)
    opaque[2, 1] = 0.5
    assert float(smoothness_loss(depth, opaque, **PAPER)) == pytest.approx(0, abs=1e-6)
    assert float(smoothness_loss(depth[2:], opaque[2:], **PAPER)) == 0
