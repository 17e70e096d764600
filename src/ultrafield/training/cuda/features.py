"""Feature steps on a CUDA device: everything is drawn there, and a step is one CUDA graph."""

from __future__ import annotations

import torch
from torch import Tensor

from ...config import Config
from ...field.kernels.accumulate_gpu import accumulate_gpu
from ...field.kernels.hashgrid_gpu import encode_into_gpu
from ...field.model import to_unit_cube
from ...sharing import ALONE, Group
from ..contrast import Pairs
from ..features.base import FeatureTrainer
from ..features.losses import feature_losses
from ..features.surface_cache import PaddedCache
from ..features.vote_weights import VoteTable
from ..pixels import PixelPool
from .adam import FusedAdam
from .capture import CapturedStep, graph_pool
from .masks import DeviceBatch, DeviceMasks
from .update import Update


class DeviceFeatureTrainer(FeatureTrainer):
    """Feature training with steps of fixed shape.

    Args:
        pool: Training pixels.
        masks: Masks of the training views, on the device.
        cache: The surface samples of every pixel.
        votes: The votes of all views on comparisons; None weighs all comparisons alike.
        config: `config.features` and the seed.
        bounded: Whether the scene is bounded.
        device: A CUDA device; a CPU runs the same steps through Triton's interpreter, for tests.
        group: The processes that share the training.

    Attributes:
        table_grad: Gradient of the hash grid's table, cleared by the optimiser.
    """

    optimizer: FusedAdam
    generator: torch.Generator

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
        group: Group = ALONE,
    ) -> None:
        super().__init__(pool, votes, config, bounded=bounded, device=device, group=group)
        settings = self.settings
        self.masks, self.cache = masks, cache
        self.optimizer = FusedAdam(self.field, lr=settings.lr, beta2=settings.beta2, sparse=True)
        self.optimizer.set_schedule(settings.steps, settings.lr_floor)
        self.generator = torch.Generator(device=device).manual_seed(config.seed)
        table = self.field.grid.table
        self.update = Update(self.field, table, self.optimizer, group, weight=self.weight, generator=self.generator)
        self.table_grad = self.update.table_gradient
        self._step = CapturedStep(self._train, generator=self.generator, pool=graph_pool(device))

    def step(self, step: int) -> dict[str, Tensor]:
        """Do one optimiser step; returns the losses, valid until the next one."""
        losses = self._step()
        self.update.finish()
        return losses

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
        """Every loss of rendered features [N, D], not of unit length; weighted."""
        pairs = Pairs(batch.anchor, batch.positive, batch.negative, batch.valid)
        return feature_losses(
            rendered,
            self.weighed(batch.pixels, pairs),
            self._edges(batch) if self.settings.ultrametric_weight > 0 else None,
            batch.bits,
            self.settings,
            component_size=batch.positions.shape[1],
        )

    def _train(self) -> dict[str, Tensor]:
        batch = self.masks.draw(self.generator)
        losses = self.losses(self.render(batch.pixels), batch)
        self.update.backward(losses)
        return {name: value.detach() for name, value in losses.items()}

    def _edges(self, batch: DeviceBatch) -> Tensor:
        """Edges between neighbouring sampled pixels of one picture [E, 2]; most occur twice, which changes nothing."""
        images, count = batch.positions.shape[:2]
        nearest = batch.neighbors  # [B, n, k]
        first = torch.arange(images * count, device=nearest.device).view(images, count, 1)
        shifted = nearest + torch.arange(0, images * count, count, device=nearest.device)[:, None, None]
        second = torch.where(nearest >= 0, shifted, -1)
        return torch.stack([torch.where(nearest >= 0, first, -1), second], dim=-1).view(-1, 2)
