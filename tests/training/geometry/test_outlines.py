"""Pixels along the outlines of masks, by trying every pixel."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch

from ultrafield.masks import build_mask_set
from ultrafield.scene import View
from ultrafield.training.geometry.outlines import Outlines
from ultrafield.training.geometry.trainer import HostGeometryTrainer

from .test_planes import cameras, masked_pixels, random
from .test_quadruples import HEIGHT, WIDTH, some_masks, without_masks


def along(masks: np.ndarray, reach: int) -> np.ndarray:
    """Whether a square around each pixel holds pixels of other masks [H, W]."""
    found = np.zeros(masks.shape[1:], bool)
    for row, column in np.ndindex(found.shape):
        around = masks[:, max(0, row - reach) : row + reach + 1, max(0, column - reach) : column + reach + 1]
        found[row, column] = (around != masks[:, row, column, None, None]).any()
    return found


def test_pixels_near_those_of_other_masks_are_drawn_all_alike():
    masks = some_masks()[[1]]
    views = [View("a", None, without_masks()), View("b", None, build_mask_set(masks)), View("c", None, None)]
    pool = masked_pixels(cameras(3), *views)
    outlines = Outlines.of(pool)
    expected = along(masks, 2).ravel().nonzero()[0]
    assert 60 < len(expected) < 120
    assert outlines.inside.tolist() == expected.tolist()
    drawn = outlines.draw(100 * len(expected), random())
    counts = torch.bincount(drawn, minlength=3 * HEIGHT * WIDTH).numpy()
    assert set(counts.nonzero()[0]) == set(expected + HEIGHT * WIDTH)
    assert counts[counts > 0].min() > 60


@pytest.mark.parametrize(("scale", "reach"), [(2, 1), (3, 1)])
def test_masks_may_be_smaller_than_the_pictures(scale, reach):
    masks = some_masks()
    outlines = Outlines.of(masked_pixels(cameras(1, scale=scale), View("a", None, build_mask_set(masks))))
    expected = along(masks, reach).repeat(scale, 0).repeat(scale, 1)
    assert outlines.inside.tolist() == expected.ravel().nonzero()[0].tolist()


def test_pixels_that_are_not_used_are_none_and_have_no_outline():
    used = np.ones((HEIGHT, WIDTH), bool)
    used[5:7, :8] = False
    masks = some_masks()[[1]]
    view = View("a", np.zeros((HEIGHT, WIDTH, 3), np.uint8), build_mask_set(masks), valid=used)
    outlines = Outlines.of(masked_pixels(cameras(1), view, valid=torch.from_numpy(used.ravel()).nonzero()[:, 0]))
    assert outlines.inside.tolist() == (along(masks, 2) & used).ravel().nonzero()[0].tolist()


def test_a_share_of_the_rays_is_drawn_there(balls, config):
    def share(wanted: float) -> float:
        settings = replace(config.geometry, outline_share=wanted)
        trainer = HostGeometryTrainer(balls, replace(config, geometry=settings), torch.device("cpu"))
        everywhere = trainer.pool.draw(20_000, trainer.generator)
        outlines = Outlines.of(trainer.masked)
        places = outlines.pool.starts[:-1].repeat_interleave(outlines.starts.diff()) + outlines.inside
        return float(torch.isin(trainer.along_outlines(everywhere), places).float().mean())

    usual = share(0.0)
    assert 0.1 < usual < 0.5
    assert share(0.25) == pytest.approx(0.25 + 0.75 * usual, abs=0.02)
    assert share(1.0) == 1.0


def test_a_scene_without_any_outline_is_trained_on_all_alike(balls, config):
    views = tuple(replace(view, masks=build_mask_set(np.ones((1, 24, 24), bool))) for view in balls.train)
    scene = replace(balls, splits={"train": replace(balls.train, views=views)})
    settings = replace(config, geometry=replace(config.geometry, outline_share=0.5))
    trainer = HostGeometryTrainer(scene, settings, torch.device("cpu"))
    pixels = torch.arange(100)
    assert torch.equal(trainer.along_outlines(pixels), pixels)
