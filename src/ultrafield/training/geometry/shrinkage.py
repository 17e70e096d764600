"""Entries of a hash grid's fine levels that nothing holds up fade away.

Source: Loshchilov and Hutter, "Decoupled Weight Decay Regularization", 2019.
"""

from __future__ import annotations

import torch

from ...field.hashgrid import HashGrid

_COARSE = 64  # cells along an edge; levels with no more keep their entries
_EVERY = 16  # steps, as each time costs a pass over the table


@torch.no_grad()
def shrink_fine_levels(grid: HashGrid, share: float, step: int) -> None:
    """Take a share for every step off all entries of levels with more than 64 cells along an edge, 16 steps at once.

    What training keeps asking for comes back; where it asks for nothing, coarse levels remain, which are smooth.

    Args:
        grid: The grid.
        share: What a step takes, in [0, 1).
        step: The step that was just done, from 0 on; those of the last 16 are taken by the last one of them.
    """
    if share <= 0 or (step + 1) % _EVERY:
        return
    layout = grid.layout
    fine = (layout.resolutions > _COARSE).nonzero()[0]
    if len(fine):
        grid.table[int(layout.offsets[fine[0]]) :].mul_((1.0 - share) ** _EVERY)
