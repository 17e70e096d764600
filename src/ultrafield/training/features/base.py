"""Base of the feature trainers for every device."""

from __future__ import annotations

from abc import abstractmethod
from dataclasses import replace

import torch
from torch import Tensor

from ...config import Config, FeatureConfig
from ...field.model import FeatureField
from ...sharing import ALONE, Group
from ..checkpoint import settings_text
from ..contrast import Pairs
from ..loop import Trainer
from ..pixels import PixelPool
from .vote_weights import VoteTable


class FeatureTrainer(Trainer[FeatureField]):
    """A feature field, and the pixels and votes it is trained with.

    Args:
        pool: Training pixels.
        votes: The votes of all views on comparisons; None weighs all comparisons alike.
        config: `config.features` and the seed; `config.geometry` is part of `settings_text`.
        bounded: Whether the scene is bounded.
        device: Where to train.
        group: The processes that share the training; each takes its part of a step's pictures.

    Attributes:
        settings: `config.features`, with what this process takes of a step.
        weight: Part of a step's pictures that it takes; its losses count so much.
    """

    stage = "features"

    def __init__(
        self,
        pool: PixelPool,
        votes: VoteTable | None,
        config: Config,
        *,
        bounded: bool,
        device: torch.device,
        group: Group = ALONE,
    ) -> None:
        self.pool, self.votes, self.settings, self.group = pool, votes, feature_part(config.features, group), group
        self.weight = self.settings.images / max(config.features.images, group.size)
        self.settings_text = settings_text(config.seed, config.geometry, config.features)
        self.seed = config.seed
        generator = torch.Generator().manual_seed(config.seed)
        self.field = FeatureField(config.features, bounded=bounded, generator=generator).to(device)

    @abstractmethod
    def render(self, pixels: Tensor) -> Tensor:
        """Rendered features [N, D] of pool pixels [N], not of unit length."""

    def weighed(self, pixels: Tensor, pairs: Pairs) -> Pairs:
        """Comparisons between pool pixels [N] with the weights that the votes give them, if there are votes."""
        return pairs if self.votes is None else self.votes.weigh(pixels, pairs)


def feature_part(settings: FeatureConfig, group: Group) -> FeatureConfig:
    """The settings with what one process takes of a step; all steps stay.

    Each process takes some of the pictures with all of their pixels. Where a step has fewer pictures than there are
    processes, each takes one picture with its part of the pixels.
    """
    if group.alone:
        return settings
    if settings.images < group.size:
        return replace(settings, images=1, pixels=max(2, settings.pixels // group.size))
    images = settings.images // group.size + (group.rank < settings.images % group.size)
    return replace(settings, images=images, pixels=settings.pixels // settings.images * images)
