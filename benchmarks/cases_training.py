"""What a training step does beside the field: Adam on the table, and the draw of pixels and comparisons."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import torch
from lib.case import SECTOR, Case, Check, Op, Outputs, Setup
from torch import Tensor

from ultrafield.cameras import Cameras, Similarity
from ultrafield.config import FeatureConfig, HashGridConfig, preset
from ultrafield.field.hashgrid import HashGrid
from ultrafield.masks import build_mask_set
from ultrafield.scene import Scene, Split, View
from ultrafield.training.contrast import sample_pairs, unpack_membership
from ultrafield.training.contrast.mask_pool import MaskPool

_TOUCHED = 0.4  # share of the table's rows with a gradient
_LR, _BETA1, _BETA2, _EPS = 1e-2, 0.9, 0.99, 1e-15
_VIEWS, _MASKS = 8, 60


def cases(setup: Setup) -> Iterator[Case]:
    """Every operation of this kind that exists on the device."""
    grid = HashGridConfig(2, 4, 8, 4, 16) if setup.quick else preset("standard").geometry.grid
    if setup.triton:
        size = f"{grid.levels} levels of up to 2^{grid.log2_entries} × {grid.features}, {_TOUCHED:.0%} of rows touched"
        yield Case("Adam on the table", size, lambda: _adam(setup, grid))
    settings = FeatureConfig(images=2, pixels=200) if setup.quick else preset("standard").features
    size = f"{settings.images} × {settings.pixels // settings.images:,} pixels, {_MASKS} masks each"
    make = _draw_on_device if setup.triton else _draw
    yield Case("draw of pixels and pairs", size, lambda: make(setup, settings))


class _Field(torch.nn.Module):
    """A field that is all table."""

    def __init__(self, config: HashGridConfig) -> None:
        super().__init__()
        self.grid = HashGrid(config, generator=torch.Generator().manual_seed(0))


def _adam(setup: Setup, config: HashGridConfig) -> Op:
    from ultrafield.training.cuda.adam import FusedAdam

    field = _Field(config).to(setup.device)
    table = field.grid.table
    optimizer = FusedAdam(field, lr=_LR, beta2=_BETA2, sparse=True)
    touched = setup.uniform(len(table), seed=1) < _TOUCHED
    gradient = setup.normal(*table.shape, seed=2) * touched[:, None]
    buffer, before = gradient.clone(), table.detach().clone()

    def run() -> Outputs:
        optimizer.step({table: buffer})
        return table.detach(), buffer

    def check(outputs: Outputs) -> list[Check]:
        """After three steps with gradients of different sizes, the first of which is that of `outputs`."""
        gradients = [gradient, -0.3 * gradient, 2.0 * gradient]
        cleared = Check(outputs[1].clone(), torch.zeros_like(buffer), 0.0)
        for following in gradients[1:]:
            buffer.copy_(following)
            run()
        return [cleared, Check(table, _plain_adam(before, gradients), 1e-5)]

    # Every gradient is read; where there is one, so are parameter and moments, and all four are written.
    sectors = _sectors(gradient)
    moved = gradient.numel() * 4 + 7 * sectors * SECTOR
    return Op(run, check, bytes=moved, prepare=lambda: buffer.copy_(gradient))


def _sectors(gradient: Tensor) -> int:
    """Sectors of 32 bytes of which any entry is not zero."""
    flat = (gradient != 0).flatten()
    spare = -len(flat) % (SECTOR // 4)
    return int(torch.nn.functional.pad(flat, (0, spare)).view(-1, SECTOR // 4).any(1).sum())


def _plain_adam(table: Tensor, gradients: list[Tensor]) -> Tensor:
    """Adam in float64; entries without a gradient stay as they are."""
    value = table.double()
    average, square = torch.zeros_like(value), torch.zeros_like(value)
    for step, gradient in enumerate(gradients, start=1):
        g = gradient.double()
        average = torch.where(g != 0, _BETA1 * average + (1 - _BETA1) * g, average)
        square = torch.where(g != 0, _BETA2 * square + (1 - _BETA2) * g * g, square)
        root = (square / (1 - _BETA2**step)).sqrt() + _EPS
        value = torch.where(g != 0, value - _LR * average / (1 - _BETA1**step) / root, value)
    return value


def _pool(setup: Setup) -> MaskPool:
    """Pictures of random rectangles, many inside of others."""
    size = 48 if setup.quick else 400
    generator = np.random.default_rng(0)
    views = []
    for index in range(_VIEWS):
        masks = np.zeros((_MASKS, size, size), bool)
        for mask in masks:
            (top, left), (height, width) = generator.integers(0, size - 4, 2), generator.integers(4, size // 2, 2)
            mask[top : top + height, left : left + width] = True
        views.append(View(f"r_{index}", masks=build_mask_set(masks)))
    poses = np.tile(np.eye(4)[:3], (_VIEWS, 1, 1))
    cameras = Cameras.pinhole(poses, np.array([size, size, size / 2, size / 2]), np.array([size, size]))
    scene = Scene(
        "rectangles", Path("rectangles"), "blender-hs", {"train": Split(tuple(views), cameras)}, Similarity(), None
    )
    return MaskPool(scene)


def _checks(
    pool: MaskPool, pixels: Tensor, bits: Tensor, anchor: Tensor, positive: Tensor, negative: Tensor
) -> list[Check]:
    """Memberships are the masks', and some mask holds anchor and positive of each comparison but not its negatives."""
    table = np.concatenate([masks.bits.reshape(-1, pool.words) for masks in pool.sets])
    wanted = torch.from_numpy(table.view(np.int64)[pixels.cpu().numpy()])
    held = bits[anchor] & bits[positive]  # [K, W]
    apart = (held[:, None] & ~bits[negative]).any(2)  # [K, n]
    some = torch.tensor(len(anchor) > 0)
    return [
        Check((bits.cpu() != wanted).sum(), torch.tensor(0), 0.0),
        Check(apart, torch.ones_like(apart), 0.0),
        Check(some, torch.ones_like(some), 0.0),
    ]


