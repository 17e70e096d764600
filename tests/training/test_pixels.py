"""Pools of pixels and masks: what is drawn belongs where it says."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch

from ultrafield.cameras import pixel_directions
from ultrafield.scene import Photograph
from ultrafield.training.contrast.mask_pool import MaskPool
from ultrafield.training.geometry.poses import LR, PUBLISHED_LR, PoseRefinement
from ultrafield.training.pixels import pixel_pool


def test_pixels_find_their_view_and_color(balls):
    pool = pixel_pool(balls, torch.device("cpu"))
    pixels = pool.draw(200, torch.Generator().manual_seed(0))
    views, inner = pool.locate(pixels)
    for pixel, view, index in zip(pixels.tolist(), views.tolist(), inner.tolist(), strict=True):
        image = balls.train.views[view].image
        assert pool.colors[pixel].tolist() == image.reshape(-1, 3)[index].tolist()
    assert len(views.unique()) == 8


def test_photographs_are_used_at_their_own_size_where_asked_for(balls):
    height, width = balls.train.views[0].shape
    rng = np.random.default_rng(0)
    large = [rng.integers(0, 256, (2 * height, 2 * width, 3)).astype(np.uint8) for _ in balls.train]
    used = np.ones((2 * height, 2 * width), bool)
    used[0] = False
    photographs = [Photograph(large[0], valid=used), *(Photograph(image) for image in large[1:])]
    views = tuple(
        replace(view, photograph=photograph) for view, photograph in zip(balls.train, photographs, strict=True)
    )
    scene = replace(balls, splits={"train": replace(balls.train, views=views)})
    pool = pixel_pool(scene, torch.device("cpu"), full_size=True)
    assert torch.equal(pool.colors, torch.from_numpy(np.concatenate(large).reshape(-1, 3)))
    assert len(pool.valid) == len(pool.colors) - 2 * width
    cameras = balls.train.normalised_cameras
    _, directions, _ = pool.rays.rays(torch.tensor([3]), torch.tensor([5 * 2 * width + 7]))
    expected = pixel_directions(cameras.resized(cameras.sizes * 2), 3)[5, 7] @ cameras.c2w[3, :, :3].T
    np.testing.assert_allclose(directions[0], expected / np.linalg.norm(expected), atol=1e-6)
    assert len(pixel_pool(scene, torch.device("cpu")).colors) == 8 * height * width


def test_one_picture_at_a_time(balls):
    pool = pixel_pool(balls, torch.device("cpu"))
    views, _ = pool.locate(pool.draw(100, torch.Generator().manual_seed(0), same_image=True))
    assert len(views.unique()) == 1


def test_ignored_pixels_are_never_drawn(balls):
    views = list(balls.train.views)
    used = np.zeros(views[3].shape, bool)
    used[5:9, 2:4] = True
    views[3] = replace(views[3], valid=used)
    scene = replace(balls, splits={"train": replace(balls.train, views=tuple(views))})
    pool = pixel_pool(scene, torch.device("cpu"))
    where, inner = pool.locate(pool.draw(4000, torch.Generator().manual_seed(0)))
    assert used.reshape(-1)[inner[where == 3].numpy()].all()
    assert len(where.unique()) == 8
    assert len(pool.valid) == len(pool.colors) - used.size + used.sum()


def test_drawn_pixels_carry_their_masks(balls):
    batch = MaskPool(balls).draw(3, 300, 0.5, np.random.default_rng(0))
    pool = pixel_pool(balls, torch.device("cpu"))
    views, inner = pool.locate(torch.from_numpy(batch.pixels))
    assert len(batch.pixels) == 300
    for row in range(300):
        masks = balls.train.views[int(views[row])].masks
        assert batch.bits[row].tolist() == masks.bits.reshape(-1, 1)[int(inner[row])].tolist()
        column, line = batch.positions[row]
        assert int(inner[row]) == line * masks.shape[1] + column
    assert len(batch.masks_per_image) == 3
    assert max(max(chain) for chain in batch.chains) < sum(batch.masks_per_image)


def test_balance_favours_small_masks(balls):
    pool = MaskPool(balls)
    held = [
        np.mean(np.any(pool.draw(1, 2000, balance, np.random.default_rng(0)).bits, axis=1)) for balance in (0.0, 0.5)
    ]
    assert held[1] > 0.5 > held[0]


def test_refinement_starts_at_the_given_poses_and_follows_its_gradient(balls):
    start = torch.from_numpy(balls.train.normalised_cameras.c2w).float()
    refinement = PoseRefinement(start)
    torch.testing.assert_close(refinement.poses(), start)
    (refinement.poses()[:, :, 3] ** 2).sum().backward()
    refinement.step(9, 100)  # the field is not to be believed yet
    torch.testing.assert_close(refinement.poses(), start)
    refinement.step(10, 100)
    moved = refinement.poses().detach()
    assert bool((moved[:, :, 3].norm(dim=1) < start[:, :, 3].norm(dim=1)).all())
    rotations = moved[:, :, :3]
    torch.testing.assert_close(rotations @ rotations.mT, torch.eye(3).expand(8, 3, 3), atol=1e-5, rtol=0)


@pytest.mark.parametrize(("lr", "first", "last"), [(LR, LR, 0.02 * LR), (PUBLISHED_LR, PUBLISHED_LR, PUBLISHED_LR)])
def test_the_rate_of_refinement_falls_but_the_published_one(balls, lr, first, last):
    start = torch.from_numpy(balls.train.normalised_cameras.c2w).float()
    for step, expected in ((10, first), (99, last)):
        refinement = PoseRefinement(start, lr)
        refinement.poses()[:, :, 3].sum().backward()
        refinement.step(step, 100)
        moved = (refinement.poses() - start)[:, :, 3].abs().mean().item()
        assert moved == pytest.approx(expected, rel=0.05, abs=3e-7)
