"""Training of the feature field on cached surface samples, by contrast on the masks.

Source: He et al. 2024, sections 3.3 (hierarchical pairs) and 3.4 (ultrametric loss).
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import Tensor

from ...config import Config
from ...field.model import FeatureField, RadianceField
from ...field.volrend import accumulate, ray_indices
from ...scene import Scene
from ..checkpoint import fingerprint, goes_on, start_from
from ..contrast import euclidean_loss, sample_pairs, ultrametric_loss, unpack_membership
from ..contrast.mask_pool import MaskBatch, MaskPool, check_masks
from ..contrast.neighbors import border_evidence, neighbor_graph, neighbor_memberships, pixel_neighbors
from ..loop import run_steps
from ..pixels import PixelPool, pixel_pool
from ..schedule import Progress, adam, cosine_lr
from .surface_cache import PaddedCache, SurfaceCache, build_cache, build_padded_cache
from .vote_weights import VoteTable, vote_table

if TYPE_CHECKING:
    from ..cuda.features import DeviceFeatureTrainer


def fit_features(
    geometry: RadianceField,
    scene: Scene,
    config: Config,
    *,
    device: torch.device | str = "cpu",
    out: Path | None = None,
    initial: FeatureField | None = None,
    progress: bool = True,
) -> FeatureField:
    """Train a feature field on the surfaces of a finished radiance field.

    Args:
        geometry: Density and occupancy, not changed.
        scene: The scene it was trained on; every training view needs masks.
        config: `config.features` and the seed.
        device: Where to train.
        out: Run folder for log.jsonl and the state from which an interrupted training goes on.
        initial: Field to start from, of the same sizes; a random one if None.
        progress: Whether to show bars.

    Returns:
        The trained field, on `device`.

    Raises:
        SceneError: A training view has no masks.
        TrainingError: The loss is not finite.
        RunError: `initial` has other sizes.
    """
    trainer = _trainer(geometry, scene, config, torch.device(device), progress=progress)
    start_from(trainer.field, initial)
    run_steps(trainer, "features", config.features.steps, out=out, progress=progress)
    return trainer.field


def _trainer(
    geometry: RadianceField, scene: Scene, config: Config, device: torch.device, *, progress: bool
) -> _FeatureTrainer | DeviceFeatureTrainer:
    """What suits the device, with the surface cache that it reads."""
    check_masks(scene)
    pool, masks, settings = pixel_pool(scene, device), MaskPool(scene), config.features
    with Progress("surface cache", len(pool.colors), out=None, show=progress).bar() as advance:
        if device.type == "cuda":
            from ..cuda.features import DeviceFeatureTrainer
            from ..cuda.masks import DeviceMasks

            padded = build_padded_cache(geometry, pool, settings.samples_per_pixel, advance)
            votes, drawn = _votes(pool, masks, padded, config), DeviceMasks(masks, settings, device)
            return DeviceFeatureTrainer(pool, drawn, padded, votes, config, bounded=geometry.bounded, device=device)
        cache = build_cache(geometry, pool, settings.samples_per_pixel, advance)
    votes = _votes(pool, masks, cache, config)
    return _FeatureTrainer(pool, masks, cache, votes, config, bounded=geometry.bounded, device=device)


def _votes(pool: PixelPool, masks: MaskPool, cache: SurfaceCache | PaddedCache, config: Config) -> VoteTable | None:
    """What weighs comparisons; None if nothing does."""
    voxel = config.features.vote_voxel
    return None if voxel is None else vote_table(pool, masks, cache, voxel)


class _FeatureTrainer:
    """Everything that changes during training."""

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
    ) -> None:
        self.pool, self.masks, self.cache, self.votes, self.settings = pool, masks, cache, votes, config.features
        self.fingerprint = fingerprint(config.seed, config.geometry, config.features)
        generator = torch.Generator().manual_seed(config.seed)
        self.field = FeatureField(config.features, bounded=bounded, generator=generator).to(device)
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
        """One optimiser step; returns the losses."""
        settings = self.settings
        batch = self.masks.draw(settings.images, settings.pixels, settings.mask_balance, self.generator)
        rendered = self.render(torch.from_numpy(batch.pixels).to(self.field.device))
        losses = {"norm": settings.norm_weight * (rendered.norm(dim=1) - 1.0).square().mean()}
        losses |= self._contrast(torch.nn.functional.normalize(rendered, dim=1), batch)
        total = torch.stack(list(losses.values())).sum()
        cosine_lr(self.optimizer, step, settings.steps, floor=settings.lr_floor)
        self.optimizer.zero_grad(set_to_none=True)
        total.backward()
        self.optimizer.step()
        return losses

    def _contrast(self, features: Tensor, batch: MaskBatch) -> dict[str, Tensor]:
        settings, losses = self.settings, {}
        membership, image_of_mask = unpack_membership(batch.bits, batch.image_of_pixel, batch.masks_per_image)
        positions = batch.positions.reshape(len(batch.masks_per_image), -1, 2)
        neighbors = pixel_neighbors(positions, settings.neighbors)
        pairs = sample_pairs(
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
        if self.votes is not None:
            pairs = self.votes.weigh(torch.from_numpy(batch.pixels).to(self.field.device), pairs)
        if settings.euclidean_weight > 0:
            loss = euclidean_loss(features, pairs, temperature=settings.temperature)
            losses["euclidean"] = settings.euclidean_weight * loss
        if settings.ultrametric_weight > 0:
            edges = neighbor_graph(neighbors)
            loss = ultrametric_loss(
                features,
                pairs,
                edges,
                border_evidence(edges, batch.bits, settings.border_weighting),
                temperature=settings.temperature,
                border_penalty=settings.border_penalty,
                border_factor=settings.border_factor,
            )
            losses["ultrametric"] = settings.ultrametric_weight * loss
        return losses

    def state(self, step: int) -> dict[str, Any]:
        """All that `restore` needs to go on from `step` as if nothing had happened."""
        return {
            "stage": "features",
            "settings": self.fingerprint,
            "step": step,
            "field": self.field.state_dict(),
            "optimizer": self.optimizer.state_dict(),
            "generator": json.dumps(self.generator.bit_generator.state),
        }

    def restore(self, state: dict[str, Any] | None) -> int:
        """Go back to a saved state; returns the step to go on with."""
        if state is None or not goes_on(state, "features", self.fingerprint):
            return 0
        self.field.load_state_dict(state["field"])
        self.optimizer.load_state_dict(state["optimizer"])
        self.generator.bit_generator.state = json.loads(state["generator"])
        return int(state["step"])


def _near(batch: MaskBatch, neighbors: np.ndarray) -> np.ndarray:
    """Which pixels have a neighbour in each mask [M, N] bool, the masks of all pictures stacked."""
    near = neighbor_memberships(batch.bits, neighbors)
    return unpack_membership(near, batch.image_of_pixel, batch.masks_per_image)[0]
