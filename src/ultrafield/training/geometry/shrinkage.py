"""Entries of a hash grid's fine levels that nothing holds up fade away.

Source: Loshchilov and Hutter, "Decoupled Weight Decay Regularization", 2019.
"""

from __future__ import annotations

import torch

from ...field.hashgrid import HashGrid

_COARSE = 64  # cells along an edge; levels with no more keep their entries


@torch.no_grad()
def shrink_fine_levels(grid: HashGrid, share: float) -> None:
    """Take a share off all entries of levels with more than 64 cells along an edge.

    What training keeps asking for comes back; where it asks for nothing, coarse levels remain, which are smooth.
    """
    layout = grid.layout
    fine = (layout.resolutions > _COARSE).nonzero()[0]
    if share > 0 and len(fine):
        grid.table[int(layout.offsets[fine[0]]) :].mul_(1.0 - share)
