"""Scalar products of pairs of rows, and their gradient, on the GPU without copies of the rows."""

from __future__ import annotations

import torch
import triton
import triton.language as tl
from torch import Tensor

from ....ultrametric.kernels.pairs_gpu import both_within, load_pairs

_TILE = 16384  # bytes of either row of its pairs that one program holds


def similarity_gpu(features: Tensor, pairs: Tensor) -> Tensor:
    """Scalar product of the two rows of each pair [P]; 0 where an index is not that of a row (padding)."""
    products = torch.empty(len(pairs), dtype=features.dtype, device=features.device)
    if len(pairs):
        features, pairs = features.contiguous(), pairs.contiguous()
        grid, sizes = _launch(features, pairs)
        _products_kernel[grid](features, pairs, products, len(features), len(pairs), **sizes)
    return products


def similarity_gradient_gpu(features: Tensor, pairs: Tensor, gradient: Tensor) -> Tensor:
    """Gradient with respect to the features [N, D], from that with respect to the products [P].

    Pairs with an index that is not that of a row, or with a gradient of 0, cost next to nothing. Sums are made by
    atomics, so that their order, and thus the last bits, may differ between calls.
    """
    result = torch.zeros_like(features, memory_format=torch.contiguous_format)
    if len(pairs):
        features, pairs, gradient = features.contiguous(), pairs.contiguous(), gradient.contiguous()
        grid, sizes = _launch(features, pairs)
        _gradient_kernel[grid](features, pairs, gradient, result, len(features), len(pairs), **sizes)
    return result


def take_gpu(values: Tensor, index: Tensor) -> Tensor:
    """Values [M] at indices [P]; 0 where the index is not within [0, M)."""
    taken = torch.empty(len(index), dtype=values.dtype, device=values.device)
    if len(index):
        values, index = values.contiguous(), index.contiguous()
        _take_kernel[(triton.cdiv(len(index), 256),)](values, index, taken, len(values), len(index), BLOCK=256)
    return taken


def take_gradient_gpu(index: Tensor, gradient: Tensor, size: int) -> Tensor:
    """Sum of the gradients [P] that arrive at each of `size` values."""
    result = torch.zeros(size, dtype=gradient.dtype, device=gradient.device)
    if len(index):
        index, gradient = index.contiguous(), gradient.contiguous()
        _take_gradient_kernel[(triton.cdiv(len(index), 256),)](index, gradient, result, size, len(index), BLOCK=256)
    return result


def _launch(features: Tensor, pairs: Tensor) -> tuple[tuple[int], dict[str, int]]:
    """The grid and the tile: as many pairs per program as keep its loads in flight without spills."""
    channels = features.shape[1]
    width = triton.next_power_of_2(max(channels, 1))
    block = max(min(_TILE // (width * features.element_size()), 64), 1)
    return (triton.cdiv(len(pairs), block),), {"CHANNELS": channels, "WIDTH": width, "PAIRS": block}


@triton.jit
def _products_kernel(
    features, pairs, products, num_rows, num_pairs, CHANNELS: tl.constexpr, WIDTH: tl.constexpr, PAIRS: tl.constexpr
):
    index = tl.program_id(0).to(tl.int64) * PAIRS + tl.arange(0, PAIRS)
    first, second = load_pairs(pairs, index, index < num_pairs)
    kept = both_within(first, second, num_rows)
    channel = tl.arange(0, WIDTH)[None, :]
    mask = kept[:, None] & (channel < CHANNELS)
    a = tl.load(features + first[:, None] * CHANNELS + channel, mask=mask, other=0.0)
    b = tl.load(features + second[:, None] * CHANNELS + channel, mask=mask, other=0.0)
    tl.store(products + index, tl.sum(a * b, axis=1), mask=index < num_pairs)


@triton.jit
def _gradient_kernel(
    features,
    pairs,
    gradient,
    result,
    num_rows,
    num_pairs,
    CHANNELS: tl.constexpr,
    WIDTH: tl.constexpr,
    PAIRS: tl.constexpr,
):
    index = tl.program_id(0).to(tl.int64) * PAIRS + tl.arange(0, PAIRS)
    first, second = load_pairs(pairs, index, index < num_pairs)
    scale = tl.load(gradient + index, mask=index < num_pairs, other=0.0)
    kept = both_within(first, second, num_rows) & (scale != 0.0)
    channel = tl.arange(0, WIDTH)[None, :]
    mask = kept[:, None] & (channel < CHANNELS)
    place_a = first[:, None] * CHANNELS + channel
    place_b = second[:, None] * CHANNELS + channel
    a = tl.load(features + place_a, mask=mask, other=0.0)
    b = tl.load(features + place_b, mask=mask, other=0.0)
    tl.atomic_add(result + place_a, scale[:, None] * b, mask=mask, sem="relaxed")
    tl.atomic_add(result + place_b, scale[:, None] * a, mask=mask, sem="relaxed")


@triton.jit
def _take_kernel(values, index, taken, num_values, num_taken, BLOCK: tl.constexpr):
    place = tl.program_id(0).to(tl.int64) * BLOCK + tl.arange(0, BLOCK)
    source = tl.load(index + place, mask=place < num_taken, other=-1)
    value = tl.load(values + source, mask=(source >= 0) & (source < num_values), other=0.0)
    tl.store(taken + place, value, mask=place < num_taken)


@triton.jit
def _take_gradient_kernel(index, gradient, result, num_values, num_taken, BLOCK: tl.constexpr):
    place = tl.program_id(0).to(tl.int64) * BLOCK + tl.arange(0, BLOCK)
    source = tl.load(index + place, mask=place < num_taken, other=-1)
    scale = tl.load(gradient + place, mask=place < num_taken, other=0.0)
    kept = (source >= 0) & (source < num_values) & (scale != 0.0)
    tl.atomic_add(result + source, scale, mask=kept, sem="relaxed")
