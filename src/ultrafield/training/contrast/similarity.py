"""Scalar products of pairs of rows, with their gradient."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

from ...errors import check_shape


def pair_similarity(features: Tensor, pairs: Tensor, *, padded: bool = False) -> Tensor:
    """Scalar product of the two rows of each pair; the cosine if rows have unit length.

    Args:
        features: Rows [N, D], float32 or float64.
        pairs: Row indices [P, 2], int64, on the device of `features`.
        padded: Whether an index may be -1; such a pair has the similarity 0 and no gradient.

    Returns:
        [P], differentiable (once) in `features`. CPU tensors run through numba and CUDA tensors through Triton, which
        never copy the rows; others through plain PyTorch.

    Raises:
        ValueError: A shape is wrong, or an index is out of range. On CUDA, where looking would mean waiting for the
            device, such pairs count as padding instead.

    >>> pair_similarity(torch.eye(2), torch.tensor([[0, 0], [0, 1]])).tolist()
    [1.0, 0.0]
    """
    check_shape("features", features, (None, None))
    check_shape("pairs", pairs, (None, 2))
    if features.is_cuda:
        return _RowProducts.apply(features, pairs)
    products = _RowProducts.apply if features.device.type == "cpu" else pair_similarity_torch
    if _has_padding(pairs, len(features), padded):
        kept = (pairs >= 0).all(1).nonzero()[:, 0]
        return features.new_zeros(len(pairs)).index_copy(0, kept, products(features, pairs[kept]))
    return products(features, pairs)


def _has_padding(pairs: Tensor, rows: int, padded: bool) -> bool:
    """Whether any pair has an index of −1; checks the range, as compiled loops read whatever an index points to."""
    if len(pairs) == 0:
        return False
    low, high = (bound.item() for bound in pairs.aminmax())
    least = -1 if padded else 0
    if low < least or high >= rows:
        raise ValueError(f"pairs: expected row indices in [0, {rows}), found {low if low < least else high}")
    return low < 0


def pair_similarity_torch(features: Tensor, pairs: Tensor) -> Tensor:
    """`pair_similarity` in plain PyTorch, on any device."""
    # index_select because its gradient is a plain sum by rows, many times faster than that of indexing.
    return (features.index_select(0, pairs[:, 0]) * features.index_select(0, pairs[:, 1])).sum(1)


def take(values: Tensor, index: Tensor) -> Tensor:
    """Values at indices, many of which may be equal; 0 and no gradient where the index is -1.

    Args:
        values: [M].
        index: [P], int64 in [-1, M), on the device of `values`.

    Returns:
        [P], differentiable (on CUDA once) in `values`.
    """
    if values.is_cuda:
        return _Taken.apply(values, index)
    if len(values) == 0:
        return values.sum() * torch.ones_like(index, dtype=values.dtype)
    return torch.where(index >= 0, values.index_select(0, index.clamp(min=0)), 0)


class _Taken(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, values: Tensor, index: Tensor) -> Tensor:
        from .kernels.similarity_gpu import take_gpu

        ctx.save_for_backward(index)
        ctx.size = len(values)
        return take_gpu(values.detach(), index)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, None]:
        from .kernels.similarity_gpu import take_gradient_gpu

        (index,) = ctx.saved_tensors
        return take_gradient_gpu(index, gradient, ctx.size), None


class _RowProducts(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, features: Tensor, pairs: Tensor) -> Tensor:
        features, pairs = features.contiguous(), pairs.contiguous()
        ctx.save_for_backward(features, pairs)
        if features.is_cuda:
            from .kernels.similarity_gpu import similarity_gpu

            return similarity_gpu(features.detach(), pairs)
        from .kernels.similarity_cpu import similarity_cpu

        return torch.from_numpy(similarity_cpu(features.detach().numpy(), pairs.numpy()))

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, None]:
        features, pairs = ctx.saved_tensors
        if features.is_cuda:
            from .kernels.similarity_gpu import similarity_gradient_gpu

            return similarity_gradient_gpu(features.detach(), pairs, gradient), None
        from .kernels.similarity_cpu import similarity_gradient_cpu

        arrays = (features.detach().numpy(), pairs.numpy(), gradient.contiguous().numpy())
        return torch.from_numpy(similarity_gradient_cpu(*arrays)), None
