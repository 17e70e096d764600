"""Depth smoothness: planes cost nothing, waves do, and quadruples stay inside one leaf mask."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from ultrafield.masks import build_mask_set
from ultrafield.training.smoothness import draw_quadruples, leaf_masks, smoothness_loss

PAPER = {"min_opacity": 0.9, "tolerance": 0.1}


def test_quadruples_lie_in_a_row_or_a_column_of_one_leaf_mask():
    masks = np.zeros((3, 12, 15), bool)
    masks[0, :, :] = True
    masks[1, 2:8, 3:9] = True
    masks[2, 9:11, 2:13] = True  # too flat for columns
    mask_set = build_mask_set(masks)
    assert leaf_masks(mask_set).tolist() == [1, 2]
    quadruples = draw_quadruples(mask_set, 16, torch.Generator().manual_seed(0))
    assert quadruples.shape == (3 * 16, 4)
    strides = quadruples.diff(dim=1)
    assert set(strides.flatten().tolist()) == {1, 15}
    assert bool((strides == strides[:, :1]).all())
    flat = masks.reshape(3, -1)[:, quadruples.numpy()]  # [3, Q, 4]
    assert (flat[1].all(1) | flat[2].all(1)).all()


def test_no_masks_no_quadruples():
    empty = build_mask_set(np.zeros((0, 8, 8), bool))
    assert draw_quadruples(empty, 16, torch.Generator()).shape == (0, 4)


def test_parabolas_are_free_and_waves_are_not():
    x = torch.arange(4.0)
    depth = torch.stack([1 + 0.1 * x, 1 + 0.05 * x**2, 1 + 0.2 * (x % 2)])
    opaque = torch.ones(3, 4)
    wave = abs(1.0 - 3 * 1.2 + 3 * 1.0 - 1.2) / (1.2 + 0.01) ** 3 - 0.1
    assert float(smoothness_loss(depth, opaque, **PAPER)) == pytest.approx(wave / 3, rel=1e-4)
    opaque[2, 1] = 0.5
    assert float(smoothness_loss(depth, opaque, **PAPER)) == pytest.approx(0, abs=1e-6)
    assert float(smoothness_loss(depth[2:], opaque[2:], **PAPER)) == 0
