"""Draws of pixels from the masks of all views."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from ultrafield.masks import build_mask_set
from ultrafield.scene import Split
from ultrafield.training.contrast.mask_pool import MaskPool
from ultrafield.training.contrast.mask_share import MaskShare


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


@pytest.mark.parametrize("size", [(1, 1), (16, 16), (50, 41)])
def test_pixels_are_picked_as_from_the_whole_running_sum(monkeypatch: pytest.MonkeyPatch, size: tuple[int, int]):
    monkeypatch.setattr("ultrafield.training.contrast.mask_share._AT_ONCE", 512)
    generator = np.random.default_rng(0)
    masks = generator.random((70, *size)) < 0.1
    masks[:, 0, 0] = True
    share, sums = np.zeros(size), masks.sum(axis=(1, 2))
    for mask, area in zip(masks, sums, strict=True):
        share[mask] += 1.0 / area
    whole, parts = np.cumsum(share), MaskShare(build_mask_set(masks))
    np.testing.assert_array_equal(parts.sums(), whole)
    chances = generator.random(2000)
    np.testing.assert_array_equal(parts.pick(chances), np.searchsorted(whole, chances * whole[-1], side="right"))
