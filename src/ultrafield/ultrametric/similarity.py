"""Scalar products of pairs of rows, with their gradient."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

from ..errors import check_shape


def pair_similarity(features: Tensor, pairs: Tensor) -> Tensor:
    """Scalar product of the two rows of each pair; the cosine if rows have unit length.

    Args:
        features: Rows [N, D], float32 or float64.
        pairs: Row indices [P, 2], int64, on the device of `features`.

    Returns:
        [P], differentiable (once) in `features`. CPU tensors run through numba, which never copies the rows and is
        about ten times as fast there; others through plain PyTorch.

    Raises:
        ValueError: A shape is wrong, or an index is out of range (elsewhere than on the CPU PyTorch reports it).

    >>> pair_similarity(torch.eye(2), torch.tensor([[0, 0], [0, 1]])).tolist()
    [1.0, 0.0]
    """
    check_shape("features", features, (None, None))
    check_shape("pairs", pairs, (None, 2))
    if features.device.type == "cpu":
        _check_range(pairs, len(features))
        return _RowProducts.apply(features, pairs)
    return pair_similarity_torch(features, pairs)


def _check_range(pairs: Tensor, rows: int) -> None:
    """Compiled loops read whatever an index points to, so that it must be checked first."""
    if len(pairs):
        low, high = pairs.min().item(), pairs.max().item()
        if low < 0 or high >= rows:
            raise ValueError(f"pairs: expected row indices in [0, {rows}), found {low if low < 0 else high}")


def pair_similarity_torch(features: Tensor, pairs: Tensor) -> Tensor:
    """`pair_similarity` in plain PyTorch, on any device."""
    # index_select because its gradient is a plain sum by rows, many times faster than that of indexing.
    return (features.index_select(0, pairs[:, 0]) * features.index_select(0, pairs[:, 1])).sum(1)


class _RowProducts(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, features: Tensor, pairs: Tensor) -> Tensor:
        from .kernels.similarity_cpu import similarity_cpu

        features, pairs = features.contiguous(), pairs.contiguous()
        ctx.save_for_backward(features, pairs)
        return torch.from_numpy(similarity_cpu(features.detach().numpy(), pairs.numpy()))

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, None]:
        from .kernels.similarity_cpu import similarity_gradient_cpu

        features, pairs = ctx.saved_tensors
        arrays = (features.detach().numpy(), pairs.numpy(), gradient.contiguous().numpy())
        return torch.from_numpy(similarity_gradient_cpu(*arrays)), None
