"""Draws of pixels from the masks of all views."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from ultrafield.masks import build_mask_set
from ultrafield.scene import Split
from ultrafield.training.contrast.mask_pool import MaskPool


def test_views_in_which_no_mask_was_found_are_drawn_too(balls):
    none = build_mask_set(np.zeros((0, 24, 24), bool))
    assert none.bits.shape == (24, 24, 0)
    views = (replace(balls.train.views[0], masks=none), balls.train.views[1])
    pool = MaskPool(replace(balls, splits={"train": Split(views, balls.train.cameras[:2])}))
    batch = pool.draw(2, 100, 0.5, np.random.default_rng(0))
    empty = batch.masks_per_image.index(0)
    assert not batch.bits[batch.image_of_pixel == empty].any()
    assert batch.bits[batch.image_of_pixel != empty].any()
    assert len(batch.pixels) == 100
