"""Contrastive losses on the similarity of a pair, and on the weakest edge of the best path between the two.

Everything runs on the device of the features: graph operations and similarities in numba on the CPU and in Triton on
CUDA, the rest in plain PyTorch. Index arrays may be NumPy arrays or tensors on any device. If all are CUDA tensors
nothing waits for the device, and a loss with its gradient can be captured in a CUDA graph.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor
from torch.nn.functional import normalize

from ...errors import check_shape
from ...ultrametric.boruvka import rounds_needed
from ...ultrametric.bottlenecks import bottlenecks
from ...ultrametric.minimax import check_pair_values
from .pairs import Pairs
from .similarity import pair_similarity, take


def contrastive_loss(
    positive: Tensor,
    negative: Tensor,
    temperature: float,
    *,
    positive_valid: Tensor | None = None,
    negative_valid: Tensor | None = None,
    weight: Tensor | None = None,
) -> Tensor:
    """Mean cross-entropy of recognising each positive among its negatives.

    Args:
        positive: Similarity of each anchor to its positive [K].
        negative: Similarity to its negatives [K, n].
        temperature: Divides the similarities, > 0.
        positive_valid: [K] bool; comparisons without a valid positive are dropped.
        negative_valid: [K, n] bool; such negatives are dropped, and comparisons that keep none.
        weight: Weight of each negative [K, n], ≥ 0, not differentiable: those of weight 0 are dropped too, and a
            comparison is weighted by the mean over its negatives. None weighs all alike.

    Returns:
        Scalar, differentiable in both similarities; 0 if no comparison is left, or none that has a weight.

    Raises:
        ValueError: A shape is wrong or the temperature is not positive.

    >>> contrastive_loss(torch.tensor([0.0]), torch.tensor([[0.0]]), 0.1).item()  # ln 2: even chances
    0.6931471824645996
    """
    check_shape("positive", positive, (None,))
    check_shape("negative", negative, (len(positive), None))
    if not temperature > 0:
        raise ValueError(f"temperature: expected more than 0, got {temperature}")
    if weight is not None:
        check_shape("weight", weight, tuple(negative.shape))
        negative_valid = weight > 0 if negative_valid is None else negative_valid & (weight > 0)
    if negative_valid is not None:
        negative = negative.masked_fill(~negative_valid, -torch.inf)
    logits = torch.cat([positive[:, None], negative], dim=1) / temperature  # [K, 1 + n]
    losses = torch.logsumexp(logits, dim=1) - logits[:, 0]
    kept = torch.ones_like(losses, dtype=torch.bool) if positive_valid is None else positive_valid
    if negative_valid is not None:
        kept = kept & negative_valid.any(1)
    if weight is None:
        return torch.where(kept, losses, 0).sum() / kept.sum().clamp(min=1)
    counted = torch.where(kept, weight.mean(1), 0)
    total = torch.where(kept, counted * losses, 0).sum()
    return total / counted.sum().clamp(min=torch.finfo(counted.dtype).tiny)


def euclidean_loss(features: Tensor, pairs: Pairs, *, temperature: float) -> Tensor:
    """Contrastive loss on the cosine similarity of each pair.

    Args:
        features: One feature per sampled pixel [N, D]; normalised here, so their length plays no role.
        pairs: Comparisons between the pixels; those that are not valid are dropped.
        temperature: Divides the similarities; the paper's is 0.1.

    Returns:
        Scalar, differentiable in `features`; 0 without comparisons.

    Raises:
        ValueError: A shape is wrong or the temperature is not positive.
    """
    check_shape("features", features, (None, None))
    valid = _valid(pairs, features.device)
    similarity = pair_similarity(_unit(features), flat_pairs(pairs, features.device), padded=valid is not None)
    positive, negative = split_pairs(similarity, pairs)
    weight = _weight(pairs, features.device)
    return contrastive_loss(positive, negative, temperature, positive_valid=valid, weight=weight)


def ultrametric_loss(
    features: Tensor,
    pairs: Pairs,
    edges: Tensor | np.ndarray,
    crossings: Tensor | np.ndarray,
    *,
    temperature: float,
    border_penalty: float,
    border_factor: float = 0.0,
    component_size: int | None = None,
) -> Tensor:
    """Contrastive loss on the bottleneck similarity of each pair in a graph over neighbouring pixels.

    The length of an edge is one minus the cosine of its ends. An edge that crosses a mask border is longer: by
    `border_factor` times its own length, and by the constant `border_penalty`. Among all paths between a pair, the one
    whose longest edge is shortest decides: the pair's similarity is the cosine of that edge's two ends, without the
    additions for borders, and the gradient flows to these two alone. Positives and negatives are answered together.

    The published term adds 10 to every edge that crosses any border. Where masks contradict each other, even perfect
    features then look bad: the edge that limits a pair of two parts may be one inside a part at which some mask ends,
    of cosine 1. A factor leaves edges at their length 0 where features agree; docs/method.md has the figures.

    Args:
        features: One feature per sampled pixel [N, D]; normalised here. Half precision is computed in float32.
        pairs: Comparisons between the pixels; those that are not valid are dropped. A pixel paired with itself has
            similarity 1; a positive without a path drops its comparison, a negative without a path only itself.
        edges: Graph over the pixels [E, 2], int64, from `pixel_graph` or `pixel_neighbors`; an edge with an index of
            -1 is padding. No edge may join a pixel with itself, and edges may repeat.
        crossings: Extent to which each edge crosses a border [E], bool (from `border_crossings`) or float ≥ 0 (such as
            from `border_shares`); multiplies the penalty and the factor.
        temperature: Divides the similarities; the paper's is 0.1.
        border_penalty: Added to the length of crossing edges, ≥ 0; the paper's 10 exceeds every cosine distance.
        border_factor: Multiple of its own length that is added to a crossing edge, ≥ 0; 0 in the paper.
        component_size: Largest number of pixels that edges connect, such as those of one picture, if known; saves
            launches on CUDA.

    Returns:
        Scalar, differentiable in `features`; 0 without comparisons, NaN if a feature at an edge is NaN.

    Raises:
        ValueError: A shape is wrong, the temperature is not positive, or, on the CPU, an edge or pair is out of range;
            on CUDA, where looking would mean waiting for the device, these count as padding.

    Source: H. He et al., "View-consistent hierarchical 3D segmentation using ultrametric feature fields", 2024.
    """
    check_shape("features", features, (None, None))
    device = features.device
    edges = torch.as_tensor(edges, device=device)
    crossings = torch.as_tensor(crossings, device=device)
    check_shape("crossings", crossings, (len(edges),))
    unit = _unit(features)
    valid = _valid(pairs, device)
    ends = flat_pairs(pairs, device)  # [P, 2] with P = K (1 + n)
    if device.type == "cpu" and valid is None:
        check_pair_values(len(features), ends)

    rounds = None if component_size is None else rounds_needed(component_size)
    borders = _Borders(1 + border_factor * crossings, border_penalty * crossings)
    similarity, linked, broken = _compare(unit, edges, borders, ends, rounds)
    positive, negative = split_pairs(similarity, pairs)
    positive_valid, negative_valid = split_pairs(linked, pairs)
    loss = contrastive_loss(
        positive,
        negative,
        temperature,
        positive_valid=positive_valid,
        negative_valid=negative_valid,
        weight=_weight(pairs, device),
    )
    return torch.where(broken, torch.nan, loss)  # a diverged field must not pass for a perfect one


@dataclass(frozen=True, eq=False)
class _Borders:
    """Effect of mask borders on the lengths of edges: factor [E] and addend [E]."""

    stretch: Tensor
    penalty: Tensor

    def lengths(self, similarity: Tensor) -> Tensor:
        """Lengths of edges [E] from the cosines of their ends [E]."""
        return (1 - similarity) * self.stretch + self.penalty


def _compare(
    unit: Tensor, edges: Tensor, borders: _Borders, ends: Tensor, rounds: int | None
) -> tuple[Tensor, Tensor, Tensor]:
    """Bottleneck similarity of each pair [P], whether there is one [P], and whether any length is NaN, a scalar.

    A few edges limit most pairs, so each edge's similarity is computed and differentiated once, however many it limits.
    On CUDA, gradients summed by atomics would make thousands of pairs queue for the same rows.
    """
    own = torch.arange(len(unit), device=unit.device)[:, None].expand(-1, 2)
    similarity = pair_similarity(unit, torch.cat([edges, own]), padded=True)  # [E + N]
    lengths = borders.lengths(similarity[: len(edges)].detach())
    limits, broken = _limits(len(unit), edges, lengths, ends, rounds)
    itself = torch.where(ends[:, 0] == ends[:, 1], len(edges) + ends[:, 0], -1)
    weakest = torch.where(limits >= 0, limits, itself).masked_fill(ends[:, 0] < 0, -1)
    return take(similarity, weakest), weakest >= 0, broken


def _limits(num_pixels: int, edges: Tensor, lengths: Tensor, ends: Tensor, rounds: int | None) -> tuple[Tensor, Tensor]:
    """Limiting edge of each pair [P], and whether any length is NaN."""
    check = edges.device.type == "cpu"
    finite = lengths.nan_to_num(nan=torch.inf)
    return bottlenecks(num_pixels, edges, finite, ends, rounds=rounds, check=check), lengths.isnan().any()


def _unit(features: Tensor) -> Tensor:
    """Features of unit length, in at least float32."""
    wide = features.float() if features.dtype in (torch.float16, torch.bfloat16) else features
    return normalize(wide, dim=1)


def _valid(pairs: Pairs, device: torch.device) -> Tensor | None:
    if pairs.valid is None:
        return None
    check_shape("pairs.valid", pairs.valid, (len(pairs),))
    return torch.as_tensor(pairs.valid, device=device)


def _weight(pairs: Pairs, device: torch.device) -> Tensor | None:
    return None if pairs.weight is None else torch.as_tensor(pairs.weight, device=device)


def flat_pairs(pairs: Pairs, device: torch.device) -> Tensor:
    """Pairs of each anchor with its positive and then with every negative [K (1 + n), 2]; -1 where not valid."""
    anchor, positive, negative = (
        torch.as_tensor(indices, device=device) for indices in (pairs.anchor, pairs.positive, pairs.negative)
    )
    others = torch.cat([positive[:, None], negative], dim=1)  # [K, 1 + n]
    table = torch.stack([anchor[:, None].expand_as(others), others], dim=2)  # [K, 1 + n, 2]
    valid = _valid(pairs, device)
    if valid is not None:
        table = torch.where(valid[:, None, None], table, -1)
    return table.reshape(-1, 2)


def split_pairs(values: Tensor, pairs: Pairs) -> tuple[Tensor, Tensor]:
    """Split values of `flat_pairs` [K (1 + n)] into those of positives [K] and of negatives [K, n]."""
    table = values.reshape(len(pairs), 1 + pairs.negative.shape[1])
    return table[:, 0], table[:, 1:]
