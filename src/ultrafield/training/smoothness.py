"""Depth smoothness inside leaf masks.

Source: He et al. 2024, section 3.2; the published recipe's numbers.
"""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from ..types import MaskSet

_DEPTH_FLOOR = 0.01


def leaf_masks(masks: MaskSet) -> np.ndarray:
    """Indices of the masks that hold no other mask."""
    return np.flatnonzero(~masks.inside.any(axis=0))


def draw_quadruples(masks: MaskSet, count: int, generator: torch.Generator) -> Tensor:
    """Row-major pixel indices [Q, 4] of four neighbours along a row or a column that lie in one leaf mask.

    `count` are drawn in each leaf mask and direction that has any.
    """
    width = masks.shape[1]
    starts = []
    for index in leaf_masks(masks):
        mask = masks.mask(int(index))
        for stride, runs in ((1, _runs(mask)), (width, _runs(mask.T).T)):
            found = np.flatnonzero(runs)
            if len(found):
                picks = torch.randint(len(found), (count,), generator=generator, device=generator.device).cpu()
                first = torch.from_numpy(found)[picks]
                starts.append(first[:, None] + stride * torch.arange(4))
    return torch.cat(starts) if starts else torch.zeros((0, 4), dtype=torch.int64)


def _runs(mask: np.ndarray) -> np.ndarray:
    """Pixels [H, W] at which a run of four mask pixels along the row begins."""
    runs = np.zeros_like(mask)
    runs[:, :-3] = mask[:, :-3] & mask[:, 1:-2] & mask[:, 2:-1] & mask[:, 3:]
    return runs


def smoothness_loss(depth: Tensor, opacity: Tensor, *, min_opacity: float, tolerance: float) -> Tensor:
    """Mean of max(0, |d₀ − 3 d₁ + 3 d₂ − d₃| / (max d + 0.01)³ − tolerance) over opaque quadruples.

    Args:
        depth: Expected z-depth [Q, 4], normalised units.
        opacity: [Q, 4]; quadruples with one at most `min_opacity` do not count.
        min_opacity: Least opacity; the paper's is 0.9.
        tolerance: Third difference that costs nothing; the paper's is 0.1.

    Returns:
        Scalar, differentiable in `depth`.
    """
    third = (depth[:, 0] - 3 * depth[:, 1] + 3 * depth[:, 2] - depth[:, 3]).abs()
    scale = (depth.detach().amax(1) + _DEPTH_FLOOR) ** 3
    excess = torch.relu(third / scale - tolerance)
    counts = (opacity.detach() > min_opacity).all(1)
    return torch.where(counts, excess, 0.0).sum() / counts.sum().clamp(min=1)
