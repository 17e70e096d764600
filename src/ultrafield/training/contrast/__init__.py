"""Contrastive learning on masks: comparisons between sampled pixels, and the losses on them."""

from __future__ import annotations

from .losses import contrastive_loss, euclidean_loss, ultrametric_loss
from .neighbors import border_crossings, border_shares, pixel_graph, pixel_neighbors
from .pairs import Pairs, sample_pairs, unpack_membership

__all__ = [
    "Pairs",
    "border_crossings",
    "border_shares",
    "contrastive_loss",
    "euclidean_loss",
    "pixel_graph",
    "pixel_neighbors",
    "sample_pairs",
    "ultrametric_loss",
    "unpack_membership",
]
