"""Small perceptrons and the spherical harmonics of viewing directions."""

from __future__ import annotations

from itertools import pairwise
from typing import Any

import torch
from torch import Tensor, nn

SPHERICAL_CHANNELS = 16
_FUSED_WIDTH = 128  # widest layer that the Triton kernel takes; wider networks are left to cuBLAS


class Mlp(nn.Module):
    """Linear layers with ReLU between them, without biases.

    Args:
        widths: Channels of input, hidden layers and output.
        generator: Source of the initial weights (He et al. 2015, uniform).
    """

    def __init__(self, widths: list[int], *, generator: torch.Generator) -> None:
        super().__init__()
        self.weights = nn.ParameterList()
        for fan_in, fan_out in pairwise(widths):
            bound = (6.0 / fan_in) ** 0.5
            self.weights.append(nn.Parameter((torch.rand(fan_out, fan_in, generator=generator) * 2 - 1) * bound))

    def forward(self, x: Tensor, live: Tensor | None = None, *, final_relu: bool = False) -> Tensor:
        """Map rows to rows.

        Args:
            x: [S, widths[0]], float32.
            live: How many rows are real [1], int64; all if None. The other rows of the result are undefined.
            final_relu: Whether a ReLU follows the last layer.

        Returns:
            [S, widths[-1]].
        """
        weights = list(self.weights)
        if x.is_cuda and max(max(weight.shape) for weight in weights) <= _FUSED_WIDTH:
            from .kernels.mlp_gpu import mlp_gpu  # Triton exists only beside CUDA builds

            return mlp_gpu(x, weights, final_relu=final_relu, live=live)
        for index, weight in enumerate(weights):
            x = nn.functional.linear(x if index == 0 else torch.relu_(x), weight)
        return torch.relu_(x) if final_relu else x


def spherical_harmonics(directions: Tensor) -> Tensor:
    """Real spherical harmonics up to degree 3 of unit directions [R, 3]: [R, 16], orthonormal on the sphere."""
    if directions.is_cuda and not directions.requires_grad:  # only the refinement of poses has gradients of them
        from .kernels.harmonics_gpu import harmonics_gpu  # Triton exists only beside CUDA builds

        return harmonics_gpu(directions)
    x, y, z = directions.unbind(-1)
    xx, yy, zz = x * x, y * y, z * z
    return torch.stack(
        [
            torch.full_like(x, 0.28209479),
            0.48860251 * y,
            0.48860251 * z,
            0.48860251 * x,
            1.09254843 * x * y,
            1.09254843 * y * z,
            0.31539157 * (3 * zz - 1),
            1.09254843 * x * z,
            0.54627422 * (xx - yy),
            0.59004359 * y * (3 * xx - yy),
            2.89061144 * x * y * z,
            0.45704580 * y * (5 * zz - 1),
            0.37317633 * z * (5 * zz - 3),
            0.45704580 * x * (5 * zz - 1),
            1.44530572 * z * (xx - yy),
            0.59004359 * x * (xx - 3 * yy),
        ],
        dim=-1,
    )


class _TruncatedExp(torch.autograd.Function):
    """exp whose gradient is bounded, so that one very dense sample cannot throw the optimiser off."""

    @staticmethod
    def forward(ctx: Any, x: Tensor) -> Tensor:
        ctx.save_for_backward(x)
        return torch.exp(x.clamp(max=15.0))

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> Tensor:
        (x,) = ctx.saved_tensors
        return grad * torch.exp(x.clamp(-15.0, 15.0))


def truncated_exp(x: Tensor) -> Tensor:
    """exp(x) for x ≤ 15, constant beyond; the gradient is exp of x clamped to ±15."""
    return _TruncatedExp.apply(x)
