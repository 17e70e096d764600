"""Gradients that fall off towards the camera.

Source: Philip and Deschaintre, "Floaters No More: Radiance Field Gradient Scaling for Improved Near-Camera Training",
2023, section 4.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from ...field.model import RadianceField


def weaken_near(values: Tensor, distance: Tensor, field: RadianceField) -> Tensor:
    """The same values; their gradients are weakened near the camera by the square of the distance.

    The rays of a picture fan out, so that a place is sampled the more densely the nearer it lies to the camera, by the
    square of its distance. Without a counterweight, what one picture alone asks for right before its camera wins over
    what many pictures ask for where they look.

    Args:
        values: What samples have, [S] or [S, C].
        distance: How far samples lie from their cameras [S].
        field: What is trained; its setting `near_reach` says from which distance on gradients are whole.

    Returns:
        `values`, whose gradient is multiplied by min(1, (distance / near_reach)²); untouched unless `weakens_near`.
    """
    if not weakens_near(field):
        return values
    return _Weakened.apply(values, distance, field.config.near_reach)


def weakens_near(field: RadianceField) -> bool:
    """Whether gradients are weakened near cameras: never in a bounded scene, which they look at from outside."""
    return field.config.near_reach > 0 and not field.bounded


class _Weakened(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, values: Tensor, distance: Tensor, reach: float) -> Tensor:
        ctx.reach = reach
        ctx.save_for_backward(distance)
        return values.view_as(values)

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, None, None]:
        (distance,) = ctx.saved_tensors
        if gradient.is_cuda:
            from .kernels.near_gpu import weaken_gpu  # Triton exists only beside CUDA builds

            return weaken_gpu(gradient, distance, ctx.reach), None, None
        shares = (distance / ctx.reach).square().clamp(max=1.0)
        return gradient * (shares if gradient.ndim == 1 else shares[:, None]), None, None
