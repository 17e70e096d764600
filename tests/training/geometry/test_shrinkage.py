"""Fine levels of a grid fade, coarse ones stay."""

from __future__ import annotations

import torch

from ultrafield.config import HashGridConfig
from ultrafield.field.hashgrid import HashGrid
from ultrafield.training.geometry.shrinkage import shrink_fine_levels


def test_only_levels_of_more_than_64_cells_shrink():
    config = HashGridConfig(levels=4, features=2, log2_entries=10, base_resolution=32, max_resolution=256)
    grid = HashGrid(config, generator=torch.Generator().manual_seed(0))
    assert grid.layout.resolutions.tolist() == [32, 64, 128, 256]
    before = grid.table.detach().clone()
    for step in range(31):
        shrink_fine_levels(grid, 0.25, step)
    first = int(grid.layout.offsets[2])
    torch.testing.assert_close(grid.table[:first], before[:first], rtol=0, atol=0)
    torch.testing.assert_close(grid.table[first:], 0.75**16 * before[first:])  # of 16 steps; the next 16 have not ended


def test_nothing_shrinks_without_a_share_or_without_fine_levels():
    for config, share in ((HashGridConfig(levels=2, max_resolution=64), 0.5), (HashGridConfig(), 0.0)):
        grid = HashGrid(config, generator=torch.Generator().manual_seed(0))
        before = grid.table.detach().clone()
        shrink_fine_levels(grid, share, 15)
        assert torch.equal(grid.table, before)
