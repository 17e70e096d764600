"""The losses of feature training, from the features that a step has rendered.

Source: He et al. 2024, sections 3.3 (Euclidean) and 3.4 (ultrametric).
"""

from __future__ import annotations

import numpy as np
from torch import Tensor

from ...config import FeatureConfig
from ..contrast import Pairs, euclidean_loss, ultrametric_loss
from ..contrast.neighbors import border_evidence


def feature_losses(
    rendered: Tensor,
    pairs: Pairs,
    edges: Tensor | np.ndarray | None,
    bits: Tensor | np.ndarray,
    settings: FeatureConfig,
    *,
    component_size: int | None = None,
) -> dict[str, Tensor]:
    """Every loss of a step, weighted.

    Args:
        rendered: Features [N, D] of the sampled pixels, not of unit length.
        pairs: Comparisons between them.
        edges: Graph over neighbouring pixels [E, 2], int64; may be None if the ultrametric loss has no weight.
        bits: Packed memberships of the pixels [N, W]: NumPy uint64, or a tensor as int64; of the kind of `edges`.
        settings: Weights and temperature.
        component_size: Most pixels that edges connect, if known.

    Returns:
        "norm", "euclidean" and "ultrametric", scalars, differentiable in `rendered`; a contrastive loss of weight 0 is
        left out.
    """
    losses = {"norm": settings.norm_weight * (rendered.norm(dim=1) - 1.0).square().mean()}
    if settings.euclidean_weight > 0:
        loss = euclidean_loss(rendered, pairs, temperature=settings.temperature)
        losses["euclidean"] = settings.euclidean_weight * loss
    if settings.ultrametric_weight > 0:
        assert edges is not None
        loss = ultrametric_loss(
            rendered,
            pairs,
            edges,
            border_evidence(edges, bits, settings.border_weighting),  # type: ignore[type-var]
            temperature=settings.temperature,
            border_penalty=settings.border_penalty,
            border_factor=settings.border_factor,
            component_size=component_size,
        )
        losses["ultrametric"] = settings.ultrametric_weight * loss
    return losses
