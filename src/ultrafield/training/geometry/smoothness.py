"""Depth smoothness inside leaf masks.

Source: He et al. 2024, section 3.2; the published recipe's numbers.
"""

from __future__ import annotations

import torch
from torch import Tensor

_DEPTH_FLOOR = 0.01


def smoothness_loss(depth: Tensor, opacity: Tensor, *, min_opacity: float, tolerance: float) -> Tensor:
    """Mean of max(0, |d₀ − 3 d₁ + 3 d₂ − d₃| / (max d + 0.01)³ − tolerance) over opaque quadruples.

    Args:
        depth: Expected z-depth [Q, 4], normalised units.
        opacity: [Q, 4]; a quadruple counts if all four exceed `min_opacity`.
        min_opacity: The paper's is 0.9.
        tolerance: Scaled third difference up to which the loss is 0; the paper's is 0.1.

    Returns:
        Scalar, differentiable in `depth`.
    """
    third = (depth[:, 0] - 3 * depth[:, 1] + 3 * depth[:, 2] - depth[:, 3]).abs()
    scale = (depth.detach().amax(1) + _DEPTH_FLOOR) ** 3
    excess = torch.relu(third / scale - tolerance)
    counts = (opacity.detach() > min_opacity).all(1)
    return torch.where(counts, excess, 0.0).sum() / counts.sum().clamp(min=1)
