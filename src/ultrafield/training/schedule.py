"""Adam and its learning rate, for steps that the host leads."""

from __future__ import annotations

import math
from inspect import unwrap

import torch
from torch import nn


class Adam(torch.optim.Adam):
    """`torch.optim.Adam` that is never compiled.

    PyTorch's own tells `torch.compile` to leave it alone, and imports all of that for it: two seconds in each process.
    """

    add_param_group = unwrap(torch.optim.Optimizer.add_param_group)
    state_dict = unwrap(torch.optim.Optimizer.state_dict)
    load_state_dict = unwrap(torch.optim.Optimizer.load_state_dict)
    zero_grad = unwrap(torch.optim.Optimizer.zero_grad)
    step = torch.no_grad()(unwrap(torch.optim.Adam.step))


def cosine_lr(optimizer: torch.optim.Optimizer, step: int, steps: int, *, floor: float) -> None:
    """Set each group's learning rate, which falls from `initial_lr` to the fraction `floor` of it along half a cosine.

    Args:
        optimizer: Its parameter groups have an `initial_lr`, as those of `adam`.
        step: Steps done before this one.
        steps: Number of steps in all.
        floor: Fraction of the initial rate at the end.
    """
    factor = floor + (1.0 - floor) * 0.5 * (1.0 + math.cos(math.pi * step / steps))
    for group in optimizer.param_groups:
        group["lr"] = group["initial_lr"] * factor


def adam(field: nn.Module, *, lr: float, beta2: float) -> Adam:
    """Fused Adam with β₁ 0.9 and ε 1e-15 on all parameters of a field."""
    group = {"params": list(field.parameters()), "lr": lr, "initial_lr": lr}
    return Adam([group], betas=(0.9, beta2), eps=1e-15, fused=True)
