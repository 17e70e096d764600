"""Gains of photographs that were exposed differently, learned together with the field."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from ...sharing import ALONE, Group

_WEIGHT = 1e-4  # of squared logarithms; a picture whose colours say something gives way by less than a hundredth


class Exposure(nn.Module):
    """A factor for each training view and colour channel, by which what is rendered is seen in its photograph.

    The geometric mean of all views' factors is 1 in each channel: a field that were brighter by as much as all gains
    are smaller would show the same pictures. Every process of a group has the gains of all views, and learns those of
    its own.

    Args:
        views: Number of training views V of the scene.
        group: The processes that share the training.

    Attributes:
        log_gains: Logarithms [V, 3], float32, up to a constant for each channel.
        own: Index of each view of this process, int64.
    """

    own: Tensor

    def __init__(self, views: int, group: Group = ALONE) -> None:
        super().__init__()
        self.log_gains = nn.Parameter(torch.zeros(views, 3))
        self.register_buffer("own", torch.arange(group.rank, views, group.size), persistent=False)

    def gains(self) -> Tensor:
        """Gains of all training views [V, 3], differentiable."""
        return self._centred().exp()

    def forward(self, views: Tensor) -> Tensor:
        """Gains [R, 3] of this process's views [R], differentiable."""
        # Not indexed with brackets, whose gradient is sorted first.
        return self.gains().index_select(0, self.own[views])

    def pull(self) -> Tensor:
        """The loss that keeps gains at 1 where no colours say anything else, weighted."""
        return _WEIGHT * self._centred().square().mean()

    def said(self) -> str:
        """How far apart the gains are."""
        gains = self.gains().detach()
        return f"gains of the photographs are between {float(gains.min()):.2f} and {float(gains.max()):.2f}"

    def _centred(self) -> Tensor:
        return self.log_gains - self.log_gains.mean(0)
