"""The contrastive losses: on the similarity of a pair, and on the weakest link of the best path between the two.

All of this runs on the device of the features: on the CPU numba serves the graph operations and the similarities, the
rest is plain PyTorch. Index arrays may be NumPy arrays or tensors on any device.
"""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor
from torch.nn.functional import normalize

from ..errors import check_shape
from .boruvka import boruvka
from .minimax import minimax
from .pairs import Pairs
from .similarity import pair_similarity


def contrastive_loss(
    positive: Tensor,
    negative: Tensor,
    temperature: float,
    *,
    positive_valid: Tensor | None = None,
    negative_valid: Tensor | None = None,
) -> Tensor:
    """Mean cross-entropy of recognising each positive among its negatives.

    Args:
        positive: Similarity of each anchor to its positive [K].
        negative: Similarity to its negatives [K, n].
        temperature: Divides the similarities, > 0.
        positive_valid: [K] bool; comparisons without a valid positive are dropped.
        negative_valid: [K, n] bool; such negatives are dropped, and comparisons that keep none.

    Returns:
        Scalar, differentiable in both similarities; 0 if no comparison is left.

    Raises:
        ValueError: A shape is wrong or the temperature is not positive.

    >>> contrastive_loss(torch.tensor([0.0]), torch.tensor([[0.0]]), 0.1).item()  # ln 2: even chances
    0.6931471824645996
    """
    check_shape("positive", positive, (None,))
    check_shape("negative", negative, (len(positive), None))
    if not temperature > 0:
        raise ValueError(f"temperature: expected more than 0, got {temperature}")
    if negative_valid is not None:
        negative = negative.masked_fill(~negative_valid, -torch.inf)
    logits = torch.cat([positive[:, None], negative], dim=1) / temperature  # [K, 1 + n]
    losses = torch.logsumexp(logits, dim=1) - logits[:, 0]
    kept = torch.ones_like(losses, dtype=torch.bool) if positive_valid is None else positive_valid
    if negative_valid is not None:
        kept = kept & negative_valid.any(1)
    return torch.where(kept, losses, 0).sum() / kept.sum().clamp(min=1)


def euclidean_loss(features: Tensor, pairs: Pairs, *, temperature: float) -> Tensor:
    """Contrastive loss on the cosine similarity of each pair.

    Args:
        features: One feature per sampled pixel [N, D]; normalised here, so their length plays no role.
        pairs: Comparisons between the pixels.
        temperature: Divides the similarities; the paper's is 0.1.

    Returns:
        Scalar, differentiable in `features`; 0 without comparisons.

    Raises:
        ValueError: A shape is wrong or the temperature is not positive.
    """
    check_shape("features", features, (None, None))
    similarity = pair_similarity(_unit(features), _flat_pairs(pairs, features.device))
    positive, negative = _split(similarity, pairs)
    return contrastive_loss(positive, negative, temperature)


def ultrametric_loss(
    features: Tensor,
    pairs: Pairs,
    edges: Tensor | np.ndarray,
    crossings: Tensor | np.ndarray,
    *,
    temperature: float,
    border_penalty: float,
) -> Tensor:
    """Contrastive loss on the bottleneck similarity of each pair in a graph over neighbouring pixels.

    An edge is as long as one minus the cosine of its ends, plus `border_penalty` where it crosses a mask border. The
    path whose longest edge is shortest decides: the pair's similarity is the cosine of that edge's two ends, without
    the penalty, and the gradient flows to them alone. The positives and negatives are answered together.

    With masks that contradict each other between views this published term hardly learns: an edge is penalised in
    full as soon as one mask has its border there. `crossings` is therefore the seam for anything softer: pass weights.

    Args:
        features: One feature per sampled pixel [N, D]; normalised here. Half precision is computed in float32.
        pairs: Comparisons between the pixels. A pixel paired with itself has similarity 1; a positive without a path
            drops its comparison, a negative without a path only itself.
        edges: Graph over the pixels [E, 2], int64, from `pixel_graph`.
        crossings: Share of the penalty each edge gets [E], bool (from `border_crossings`) or float ≥ 0.
        temperature: Divides the similarities; the paper's is 0.1.
        border_penalty: Added to the length of crossing edges; the paper's 10 exceeds every cosine distance.

    Returns:
        Scalar, differentiable in `features`; 0 without comparisons, NaN if a feature at an edge is NaN.

    Raises:
        ValueError: A shape is wrong, an edge or pair is out of range, or the temperature is not positive.

    Source: H. He et al., "View-consistent hierarchical 3D segmentation using ultrametric feature fields", 2024.
    """
    check_shape("features", features, (None, None))
    device = features.device
    edges = torch.as_tensor(edges, device=device)
    crossings = torch.as_tensor(crossings, device=device)
    check_shape("crossings", crossings, (len(edges),))
    unit = _unit(features)
    ends = _flat_pairs(pairs, device)  # [P, 2] with P = K (1 + n)

    lengths = 1 - pair_similarity(unit.detach(), edges) + border_penalty * crossings
    broken = lengths.isnan().any()
    tree = boruvka(len(features), edges, lengths.nan_to_num(nan=torch.inf))
    limits = minimax(tree, ends, check=device.type == "cpu")
    linked = (limits >= 0) | (ends[:, 0] == ends[:, 1])

    # Where no edge limits a pair it is compared itself: a pixel with itself gives 1, and the rest is not `linked`.
    candidates = torch.cat([edges, ends])
    weakest = torch.where(limits >= 0, limits, len(edges) + torch.arange(len(ends), device=device))
    positive, negative = _split(pair_similarity(unit, candidates[weakest]), pairs)
    positive_valid, negative_valid = _split(linked, pairs)
    loss = contrastive_loss(
        positive, negative, temperature, positive_valid=positive_valid, negative_valid=negative_valid
    )
    return torch.where(broken, torch.nan, loss)  # a diverged field must not pass for a perfect one


def _unit(features: Tensor) -> Tensor:
    """Features of unit length, in at least float32."""
    wide = features.float() if features.dtype in (torch.float16, torch.bfloat16) else features
    return normalize(wide, dim=1)


def _flat_pairs(pairs: Pairs, device: torch.device) -> Tensor:
    """Each anchor with its positive and then with every negative [K (1 + n), 2]."""
    anchor, positive, negative = (
        torch.as_tensor(indices, device=device) for indices in (pairs.anchor, pairs.positive, pairs.negative)
    )
    others = torch.cat([positive[:, None], negative], dim=1)  # [K, 1 + n]
    return torch.stack([anchor[:, None].expand_as(others), others], dim=2).reshape(-1, 2)


def _split(values: Tensor, pairs: Pairs) -> tuple[Tensor, Tensor]:
    """Values of `_flat_pairs` as those of positives [K] and negatives [K, n]."""
    table = values.reshape(len(pairs), 1 + pairs.negative.shape[1])
    return table[:, 0], table[:, 1:]
