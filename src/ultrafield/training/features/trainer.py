"""Feature steps led by the host, on cached surface samples.

Source: He et al. 2024, sections 3.3 (hierarchical pairs) and 3.4 (ultrametric loss).
"""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from ...config import Config
from ...field.volrend import accumulate, ray_indices
from ...sharing import ALONE, Group
from ..contrast import Pairs, sample_pairs, unpack_membership
from ..contrast.mask_pool import MaskBatch, MaskPool
from ..contrast.neighbors import neighbor_graph, neighbor_memberships, pixel_neighbors
from ..pixels import PixelPool
from ..reduction import add_up_gradients
from ..schedule import adam, cosine_lr
from .base import FeatureTrainer
from .losses import feature_losses
from .surface_cache import SurfaceCache
from .vote_weights import VoteTable


class HostFeatureTrainer(FeatureTrainer):
    """Steps for the CPU, which draw pixels and comparisons with NumPy.

    Args:
        pool: Training pixels.
        masks: Masks of the training views.
        cache: The surface samples of every pixel.
        votes: The votes of all views on comparisons; None weighs all comparisons alike.
        config: `config.features` and the seed.
        bounded: Whether the scene is bounded.
        device: Where to train.
        group: The processes that share the training.
    """

    optimizer: torch.optim.Adam
    generator: np.random.Generator

    def __init__(
        self,
        pool: PixelPool,
        masks: MaskPool,
        cache: SurfaceCache,
        votes: VoteTable | None,
        config: Config,
        *,
        bounded: bool,
        device: torch.device,
        group: Group = ALONE,
    ) -> None:
        super().__init__(pool, votes, config, bounded=bounded, device=device, group=group)
        self.masks, self.cache = masks, cache
        self.optimizer = adam(self.field, lr=config.features.lr, beta2=config.features.beta2)
        self.generator = np.random.default_rng(config.seed)

    def render(self, pixels: Tensor) -> Tensor:
        """Rendered features [N, D] of pool pixels [N], not of unit length."""
        offsets, t, weights = self.cache.gather(pixels)
        rays_o, rays_d, _ = self.pool.rays.rays(*self.pool.locate(pixels))
        rays = ray_indices(offsets, len(t))
        hidden = self.field.hidden(rays_o[rays] + t[:, None] * rays_d[rays])
        ones = torch.ones_like(weights)[:, None]
        weight_sum = accumulate(weights, ones, offsets)[:, 0]
        return self.field.finish(accumulate(weights, hidden, offsets), weight_sum)

    def step(self, step: int) -> dict[str, Tensor]:
        """Do one optimiser step; returns the losses."""
        settings = self.settings
        batch = self.masks.draw(settings.images, settings.pixels, settings.mask_balance, self.generator)
        pixels = torch.from_numpy(batch.pixels).to(self.field.device)
        positions = batch.positions.reshape(len(batch.masks_per_image), -1, 2)
        neighbors = pixel_neighbors(positions, settings.neighbors)
        rendered = self.render(pixels)
        pairs = self.weighed(pixels, self._draw_pairs(batch, neighbors))
        edges = neighbor_graph(neighbors) if settings.ultrametric_weight > 0 else None
        losses = feature_losses(rendered, pairs, edges, batch.bits, settings)
        total = torch.stack(list(losses.values())).sum()
        cosine_lr(self.optimizer, step, settings.steps, floor=settings.lr_floor)
        self.optimizer.zero_grad(set_to_none=True)
        (total if self.group.alone else self.weight * total).backward()
        add_up_gradients(self.field, self.group)
        self.optimizer.step()
        return losses

    def _draw_pairs(self, batch: MaskBatch, neighbors: np.ndarray) -> Pairs:
        """Comparisons between the pixels of a step, from the masks that hold them."""
        settings = self.settings
        membership, image_of_mask = unpack_membership(batch.bits, batch.image_of_pixel, batch.masks_per_image)
        return sample_pairs(
            membership,
            batch.image_of_pixel,
            image_of_mask,
            batch.chains,
            pairs_per_mask=settings.pairs_per_mask,
            negatives=settings.negatives,
            hierarchical=settings.hierarchical,
            min_pixels=settings.min_pixels,
            min_uncovered=settings.min_uncovered,
            generator=self.generator,
            near=_near(batch, neighbors) if settings.border_negatives else None,
        )


def _near(batch: MaskBatch, neighbors: np.ndarray) -> np.ndarray:
    """Which pixels have a neighbour in each mask [M, N] bool, the masks of all pictures stacked."""
    near = neighbor_memberships(batch.bits, neighbors)
    return unpack_membership(near, batch.image_of_pixel, batch.masks_per_image)[0]
