"""Training of the feature field on a CUDA device: all is drawn there, and a step is one CUDA graph."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from ...config import Config
from ...field.kernels.accumulate_gpu import accumulate_gpu
from ...field.kernels.hashgrid_gpu import encode_into_gpu
from ...field.model import FeatureField, to_unit_cube
from ..checkpoint import fingerprint, goes_on
from ..contrast import euclidean_loss, ultrametric_loss
from ..contrast.neighbors import border_evidence
from ..contrast.pairs import Pairs
from ..features.surface_cache import PaddedCache
from ..features.vote_weights import VoteTable
from ..pixels import PixelPool
from .adam import FusedAdam
from .capture import CapturedStep
from .masks import DeviceBatch, DeviceMasks


class DeviceFeatureTrainer:
    """Everything that changes during training.

    Args:
        pool: Training pixels.
        masks: The views' masks on the device.
        cache: The samples that make up each pixel.
        votes: What weighs comparisons; None weighs all alike.
        config: `config.features` and the seed.
        bounded: Whether the scene is.
        device: A CUDA device; a CPU runs the same steps through Triton's interpreter, for tests.
    """

    def __init__(
        self,
        pool: PixelPool,
        masks: DeviceMasks,
        cache: PaddedCache,
        votes: VoteTable | None,
        config: Config,
        *,
        bounded: bool,
        device: torch.device,
    ) -> None:
        settings = config.features
        self.pool, self.masks, self.cache, self.votes, self.settings = pool, masks, cache, votes, settings
        self.fingerprint = fingerprint(config.seed, config.geometry, settings)
        generator = torch.Generator().manual_seed(config.seed)
        self.field = FeatureField(settings, bounded=bounded, generator=generator).to(device)
        self.optimizer = FusedAdam(self.field, lr=settings.lr, beta2=settings.beta2, sparse=True)
        self.optimizer.set_schedule(settings.steps, settings.lr_floor)
        self.generator = torch.Generator(device=device).manual_seed(config.seed)
        self.table_grad = torch.zeros_like(self.field.grid.table)
        memory = torch.cuda.graph_pool_handle() if device.type == "cuda" else None
        self._step = CapturedStep(self._train, generator=self.generator, pool=memory)

    def step(self, step: int) -> dict[str, Tensor]:
        """One optimiser step; returns the losses, valid until the next one."""
        return self._step()

    def render(self, pixels: Tensor) -> Tensor:
        """Rendered features [N, D] of pool pixels [N], not of unit length."""
        grid, count = self.field.grid, self.cache.t.shape[1]
        t, weights = self.cache.t[pixels], self.cache.weights[pixels]  # [N, C]
        origins, directions, _ = self.pool.rays.rays(*self.pool.locate(pixels))
        positions = (origins[:, None] + t[..., None] * directions[:, None]).reshape(-1, 3)
        unit = to_unit_cube(positions, bounded=self.field.bounded)
        encoded = encode_into_gpu(unit, grid.table, grid.layout, self.table_grad)
        offsets = torch.arange(0, t.numel() + 1, count, device=t.device)
        hidden = accumulate_gpu(weights.reshape(-1), self.field.decode(encoded), offsets)
        return self.field.finish(hidden, weights.sum(1))

    def losses(self, rendered: Tensor, batch: DeviceBatch) -> dict[str, Tensor]:
        """Every loss of rendered features [N, D], not of unit length."""
        settings = self.settings
        losses = {"norm": settings.norm_weight * (rendered.norm(dim=1) - 1.0).square().mean()}
        features = torch.nn.functional.normalize(rendered, dim=1)
        pairs = Pairs(batch.anchor, batch.positive, batch.negative, batch.valid)
        if self.votes is not None:
            pairs = self.votes.weigh(batch.pixels, pairs)
        if settings.euclidean_weight > 0:
            loss = euclidean_loss(features, pairs, temperature=settings.temperature)
            losses["euclidean"] = settings.euclidean_weight * loss
        if settings.ultrametric_weight > 0:
            edges = self._edges(batch)
            loss = ultrametric_loss(
                features,
                pairs,
                edges,
                border_evidence(edges, batch.bits, settings.border_weighting),
                temperature=settings.temperature,
                border_penalty=settings.border_penalty,
                border_factor=settings.border_factor,
                component_size=batch.positions.shape[1],
            )
            losses["ultrametric"] = settings.ultrametric_weight * loss
        return losses

    def _train(self) -> dict[str, Tensor]:
        batch = self.masks.draw(self.generator)
        losses = self.losses(self.render(batch.pixels), batch)
        self.optimizer.zero_grad()
        torch.stack(list(losses.values())).sum().backward()
        self.optimizer.step({self.field.grid.table: self.table_grad})
        return {name: value.detach() for name, value in losses.items()}

    def _edges(self, batch: DeviceBatch) -> Tensor:
        """Neighbouring sampled pixels of one picture [E, 2]; most of them twice, which changes nothing."""
        images, count = batch.positions.shape[:2]
        nearest = batch.neighbors  # [B, n, k]
        first = torch.arange(images * count, device=nearest.device).view(images, count, 1)
        shifted = nearest + torch.arange(0, images * count, count, device=nearest.device)[:, None, None]
        second = torch.where(nearest >= 0, shifted, -1)
        return torch.stack([torch.where(nearest >= 0, first, -1), second], dim=-1).view(-1, 2)

    def state(self, step: int) -> dict[str, Any]:
        """All that `restore` needs to go on from `step`."""
        return {
            "stage": "features",
            "settings": self.fingerprint,
            "step": step,
            "field": self.field.state_dict(),
            "optimizer": self.optimizer.state_dict(),
            "generator": self.generator.get_state(),
        }

    def restore(self, state: dict[str, Any] | None) -> int:
        """Go back to a saved state; returns the step to go on with."""
        if state is None or not goes_on(state, "features", self.fingerprint):
            return 0
        self.field.load_state_dict(state["field"])
        self.optimizer.load_state_dict(state["optimizer"])
        self.generator.set_state(state["generator"])
        return int(state["step"])