def _draw(setup: Setup, settings: FeatureConfig) -> Op:
    pool, generator = _pool(setup), np.random.default_rng(1)

    def run() -> Outputs:
        batch = pool.draw(settings.images, settings.pixels, settings.mask_balance, generator)
        membership, image_of_mask = unpack_membership(batch.bits, batch.image_of_pixel, batch.masks_per_image)
        pairs = sample_pairs(
            membership,
            batch.image_of_pixel,
            image_of_mask,
            batch.chains,
            pairs_per_mask=settings.pairs_per_mask,
            negatives=settings.negatives,
            hierarchical=settings.hierarchical,
            min_pixels=settings.min_pixels,
            generator=generator,
            min_uncovered=settings.min_uncovered,
        )
        arrays = (batch.pixels, batch.bits.view(np.int64), pairs.anchor, pairs.positive, pairs.negative)
        return tuple(torch.from_numpy(array) for array in arrays)

    return Op(run, lambda outputs: _checks(pool, *outputs), bytes=_draw_bytes(run()))


def _draw_on_device(setup: Setup, settings: FeatureConfig) -> Op:
    from ultrafield.training.cuda.masks import DeviceMasks

    pool, generator = _pool(setup), setup.generator(1)
    masks = DeviceMasks(pool, settings, setup.device)

    def run() -> Outputs:
        batch = masks.draw(generator)
        return batch.pixels, batch.bits, batch.anchor, batch.positive, batch.negative, batch.valid

    def check(outputs: Outputs) -> list[Check]:
        *drawn, valid = outputs
        pixels, bits, anchor, positive, negative = drawn
        return _checks(pool, pixels, bits, anchor[valid], positive[valid], negative[valid])

    return Op(run, check, bytes=_draw_bytes(run()))


def _draw_bytes(outputs: Outputs) -> int:
    """What is drawn, written once; memberships are read too."""
    return sum(output.numel() * output.element_size() for output in outputs) + outputs[1].numel() * 8
