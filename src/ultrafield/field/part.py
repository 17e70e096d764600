"""A part of a radiance field: what some of its surface's points stand for, with all else taken away."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor, nn

from .model import RadianceField
from .occupancy import OccupancyGrid

_MOST_CELLS = 1 << 26  # of the grid that tells the part
_AT_ONCE = 1 << 20  # cells that are looked at together


class PartialField(RadianceField):
    """The same field, transparent wherever a grid of cells says so.

    It shares parameters with the whole field, and has no background of its own: pixels that show nothing are black.

    Args:
        whole: The field.
        low: Corner of the grid [3], normalised frame.
        cell: Edge of a cell.
        kept: Which cells stay as they are [X, Y, Z] bool; outside of the grid all is transparent.
    """

    low: Tensor
    kept: Tensor

    def __init__(self, whole: RadianceField, low: np.ndarray, cell: float, kept: np.ndarray) -> None:
        nn.Module.__init__(self)
        self.whole, self.config, self.bounded = whole, whole.config, whole.bounded
        self.grid, self.density_mlp, self.color_mlp = whole.grid, whole.density_mlp, whole.color_mlp
        self.level_set = whole.level_set
        self.register_buffer("edges", whole.edges)
        self.register_buffer("train_poses", whole.train_poses)
        self.register_buffer("background", torch.zeros_like(whole.background))
        self.register_buffer("low", torch.tensor(low, dtype=torch.float32, device=whole.device))
        self.register_buffer("kept", torch.from_numpy(np.ascontiguousarray(kept)).to(whole.device))
        self.cell = cell
        self.occupancy = self._occupancy(whole.occupancy)

    def geometry(self, positions: Tensor, encoded: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """As of the whole field, with density 0 outside of the part."""
        sigma, vectors = self.whole.geometry(positions, encoded)
        return sigma * self.holds(positions), vectors

    def holds(self, positions: Tensor) -> Tensor:
        """Which positions [S, 3] lie in a cell that stays [S], bool."""
        index = ((positions - self.low) / self.cell).floor().long()
        shape = torch.tensor(self.kept.shape, device=index.device)
        inside = ((index >= 0) & (index < shape)).all(dim=1)
        x, y, z = torch.where(inside[:, None], index, 0).unbind(1)
        return inside & self.kept[x, y, z]

    def _occupancy(self, whole: OccupancyGrid) -> OccupancyGrid:
        """The field's occupied cells that touch the box around the part."""
        own = OccupancyGrid(cascades=whole.cascades, resolution=whole.resolution).to(self.low.device)
        high = self.low + self.cell * torch.tensor(self.kept.shape, device=self.low.device)
        for cascade in range(whole.cascades):
            cells = whole.occupied[cascade].nonzero()[:, 0]
            half = 0.5 * 2.0**cascade / whole.resolution
            own.occupied[cascade] = False
            for part in cells.split(_AT_ONCE):
                middle = whole.positions(cascade, part, torch.full((len(part), 3), 0.5, device=part.device))
                touches = ((middle + half >= self.low) & (middle - half <= high)).all(dim=1)
                own.occupied[cascade, part[touches]] = True
        return own


def part_of_field(
    whole: RadianceField, points: np.ndarray, chosen: np.ndarray, *, cell: float, reach: float
) -> PartialField:
    """What some of a surface's points stand for: all space within `reach` of the surface that is nearest to them.

    Args:
        whole: The field that the surface is from.
        points: The surface [N, 3], normalised frame.
        chosen: Which of its points are the part [N] bool, at least one.
        cell: Edge of the cells by which space is divided; larger where there would be too many.
        reach: How far from the surface the part's light is still its own.
    """
    from scipy.spatial import cKDTree

    own = points[chosen].astype(np.float64)
    low, high = own.min(axis=0) - reach, own.max(axis=0) + reach
    cell = max(cell, float((np.prod(high - low) / _MOST_CELLS) ** (1 / 3)), float((high - low).max()) / 1024)
    shape = np.maximum(1, np.ceil((high - low) / cell)).astype(np.int64)
    near = _dilated(np.floor((own - low) / cell).astype(np.int64), shape, int(np.ceil(reach / cell)))
    tree, kept = cKDTree(points), np.zeros(shape, bool)
    cells = np.argwhere(near)
    for first in range(0, len(cells), _AT_ONCE):
        part = cells[first : first + _AT_ONCE]
        _, nearest = tree.query(low + (part + 0.5) * cell, distance_upper_bound=reach, workers=-1)
        own_cells = part[np.append(chosen, False)[nearest]]  # the last one stands for nothing within reach
        kept[tuple(own_cells.T)] = True
    return PartialField(whole, low, cell, kept)


def _dilated(cells: np.ndarray, shape: np.ndarray, steps: int) -> np.ndarray:
    """Cells [X, Y, Z] bool no more than `steps` away, along each axis, from one of some cells [M, 3]."""
    from scipy.ndimage import maximum_filter1d

    grid = np.zeros(shape, np.uint8)
    grid[tuple(np.clip(cells, 0, shape - 1).T)] = 1
    for axis in range(3):
        grid = maximum_filter1d(grid, 2 * steps + 1, axis=axis, mode="constant")
    return grid.astype(bool)
