"""Cascaded occupancy grid: which cells of space may hold matter.

Source: Müller et al., "Instant Neural Graphics Primitives", 2022, appendix E.
"""

from __future__ import annotations

import math
from collections.abc import Callable

import torch
from torch import Tensor, nn

from ..errors import TrainingError


class OccupancyGrid(nn.Module):
    """Recent maximum of the density per cell of nested boxes, and a bit per cell: whether to sample there.

    Cascade k covers [-0.5 · 2^k, 0.5 · 2^k]³ with G³ cells; a position belongs to the smallest box that holds it.

    Attributes:
        density: Decaying maximum of the density per cell [K, G³], float32, one over unit length.
        occupied: Cells to be sampled [K, G³], bool; all at the start.
    """

    density: Tensor
    occupied: Tensor

    def __init__(self, *, cascades: int, resolution: int) -> None:
        super().__init__()
        self.cascades, self.resolution = cascades, resolution
        self.register_buffer("density", torch.zeros(cascades, resolution**3))
        self.register_buffer("occupied", torch.ones(cascades, resolution**3, dtype=torch.bool))

    @property
    def half_extent(self) -> float:
        """Half the edge of the outermost box."""
        return 0.5 * 2 ** (self.cascades - 1)

    @torch.no_grad()
    def update(
        self,
        density: Callable[[Tensor], Tensor],
        *,
        everywhere: bool,
        threshold: float,
        generator: torch.Generator,
        decay: float = 0.95,
        merge: Callable[[Tensor], None] | None = None,
    ) -> None:
        """Refresh cells from a density field at one random position in each.

        Args:
            density: Maps positions [S, 3] (normalised frame) to densities [S].
            everywhere: Visit all cells; otherwise a quarter drawn uniformly and a quarter from the occupied ones.
            threshold: Cells denser than min(mean density, threshold) are occupied.
            generator: Source of the random positions.
            decay: Factor on the old densities.
            merge: Called with the new ones [K, G³], to which it may bring what other processes have found.

        Raises:
            TrainingError: A density is not finite.
        """
        device = self.density.device
        for cascade in range(self.cascades):
            cells = self._cells_to_visit(cascade, everywhere, generator)
            inner = torch.rand((len(cells), 3), generator=generator, device=generator.device).to(device)
            positions = self.positions(cascade, cells, inner)
            values = torch.cat([density(chunk) for chunk in positions.split(1 << 18)])
            grid = self.density[cascade]
            grid *= decay
            # Cells drawn twice keep the larger value, whatever the order.
            grid.scatter_reduce_(0, cells, values, "amax")
        if merge is not None:
            merge(self.density)
        mean = float(self.density.mean())
        if not math.isfinite(mean):
            raise TrainingError(f"geometry: the density is {mean}; a smaller learning rate (--geometry.lr) may help")
        self.occupied.copy_(self.density > min(mean, threshold))

    def positions(self, cascade: int, cells: Tensor, inner: Tensor) -> Tensor:
        """Positions [C, 3], normalised frame, at the fractions `inner` [C, 3] of cells [C] of a cascade."""
        axes = torch.stack(
            [cells % self.resolution, cells // self.resolution % self.resolution, cells // self.resolution**2], dim=1
        )
        return ((axes + inner) / self.resolution - 0.5) * 2.0**cascade

    def _cells_to_visit(self, cascade: int, everywhere: bool, generator: torch.Generator) -> Tensor:
        count, device = self.resolution**3, self.density.device
        if everywhere:
            return torch.arange(count, device=device)
        uniform = torch.randint(count, (count // 4,), generator=generator, device=generator.device).to(device)
        occupied = self.occupied[cascade].nonzero()[:, 0]
        if len(occupied) == 0:
            return uniform
        picks = torch.randint(len(occupied), (count // 4,), generator=generator, device=generator.device).to(device)
        return torch.cat([uniform, occupied[picks]])
