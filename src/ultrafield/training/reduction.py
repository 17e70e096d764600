"""Gradients of several processes, for steps that the host leads."""

from __future__ import annotations

import torch
from torch import nn

from ..sharing import Group


def add_up_gradients(field: nn.Module, group: Group) -> None:
    """Give every parameter the sum of the gradients that it has in the processes of a group."""
    if group.alone:
        return
    for parameter in field.parameters():
        if parameter.grad is None:
            parameter.grad = torch.zeros_like(parameter)
        group.add_up(parameter.grad)
