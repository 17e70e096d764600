"""Heights for a walk through a tree, from one segment to many, at an even pace."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from .condense import condense
from .substantial import substantial_size

if TYPE_CHECKING:
    from .tree import Tree


def sweep(tree: Tree, finest: float, steps: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Cuts that show more and more substantial segments, each new one as long as is due to its share.

    The logarithm of the number of segments rises evenly, as for automatic levels all orders of magnitude count alike.

    Args:
        tree: A merge tree.
        finest: Height of the cut with the most segments.
        steps: How far each cut is on its way from the whole tree (0) to the finest cut (1) [F].

    Returns:
        heights: Height of each cut [F], float64, amid those that show the same segments.
        counts: Number of substantial segments that it shows [F], int64.
    """
    condensed = condense(tree, substantial_size(tree))
    splits = np.sort(condensed.death[1:].astype(np.float64))[::-1][::2]  # both parts end where they are joined
    splits = splits[splits > finest]
    bounds = np.concatenate([[max(float(tree.heights[-1]), finest)], splits, [finest]])
    counts = np.floor(np.exp(np.clip(steps, 0.0, 1.0) * np.log(len(splits) + 1.0)) + 1e-9).astype(np.int64)
    heights = 0.5 * (bounds[counts - 1] + bounds[counts])
    heights[counts == 1] = bounds[0]
    heights[counts == len(splits) + 1] = finest
    return heights, counts
