"""Base of the feature trainers for every device."""

from __future__ import annotations

from abc import abstractmethod

import torch
from torch import Tensor

from ...config import Config
from ...field.model import FeatureField
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

    Attributes:
        settings: `config.features`.
    """

    stage = "features"

    def __init__(
        self, pool: PixelPool, votes: VoteTable | None, config: Config, *, bounded: bool, device: torch.device
    ) -> None:
        self.pool, self.votes, self.settings = pool, votes, config.features
        self.settings_text = settings_text(config.seed, config.geometry, config.features)
        generator = torch.Generator().manual_seed(config.seed)
        self.field = FeatureField(config.features, bounded=bounded, generator=generator).to(device)

    @abstractmethod
    def render(self, pixels: Tensor) -> Tensor:
        """Rendered features [N, D] of pool pixels [N], not of unit length."""

    def weighed(self, pixels: Tensor, pairs: Pairs) -> Pairs:
        """Comparisons between pool pixels [N] with the weights that the votes give them, if there are votes."""
        return pairs if self.votes is None else self.votes.weigh(pixels, pairs)
