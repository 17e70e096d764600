"""The end of a step on a CUDA device: gradients, those of other GPUs with them, and the optimiser.

A step of one GPU is a single graph. With several, the graph ends with the gradients, which the host then has added up;
what the optimiser does is a graph of its own. The gradients lie side by side, so that there is one sum a step.
"""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor, nn

from ...sharing import Group
from .adam import FusedAdam
from .capture import CapturedStep, graph_pool

_ALIGNED = 64  # entries; what lies side by side begins at whole cache lines


class Update:
    """Gradients of a field and what is done with them.

    Args:
        field: The field being trained.
        table: Its hash grid's table, whose gradient is added to a lasting buffer.
        optimizer: Adam on the field's parameters.
        group: The processes whose gradients are added up.
        weight: How much this process's losses count.
        generator: The generator of the steps.

    Attributes:
        table_gradient: Gradient of the table, cleared by the optimiser.
    """

    def __init__(
        self,
        field: nn.Module,
        table: nn.Parameter,
        optimizer: FusedAdam,
        group: Group,
        *,
        weight: float,
        generator: torch.Generator,
    ) -> None:
        self._optimizer, self._group, self._weight = optimizer, group, weight
        others = [] if group.alone else [value for value in field.parameters() if value is not table]
        sizes = [-(-value.numel() // _ALIGNED) * _ALIGNED for value in (table, *others)]
        self._all = torch.zeros(sum(sizes), device=table.device)
        parts = [part[: value.numel()] for part, value in zip(self._all.split(sizes), (table, *others), strict=True)]
        self.table_gradient, *rest = (part.view_as(value) for part, value in zip(parts, (table, *others), strict=True))
        self._others: list[tuple[Tensor, Tensor]] = list(zip(others, rest, strict=True))
        self._gradients: dict[Tensor, Tensor] = dict([(table, self.table_gradient), *self._others])
        self._step = CapturedStep(self._optimise, generator=generator, pool=graph_pool(table.device))

    def backward(self, losses: Mapping[str, Tensor]) -> None:
        """Differentiate the sum of the losses; with one GPU also do the optimiser's step. Part of a captured step."""
        self._optimizer.zero_grad()
        total = torch.stack(list(losses.values())).sum()
        if self._group.alone:
            total.backward()
            self._optimise()
            return
        (self._weight * total).backward()
        with torch.no_grad():
            for parameter, gradient in self._others:
                if parameter.grad is not None:
                    gradient.copy_(parameter.grad)

    def finish(self) -> None:
        """With several GPUs, add up the gradients and do the optimiser's step; to be called after a captured step."""
        if not self._group.alone:
            self._group.add_up(self._all)
            self._step()

    def _optimise(self) -> None:
        self._optimizer.step(self._gradients)
